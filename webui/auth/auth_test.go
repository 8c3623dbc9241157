package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/store"
)

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const good = "seven wet donkeys hum"

var (
	here  = Visit{Peer: netip.MustParseAddr("10.77.0.20")}
	there = Visit{Peer: netip.MustParseAddr("10.77.0.21")}
)

func newService(t *testing.T) (*Service, *store.Store, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2028, 6, 15, 12, 0, 0, 0, time.UTC)}
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "trenza.db"), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return again(t, db, c), db, c
}

// again is a service after a restart.
func again(t *testing.T, db *store.Store, c *clock) *Service {
	t.Helper()
	s, err := New(t.Context(), Options{Store: db, Log: slog.New(slog.DiscardHandler), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t *testing.T, s *Service, n NewUser) User {
	t.Helper()
	n.Password = good
	u, err := s.Add(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func login(t *testing.T, s *Service, v Visit, name, password, code string) (string, error) {
	t.Helper()
	token, _, err := s.Login(t.Context(), v, name, password, code)
	return token, err
}

func TestSessions(t *testing.T) {
	s, db, c := newService(t)
	ana := add(t, s, NewUser{Name: "ana", Role: Admin})
	token, err := login(t, s, here, "ANA", good, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.BySession(t.Context(), token+"x"); ok {
		t.Error("a longer token lets in")
	}
	s = again(t, db, c)
	p, ok := s.BySession(t.Context(), token)
	if !ok || p.Name != "ana" || p.Role != Admin || p.Session == "" || !s.Valid(p) {
		t.Fatalf("after a restart: %+v %v", p, ok)
	}
	// It lives as long as it is used, up to a bound.
	for range 6 {
		c.add(IdleFor - 2*time.Hour)
		if c.Now().Sub(ana.Made) > LongestSession {
			break
		}
		if _, ok := s.BySession(t.Context(), token); !ok {
			t.Fatalf("ended after %v", c.Now().Sub(ana.Made))
		}
		s = again(t, db, c)
	}
	if _, ok := s.BySession(t.Context(), token); ok {
		t.Errorf("lives after %v", c.Now().Sub(ana.Made))
	}
	idle, err := login(t, s, here, "ana", good, "")
	if err != nil {
		t.Fatal(err)
	}
	c.add(IdleFor + time.Second)
	if _, ok := s.BySession(t.Context(), idle); ok {
		t.Error("an unused session lives")
	}
	// Many sessions: the ones used longest ago make room, and over ones are gone from the store.
	var tokens []string
	for range maxSessions + 3 {
		c.add(time.Second)
		token, _, err := s.Begin(t.Context(), ana.ID, here)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	if n := len(s.Sessions(ana.ID)); n != maxSessions {
		t.Errorf("%d sessions, want %d", n, maxSessions)
	}
	if _, ok := s.BySession(t.Context(), tokens[0]); ok {
		t.Error("the oldest session did not make room")
	}
	if stored, err := db.Sessions(t.Context()); err != nil || len(stored) != maxSessions {
		t.Errorf("%d stored, %v", len(stored), err)
	}
	for _, v := range mustSessions(t, db) {
		if strings.Contains(string(v.Hash), tokens[5]) {
			t.Error("a token is stored")
		}
	}
}

func mustSessions(t *testing.T, db *store.Store) []store.Session {
	t.Helper()
	list, err := db.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestChangesEndSessions: a new password or role, and a user who is deleted, let nobody in any more.
func TestChangesEndSessions(t *testing.T) {
	s, db, c := newService(t)
	boss := add(t, s, NewUser{Name: "boss", Role: Admin})
	leo := add(t, s, NewUser{Name: "leo", Role: Member, Person: "leo"})
	begin := func() (string, Principal) {
		token, p, err := s.Begin(t.Context(), leo.ID, here)
		if err != nil {
			t.Fatal(err)
		}
		return token, p
	}
	gone := func(what, token string, p Principal) {
		t.Helper()
		if _, ok := s.BySession(t.Context(), token); ok || s.Valid(p) {
			t.Errorf("%s: the session lives", what)
		}
		if _, ok := again(t, db, c).BySession(t.Context(), token); ok {
			t.Errorf("%s: the session lives after a restart", what)
		}
	}
	token, p := begin()
	next := "a heron eats lemons twice"
	if _, err := s.Update(t.Context(), leo.ID, Change{Password: &next}); err != nil {
		t.Fatal(err)
	}
	gone("new password", token, p)
	token, p = begin()
	viewer := Viewer
	if u, err := s.Update(t.Context(), leo.ID, Change{Role: &viewer}); err != nil || u.Person != "" {
		t.Fatal(u, err)
	}
	gone("new role", token, p)
	// One's own password: the session at hand stays.
	token, p = begin()
	other, q := begin()
	if err := s.SetPassword(t.Context(), p, here, "wrong", good); !errors.Is(err, ErrBadLogin) {
		t.Errorf("without the old password: %v", err)
	}
	if err := s.SetPassword(t.Context(), p, here, next, "0123456789"); !errors.Is(err, ErrWeak) {
		t.Errorf("a weak one: %v", err)
	}
	if err := s.SetPassword(t.Context(), p, here, next, good); err != nil {
		t.Fatal(err)
	}
	gone("own password", other, q)
	if _, ok := s.BySession(t.Context(), token); !ok {
		t.Error("the session at hand ended")
	}
	secret, _, err := s.AddToken(t.Context(), leo.ID, "x", []Scope{Read}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), leo.ID); err != nil {
		t.Fatal(err)
	}
	gone("deleted", token, p)
	if _, ok := s.ByToken(secret); ok {
		t.Error("the token of nobody lets in")
	}
	// The last admin stays one, even if two are taken away at once.
	second := add(t, s, NewUser{Name: "second", Role: Admin})
	errs := make(chan error, 2)
	for _, id := range []int64{boss.ID, second.ID} {
		go func() {
			_, err := s.Delete(context.WithoutCancel(t.Context()), id)
			errs <- err
		}()
	}
	a, b := <-errs, <-errs
	if (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), ErrLastAdmin) {
		t.Errorf("%v, %v", a, b)
	}
	member := Member
	if _, err := s.Update(t.Context(), s.Users()[0].ID, Change{Role: &member, Person: new("x")}); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("the last admin became a member: %v", err)
	}
}

func TestTokens(t *testing.T) {
	s, db, c := newService(t)
	u := add(t, s, NewUser{Name: "ana", Role: Viewer})
	secret, token, err := s.AddToken(t.Context(), u.ID, "grafana", []Scope{Read}, c.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Service{s, again(t, db, c)} {
		p, ok := s.ByToken(secret)
		if !ok || p.Token != token.ID || p.Role != Viewer || !s.Valid(p) {
			t.Errorf("%+v %v", p, ok)
		}
		if err := (Access{Roles: []Role{Viewer}}).Permit(p, true); !errors.Is(err, ErrScope) {
			t.Errorf("a route without scope: %v", err)
		}
		if err := (Access{Roles: []Role{Viewer}, Scope: Rules}).Permit(p, true); !errors.Is(err, ErrScope) {
			t.Errorf("another scope: %v", err)
		}
		if err := (Access{Roles: []Role{Admin}, Scope: Read}).Permit(p, true); !errors.Is(err, ErrForbidden) {
			t.Errorf("more than its user may: %v", err)
		}
	}
	if err := s.DeleteToken(t.Context(), u.ID+1, token.ID); !errors.Is(err, ErrNoToken) {
		t.Errorf("somebody else's: %v", err)
	}
	p, _ := s.ByToken(secret)
	c.add(time.Hour)
	if _, ok := s.ByToken(secret); ok || s.Valid(p) {
		t.Error("an expired token lets in")
	}
}

func TestLoginLimits(t *testing.T) {
	s, _, c := newService(t)
	add(t, s, NewUser{Name: "ana", Role: Admin})
	add(t, s, NewUser{Name: "mallory", Role: Viewer})
	var many TooManyError
	for i := range peerFree {
		if _, err := login(t, s, here, "ana", "guess", ""); !errors.Is(err, ErrBadLogin) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	if _, err := login(t, s, here, "ana", good, ""); !errors.As(err, &many) || many.Wait != peerWait {
		t.Errorf("after %d guesses: %v", peerFree, err)
	}
	// Other peers are not concerned, and a success of one's own does not clear one's guesses.
	if _, err := login(t, s, there, "ana", good, ""); err != nil {
		t.Errorf("another peer: %v", err)
	}
	c.add(peerWait)
	if _, err := login(t, s, here, "mallory", good, ""); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if _, err := login(t, s, here, "ana", "guess", ""); !errors.Is(err, ErrBadLogin) {
		t.Errorf("the next guess: %v", err)
	}
	if _, err := login(t, s, here, "ana", "guess", ""); !errors.As(err, &many) || many.Wait < peerWait {
		t.Errorf("and the one after: %v", err)
	}
	c.add(forgetFailures + time.Second)
	if _, err := login(t, s, here, "ana", "guess", ""); !errors.Is(err, ErrBadLogin) {
		t.Errorf("an hour later: %v", err)
	}
	// An unknown name is answered like a wrong password.
	if _, err := login(t, s, there, "nobody", "guess", ""); !errors.Is(err, ErrBadLogin) {
		t.Errorf("nobody: %v", err)
	}
}

// TestLimiter goes on where hashing passwords would take too long.
func TestLimiter(t *testing.T) {
	l := newLimiter()
	now := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i)) }
	// From many peers: the account slows down, at most to accountLongest.
	slowed := 0
	for i := range 100 {
		var many TooManyError
		if err := l.take(at(i), "ana", now); errors.As(err, &many) {
			slowed++
			if many.Wait > accountLongest {
				t.Fatalf("the owner would wait %v", many.Wait)
			}
			now = now.Add(many.Wait)
		}
	}
	if slowed < 35 {
		t.Errorf("slowed %d times", slowed)
	}
	// One machine's privacy addresses are one peer, also with a zone and as mapped IPv4.
	for i := range peerFree {
		if err := l.take(netip.MustParseAddr(fmt.Sprintf("2001:db8:ffff::%x", i+1)), fmt.Sprint("user", i), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.take(netip.MustParseAddr("2001:db8:ffff::99"), "x", now); err == nil {
		t.Error("another address of the same /64 is another peer")
	}
	if household(netip.MustParseAddr("::ffff:10.0.0.1")) != netip.MustParseAddr("10.0.0.1") || household(netip.MustParseAddr("fe80::1%eth0")) != netip.MustParseAddr("fe80::") {
		t.Error("zone or mapped address")
	}
	// A clock that was set back does not lock for longer than the wait.
	if err := l.take(netip.MustParseAddr("2001:db8:ffff::1"), "x", now.Add(-2*forgetFailures)); err != nil {
		t.Errorf("after the clock was set back: %v", err)
	}
	for i := range 3 * maxPeers {
		_ = l.take(netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1}), fmt.Sprint(i), now)
	}
	if l.peers.Len() > maxPeers || l.accounts.Len() > maxPeers {
		t.Errorf("%d peers, %d accounts", l.peers.Len(), l.accounts.Len())
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{"ana": true, "José": true, "小明": true, "a.b-c_d": true, "": false, "root": false, "ROOT": false, "a b": false, "a\n": false, strings.Repeat("a", 33): false, "<b>": false} {
		err := NewUser{Name: name, Password: good, Role: Viewer}.check()
		if (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := (NewUser{Name: "a", Password: good, Role: Member}).check(); !errors.Is(err, ErrPerson) {
		t.Errorf("a member of nobody: %v", err)
	}
}

// TestLostDatabase: a file that lost its users lets nobody in as the first.
func TestLostDatabase(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "missing", "trenza.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := again(t, db, &clock{now: time.Now()})
	if _, err := s.Setup(t.Context(), "mallory", good); !errors.Is(err, ErrSetupLater) {
		t.Errorf("set up in memory: %v", err)
	}
	if _, err := s.Add(t.Context(), NewUser{Name: "ana", Password: good, Role: Admin}); err != nil {
		t.Errorf("by root: %v", err)
	}
}

// FuzzIdentify: whatever a stranger sends is a stranger's.
func FuzzIdentify(f *testing.F) {
	f.Add("trenza=x", "Bearer trenza_x", "10.0.0.1:1")
	f.Add("trenza="+strings.Repeat("A", 43)+"; trenza=y", "", "[fe80::1%eth0]:5")
	f.Add(`trenza="; __Host-trenza=a`, "bearer  ", "x")
	f.Add("\x00=\xff; trenza", "Basic YTpi", "")
	db, err := store.Open(f.Context(), store.Options{Path: filepath.Join(f.TempDir(), "trenza.db")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	s, err := New(f.Context(), Options{Store: db, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := s.Add(f.Context(), NewUser{Name: "ana", Password: good, Role: Admin}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, cookie, authorization, peer string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		r.Header["Cookie"], r.Header["Authorization"] = []string{cookie}, []string{authorization}
		if p, _ := s.Identify(r); p.Known() {
			t.Fatalf("%q %q is %+v", cookie, authorization, p)
		}
	})
}
