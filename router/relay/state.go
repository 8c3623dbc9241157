package relay

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/trenza-router/trenza/router/bond/seal"
	"github.com/trenza-router/trenza/router/bond/tunnel"
)

// State is what a relay keeps on disk: its own key, the invites that are open and the routers that joined. One program holds it at a time.
type State struct {
	file string
	lock *os.File
	kept keptState
}

type keptState struct {
	Private []byte    `json:"private"`
	Invites []Invited `json:"invites"`
	Routers []Joined  `json:"routers"`
}

// Invited is an invite that nobody has used yet. Its seed is not kept: only what proves that somebody has it.
type Invited struct {
	Name    string      `json:"name"`
	Ticket  seal.Ticket `json:"ticket"`
	Secret  []byte      `json:"secret"`
	Made    time.Time   `json:"made"`
	Expires time.Time   `json:"expires"`
	Limit   Limit       `json:"limit"`
}

// Joined is a router that may come in.
type Joined struct {
	Name   string     `json:"name"`
	Key    []byte     `json:"key"`
	Secret []byte     `json:"secret"`
	Count  uint64     `json:"count"` // of its greetings
	IPv4   netip.Addr `json:"ipv4,omitzero"`
	IPv6   netip.Addr `json:"ipv6,omitzero"`
	Since  time.Time  `json:"since"`
	Limit  Limit      `json:"limit"`
}

// Limit is what a router may have, in bits a second; 0 is no limit.
type Limit struct {
	Down uint64 `json:"down,omitempty"` // towards the router
	Up   uint64 `json:"up,omitempty"`
}

// ErrInUse is a state that a running relay holds.
var ErrInUse = errors.New("the relay is running and holds its state")

const stateName = "relay.json"

// OpenState reads the state in a directory, or begins one with a new key. ErrInUse: another program has it.
func OpenState(dir string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the relay's directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the relay's lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, ErrInUse
	}
	s := &State{file: filepath.Join(dir, stateName), lock: lock}
	if err := s.read(); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *State) read() error {
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		self, err := seal.NewIdentity(rand.Reader)
		if err != nil {
			return err
		}
		private := self.Private()
		s.kept.Private = private[:]
		return s.Save()
	}
	if err != nil {
		return fmt.Errorf("reading the relay's state: %w", err)
	}
	if err := json.Unmarshal(text, &s.kept); err != nil {
		return fmt.Errorf("reading the relay's state in %s: %w; put a copy of it back, or remove it and invite all routers anew", s.file, err)
	}
	if len(s.kept.Private) != 32 {
		return fmt.Errorf("the relay's state in %s has no whole key; put a copy of it back, or remove it and invite all routers anew", s.file)
	}
	for _, r := range s.kept.Routers {
		if len(r.Key) != len(seal.Key{}) || len(r.Secret) != len(seal.Secret{}) {
			return fmt.Errorf("the relay's state in %s: router %s has no whole key; put a copy of the file back, or remove the router from it", s.file, r.Name)
		}
	}
	return nil
}

// Save writes the state.
func (s *State) Save() error {
	text, err := json.MarshalIndent(s.kept, "", "  ")
	if err == nil {
		err = tunnel.WriteFile(s.file, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keeping the relay's state: %w", err)
	}
	return nil
}

// Close lets others have the state.
func (s *State) Close() error { return s.lock.Close() }

// Identity is the relay's key pair.
func (s *State) Identity() (seal.Identity, error) { return seal.IdentityOf([32]byte(s.kept.Private)) }

// Invite makes an invite for a router of that name and keeps it. An open one of the same name is replaced.
func (s *State) Invite(name string, addresses []netip.AddrPort, life time.Duration, limit Limit, now time.Time) (tunnel.Invite, error) {
	if !validName(name) {
		return tunnel.Invite{}, fmt.Errorf("router %q: %s", name, nameRule)
	}
	if slices.ContainsFunc(s.kept.Routers, func(r Joined) bool { return r.Name == name }) {
		return tunnel.Invite{}, fmt.Errorf("a router %s has joined already: choose another name, or revoke it first", name)
	}
	self, err := s.Identity()
	if err != nil {
		return tunnel.Invite{}, err
	}
	if len(addresses) == 0 {
		return tunnel.Invite{}, errors.New("the invite needs the relay's address: write it in the configuration, as in \"public: [198.51.100.7:51900]\"")
	}
	i, err := tunnel.NewInvite(self.Public(), addresses, rand.Reader)
	if err != nil {
		return tunnel.Invite{}, err
	}
	secret := i.Secret()
	s.kept.Invites = slices.DeleteFunc(s.kept.Invites, func(x Invited) bool { return x.Name == name || x.Expires.Before(now) })
	s.kept.Invites = append(s.kept.Invites, Invited{Name: name, Ticket: i.Ticket(), Secret: secret[:], Made: now, Expires: now.Add(life), Limit: limit})
	return i, s.Save()
}

// invited finds an invite that was not used, also one that is too old.
func (s *State) invited(t seal.Ticket) *Invited {
	for i := range s.kept.Invites {
		if x := &s.kept.Invites[i]; x.Ticket == t {
			return x
		}
	}
	return nil
}

// router finds a router by its key.
func (s *State) router(k seal.Key) *Joined {
	for i := range s.kept.Routers {
		if seal.Key(s.kept.Routers[i].Key) == k {
			return &s.kept.Routers[i]
		}
	}
	return nil
}

// join makes a router of an invite, which is used up, and gives it addresses.
func (s *State) join(t seal.Ticket, k seal.Key, count uint64, pool []netip.Prefix, now time.Time) (Joined, error) {
	x := s.invited(t)
	if x == nil || !now.Before(x.Expires) {
		return Joined{}, errors.New("the invite was used by another router, was revoked, or is too old")
	}
	j := Joined{Name: x.Name, Key: k[:], Secret: x.Secret, Count: count, Since: now, Limit: x.Limit}
	for _, p := range pool {
		a, err := s.free(p)
		if err != nil {
			return Joined{}, err
		}
		if a.Is4() {
			j.IPv4 = a
		} else {
			j.IPv6 = a
		}
	}
	s.kept.Invites = slices.DeleteFunc(s.kept.Invites, func(i Invited) bool { return i.Ticket == t })
	s.kept.Routers = append(s.kept.Routers, j)
	return j, s.Save()
}

// free is the first address of a pool that nobody has; the relay has the first one.
func (s *State) free(p netip.Prefix) (netip.Addr, error) {
	taken := map[netip.Addr]bool{}
	for _, r := range s.kept.Routers {
		taken[r.IPv4], taken[r.IPv6] = true, true
	}
	for a := relayAddr(p).Next(); p.Contains(a); a = a.Next() {
		last := !p.Contains(a.Next())
		if !taken[a] && !(last && a.Is4()) { // the last one is for broadcasts
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the pool %v has no address left: revoke routers that are gone, or widen it", p)
}

// relayAddr is the relay's own address in a pool.
func relayAddr(p netip.Prefix) netip.Addr { return p.Addr().Next() }

// Revoke forgets a router or an invite of that name and tells the router's key.
func (s *State) Revoke(name string) (k seal.Key, err error) {
	found := false
	s.kept.Invites = slices.DeleteFunc(s.kept.Invites, func(x Invited) bool { found = found || x.Name == name; return x.Name == name })
	s.kept.Routers = slices.DeleteFunc(s.kept.Routers, func(r Joined) bool {
		if r.Name == name {
			k, found = seal.Key(r.Key), true
		}
		return r.Name == name
	})
	if !found {
		return k, fmt.Errorf("no router and no invite has the name %s", name)
	}
	return k, s.Save()
}

// Invites lists the open ones.
func (s *State) Invites() []Invited { return s.kept.Invites }

// Routers lists those that joined.
func (s *State) Routers() []Joined { return s.kept.Routers }
