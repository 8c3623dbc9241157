package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
)

// TestHouseholdReturns: what a replacement changes comes back whole, sessions and tokens with it, also in a process that starts anew.
func TestHouseholdReturns(t *testing.T) {
	path := t.TempDir() + "/trenza.db"
	s := openAt(t, path)
	ctx := t.Context()
	rosa := addUser(t, s, User{Name: "Rosa", Role: "admin", Password: "$rosa"})
	leo := addUser(t, s, User{Name: "Leo", Role: "viewer", Password: "$leo"})
	maxi := addUser(t, s, User{Name: "Max", Role: "viewer", Password: "$max"})
	for _, u := range []User{rosa, leo, maxi} {
		if err := s.PutSession(ctx, Session{Hash: []byte(u.Name), User: u.ID, Made: time.Unix(1e9, 0), Seen: time.Unix(1e9, 0)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddToken(ctx, Token{Hash: []byte("t" + u.Name), User: u.ID, Name: "x", Scopes: "read"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.SavePolicy(ctx, "house: []\n", "Rosa", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.PutDevices(ctx, []Device{{Number: 3, ID: "tv", Name: "TV", MACs: []flow.MAC{{2, 0, 0, 0, 0, 1}}}}); err != nil {
		t.Fatal(err)
	}
	before := everything(t, s)
	next := Household{Policy: "people: []\n",
		Users:   []User{{Name: "rosa", Role: "viewer", Password: "$other"}, {Name: "Max", Role: "viewer", Password: "$new"}, {Name: "Ana", Role: "admin", Password: "$ana"}},
		Devices: []Device{{Number: 3, ID: "desk", Name: "Desk", MACs: []flow.MAC{{2, 0, 0, 0, 0, 1}}}, {Number: 4, ID: "tv"}}}
	if err := s.ReplaceHousehold(ctx, next, Replacement{Author: "Rosa", Keep: rosa.ID, Mark: []byte("mark")}); err != nil {
		t.Fatal(err)
	}
	now := everything(t, s)
	if len(now.Users) != 3 || now.Users[0].Name != "Rosa" || now.Users[0].Role != "admin" || now.Users[1].Password != "$new" || now.Users[2].Name != "Ana" {
		t.Errorf("users: %+v", now.Users)
	}
	if len(now.Sessions) != 1 || now.Sessions[0].User != rosa.ID || len(now.Tokens) != 1 {
		t.Errorf("sessions %+v, tokens %+v", now.Sessions, now.Tokens)
	}
	if now.Policy.Text != next.Policy || len(now.Devices) != 2 || now.Devices[0].ID != "desk" {
		t.Errorf("%+v", now)
	}
	if err := s.ReplaceHousehold(ctx, next, Replacement{}); !errors.Is(err, ErrRestoring) {
		t.Errorf("a second restore: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path)
	if mark, err := s.Restored(ctx); err != nil || string(mark) != "mark" {
		t.Errorf("mark %q, %v", mark, err)
	}
	if err := s.ReturnHousehold(ctx); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, everything(t, s)); d != "" {
		t.Error(d)
	}
	if err := s.ReturnHousehold(ctx); !errors.Is(err, ErrNotFound) {
		t.Errorf("a second return: %v", err)
	}
}

// TestHouseholdStays: a confirmed household stays, with days of the past that were not known here.
func TestHouseholdStays(t *testing.T) {
	s := openAt(t, t.TempDir()+"/trenza.db")
	ctx := t.Context()
	addUser(t, s, User{Name: "Leo", Role: "admin", Password: "$leo"})
	next := Household{Policy: "people: []\n", Users: []User{{Name: "Ana", Role: "admin", Password: "$ana", TOTP: []byte("key"), Recovery: "a"}}}
	if err := s.ReplaceHousehold(ctx, next, Replacement{Author: "root"}); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	days := []Usage{{At: day, Device: "tv", App: "youtube", Link: "fiber", Traffic: Traffic{Up: 1, Down: 2, PacketsUp: 3, PacketsDown: 4, Flows: 5}}}
	if err := s.ConfirmHousehold(ctx, days); err != nil {
		t.Fatal(err)
	}
	if err := s.ConfirmHousehold(ctx, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("confirmed twice: %v", err)
	}
	got, err := s.Usage(ctx, UsageQuery{Resolution: Day, By: Group{Time: true, Device: true, App: true, Link: true}})
	if d := cmp.Diff(days, got); d != "" || err != nil {
		t.Error(d, err)
	}
	h, err := s.Household(ctx)
	if err != nil || len(h.Users) != 1 || string(h.Users[0].TOTP) != "key" || h.Policy != next.Policy {
		t.Errorf("%+v, %v", h, err)
	}
	var left int
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name LIKE 'kept_%'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d tables are left over, %v", left, err)
	}
}

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func addUser(t *testing.T, s *Store, u User) User {
	t.Helper()
	u, err := s.AddUser(t.Context(), u, false)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

type wholeHouse struct {
	Household
	Policy   Policy
	Sessions []Session
	Tokens   []Token
}

func everything(t *testing.T, s *Store) (a wholeHouse) {
	t.Helper()
	var errs [4]error
	a.Household, errs[0] = s.Household(t.Context())
	a.Policy, errs[1] = s.CurrentPolicy(t.Context())
	a.Sessions, errs[2] = s.Sessions(t.Context())
	a.Tokens, errs[3] = s.Tokens(t.Context())
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return a
}
