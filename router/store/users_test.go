package store

import (
	"errors"
	"testing"
	"time"
)

func TestUsersSessionsTokens(t *testing.T) {
	s, c, path := newStore(t)
	ana, err := s.AddUser(t.Context(), User{Name: "Ana", Role: "admin", Password: "$x"}, true)
	must(t, err)
	if _, err := s.AddUser(t.Context(), User{Name: "leo"}, true); !errors.Is(err, ErrNotFirst) {
		t.Errorf("a second first user: %v", err)
	}
	if _, err := s.AddUser(t.Context(), User{Name: "ANA"}, false); !errors.Is(err, ErrTaken) {
		t.Errorf("a name that is taken: %v", err)
	}
	leo, err := s.AddUser(t.Context(), User{Name: "leo", Role: "member", Person: "leo"}, false)
	must(t, err)
	leo.TOTP, leo.Step, leo.Recovery = []byte{1, 2}, 7, "a\nb"
	must(t, s.PutUser(t.Context(), leo))
	if err := s.PutUser(t.Context(), User{ID: leo.ID, Name: "ana"}); !errors.Is(err, ErrTaken) {
		t.Errorf("renamed to a name that is taken: %v", err)
	}
	if err := s.PutUser(t.Context(), User{ID: 99, Name: "x"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody was changed: %v", err)
	}
	session := Session{Hash: []byte{1}, User: leo.ID, Made: noon, Seen: noon.Add(time.Hour), Peer: "192.0.2.1", Agent: "x"}
	must(t, s.PutSession(t.Context(), session))
	must(t, s.PutSession(t.Context(), Session{Hash: []byte{2}, User: ana.ID}))
	must(t, s.PutSession(t.Context(), Session{Hash: []byte{3}, User: ana.ID}))
	must(t, s.DeleteSessions(t.Context(), [][]byte{{3}, {9}}))
	token, err := s.AddToken(t.Context(), Token{Hash: []byte{4}, User: leo.ID, Name: "grafana", Scopes: "read"})
	must(t, err)
	must(t, s.Close())

	s = open(t, path, c)
	users, err := s.Users(t.Context())
	must(t, err)
	diff(t, users, []User{ana, leo})
	sessions, err := s.Sessions(t.Context())
	must(t, err)
	diff(t, sessions, []Session{session, {Hash: []byte{2}, User: ana.ID}})
	tokens, err := s.Tokens(t.Context())
	must(t, err)
	diff(t, tokens, []Token{token})
	// What belongs to a user goes with them.
	must(t, s.DeleteUser(t.Context(), leo.ID))
	if err := s.DeleteUser(t.Context(), leo.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	sessions, err = s.Sessions(t.Context())
	must(t, err)
	tokens, err = s.Tokens(t.Context())
	must(t, err)
	if len(sessions) != 1 || len(tokens) != 0 {
		t.Errorf("left behind: %v %v", sessions, tokens)
	}
	if err := s.DeleteToken(t.Context(), token.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a token that is gone: %v", err)
	}
}

func TestAuditAndRequests(t *testing.T) {
	s, c, _ := newStore(t)
	for _, a := range []Audit{
		{Actor: "ana", Action: "policy.set", Object: "version 2", Before: "x", After: "y"},
		{Actor: "root", Action: "user.add", Object: "leo"},
		{Actor: "ana", Action: "policy.pause", Object: "leo"},
	} {
		must(t, s.AddAudit(t.Context(), a))
		c.Set(c.Now().Add(time.Minute))
	}
	objects := func(q AuditQuery) (out []string) {
		t.Helper()
		list, err := s.Audit(t.Context(), q)
		must(t, err)
		for _, a := range list {
			out = append(out, a.Object)
		}
		return out
	}
	for _, tt := range []struct {
		query AuditQuery
		want  []string
	}{
		{AuditQuery{}, []string{"leo", "leo", "version 2"}},
		{AuditQuery{Limit: 1}, []string{"leo"}},
		{AuditQuery{Before: 3}, []string{"leo", "version 2"}},
		{AuditQuery{Action: "policy"}, []string{"leo", "version 2"}},
		{AuditQuery{Action: "policy.set"}, []string{"version 2"}},
		{AuditQuery{Actor: "root"}, []string{"leo"}},
		{AuditQuery{Object: "version 2"}, []string{"version 2"}},
		{AuditQuery{From: noon.Add(time.Minute), To: noon.Add(2 * time.Minute)}, []string{"leo"}},
	} {
		diff(t, objects(tt.query), tt.want)
	}
	r, err := s.AddRequest(t.Context(), Request{Person: "leo", Text: "lte for school", State: "open"})
	must(t, err)
	_, err = s.AddRequest(t.Context(), Request{Person: "ana", Text: "more", State: "open"})
	must(t, err)
	must(t, s.AnswerRequest(t.Context(), r.ID, "accepted", "ana", "fine"))
	if err := s.AnswerRequest(t.Context(), r.ID, "declined", "ana", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("answered twice: %v", err)
	}
	list, err := s.Requests(t.Context(), "leo")
	must(t, err)
	if len(list) != 1 || list[0].State != "accepted" || list[0].By != "ana" || !list[0].Answered.Equal(c.Now().Truncate(time.Second)) {
		t.Errorf("%+v", list)
	}
}
