package tunnel

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/trenza-router/trenza/router/bond/seal"
)

// State is what a router keeps of its bond between two starts: its own key, the relay it joined, and how many greetings it said. The file is
// for its owner's eyes only.
type State struct {
	file string
	kept keptState
}

// keptState is the file's content.
type keptState struct {
	Private   []byte           `json:"private"`
	Relay     string           `json:"relay,omitempty"`
	Addresses []netip.AddrPort `json:"addresses,omitempty"`
	Seed      []byte           `json:"seed,omitempty"`
	Count     uint64           `json:"count"`
	WebPort   uint16           `json:"web_port,omitempty"`
	WebPin    []byte           `json:"web_pin,omitempty"`
	WebName   string           `json:"web_name,omitempty"`
}

const stateName = "bond.json"

// OpenState reads the state in a directory, or begins one with a new key.
func OpenState(dir string) (*State, error) {
	s := &State{file: filepath.Join(dir, stateName)}
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the directory of the bond's key: %w", err)
		}
		self, err := seal.NewIdentity(rand.Reader)
		if err != nil {
			return nil, err
		}
		private := self.Private()
		s.kept.Private = private[:]
		return s, s.save()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the bond's key: %w", err)
	}
	if err := json.Unmarshal(text, &s.kept); err != nil {
		return nil, fmt.Errorf("reading the bond's key in %s: %w; if the file is lost for good, remove it and join the relay anew", s.file, err)
	}
	if len(s.kept.Private) != 32 {
		return nil, fmt.Errorf("the bond's key in %s has %d bytes and not 32; remove the file and join the relay anew", s.file, len(s.kept.Private))
	}
	return s, nil
}

// Forget destroys the state in a directory: the router cannot come in with it any more.
func Forget(dir string) error {
	err := os.Remove(filepath.Join(dir, stateName))
	if e := os.Remove(dir); err == nil {
		err = e // with anything else in it, it is not ours alone
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("destroying the bond's key: %w", err)
	}
	return nil
}

// Identity is the router's key pair.
func (s *State) Identity() (seal.Identity, error) {
	return seal.IdentityOf([32]byte(s.kept.Private))
}

// Invite is that with which the router joined; ok is false before.
func (s *State) Invite() (i Invite, ok bool) {
	key, err := seal.ParseKey(s.kept.Relay)
	if err != nil || len(s.kept.Seed) != len(i.Seed) || len(s.kept.Addresses) == 0 {
		return Invite{}, false
	}
	i = Invite{Relay: key, Addresses: s.kept.Addresses, Seed: [16]byte(s.kept.Seed)}
	if pin := &i.Web.Trust.Pin; len(s.kept.WebPin) == len(pin) || s.kept.WebName != "" {
		copy(pin[:], s.kept.WebPin)
		i.Web.Port, i.Web.Trust.Name = s.kept.WebPort, s.kept.WebName
	}
	return i, true
}

// Join keeps an invite, in place of the one before. The count of greetings goes on: it grows for ever.
func (s *State) Join(i Invite) error {
	s.kept.Relay, s.kept.Addresses, s.kept.Seed = i.Relay.String(), i.Addresses, i.Seed[:]
	s.kept.WebPort, s.kept.WebPin, s.kept.WebName = i.Web.Port, nil, i.Web.Trust.Name
	if i.Web.Port != 0 && i.Web.Trust.Name == "" {
		s.kept.WebPin = i.Web.Trust.Pin[:]
	}
	return s.save()
}

// Count is how many greetings were reserved.
func (s *State) Count() uint64 { return s.kept.Count }

// SetCount keeps it.
func (s *State) SetCount(n uint64) error {
	s.kept.Count = n
	return s.save()
}

func (s *State) save() error {
	text, err := json.MarshalIndent(s.kept, "", "  ")
	if err != nil {
		return fmt.Errorf("keeping the bond's state: %w", err)
	}
	if err := WriteFile(s.file, append(text, '\n')); err != nil {
		return fmt.Errorf("keeping the bond's state: %w", err)
	}
	return nil
}

// WriteFile replaces a file that only its owner may read, whole or not at all, whenever the power fails.
func WriteFile(name string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}

// String hides the keys from logs.
func (s *State) String() string { return "state of the bond in " + s.file }

// fingerprint is a short name of a key for messages.
func fingerprint(k seal.Key) string { return base64.StdEncoding.EncodeToString(k[:6]) }
