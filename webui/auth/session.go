package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/store"
)

const (
	// IdleFor and LongestSession are when a session ends: unused, and in any case.
	IdleFor        = 7 * 24 * time.Hour
	LongestSession = 30 * 24 * time.Hour
	// seenEvery is how often the last use is written: the card lives longer.
	seenEvery    = time.Hour
	maxSessions  = 16 // of one user; the one used longest ago makes room
	maxTokens    = 32 // of one user
	secretSize   = 32 // bytes
	tokenPrefix  = "trenza_"
	maxAgentText = 120
)

// Session is a browser that is signed in.
type Session struct {
	ID         string
	Made, Seen time.Time
	Expires    time.Time
	Peer       string
	Agent      string
}

// newSecret makes what a browser or program is to send, and what is kept of it.
func newSecret() (secret string, hash [sha256.Size]byte) {
	raw := make([]byte, secretSize)
	rand.Read(raw)
	secret = base64.RawURLEncoding.EncodeToString(raw)
	return secret, sha256.Sum256([]byte(secret))
}

// sessionID is what a session is called where people see it; it does not let anybody in.
func sessionID(hash []byte) string { return hex.EncodeToString(hash[:8]) }

// Login signs in and returns the token for the browser's cookie. Errors: ErrBadLogin, ErrNeedCode, ErrBusy, TooManyError.
func (s *Service) Login(ctx context.Context, v Visit, name, password, digits string) (string, Principal, error) {
	account := strings.ToLower(name)
	if len(account) > 64 || len(password) > maxPassword || len(digits) > 64 {
		return "", Principal{}, ErrBadLogin
	}
	if err := s.limiter.take(v.Peer, account, s.now()); err != nil {
		return "", Principal{}, err
	}
	u := s.byName(name)
	ok, err := s.hasher.matches(ctx, u.Password, password) // of nobody: takes as long and is false
	if err != nil {
		return "", Principal{}, err
	}
	if !ok {
		return "", Principal{}, ErrBadLogin
	}
	if u.TOTP != nil {
		if digits == "" {
			// The password was right, so this was no guess; the code may still be one.
			return "", Principal{}, ErrNeedCode
		}
		if err := s.useCode(ctx, u.ID, digits); err != nil {
			return "", Principal{}, err
		}
	}
	s.limiter.right(v.Peer, account)
	return s.begin(ctx, u, v)
}

// useCode takes a code of the second factor, or one for losing it, each once.
func (s *Service) useCode(ctx context.Context, id int64, digits string) error {
	s.change.Lock()
	defer s.change.Unlock()
	u, err := s.byID(id)
	if err != nil {
		return err
	}
	if step, ok := checkTOTP(u.TOTP, digits, u.Step, s.now()); ok {
		u.Step = step
		return s.put(ctx, u)
	}
	rest, ok := useRecovery(u.Recovery, digits)
	if !ok {
		return ErrBadLogin
	}
	u.Recovery = rest
	return s.put(ctx, u)
}

// Begin signs in a user who was just made, without asking for the password again.
func (s *Service) Begin(ctx context.Context, id int64, v Visit) (string, Principal, error) {
	u, err := s.byID(id)
	if err != nil {
		return "", Principal{}, err
	}
	return s.begin(ctx, u, v)
}

func (s *Service) begin(ctx context.Context, u store.User, v Visit) (string, Principal, error) {
	secret, hash := newSecret()
	now := s.now().UTC().Truncate(time.Second)
	agent := v.Agent
	if len(agent) > maxAgentText {
		agent = strings.ToValidUTF8(agent[:maxAgentText], "")
	}
	session := store.Session{Hash: hash[:], User: u.ID, Made: now, Seen: now, Peer: v.Peer.String(), Agent: agent}
	// Old ones go, and of too many those that were used longest ago.
	mine := s.sessionsOf(u.ID)
	slices.SortFunc(mine, func(a, b store.Session) int { return b.Seen.Compare(a.Seen) })
	if err := s.endSessions(ctx, func(o store.Session) bool {
		place := slices.IndexFunc(mine, func(m store.Session) bool { return string(m.Hash) == string(o.Hash) })
		return s.over(o) || place >= maxSessions-1
	}); err != nil {
		return "", Principal{}, err
	}
	if err := s.store.PutSession(ctx, session); err != nil {
		return "", Principal{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.users[u.ID]; !ok {
		return "", Principal{}, ErrNoUser // deleted in this moment
	}
	s.sessions[hash] = session
	return secret, principalOf(u, session), nil
}

func principalOf(u store.User, v store.Session) Principal {
	return Principal{User: u.ID, Name: u.Name, Role: Role(u.Role), Person: u.Person, Session: sessionID(v.Hash)}
}

func (s *Service) sessionsOf(user int64) (list []store.Session) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, v := range s.sessions {
		if v.User == user {
			list = append(list, v)
		}
	}
	return list
}

// over tells whether a session has ended by time. One of the future is a clock that was set back: it lives on.
func (s *Service) over(v store.Session) bool {
	now := s.now()
	return now.Sub(v.Seen) > IdleFor || now.Sub(v.Made) > LongestSession
}

// BySession finds who a browser's cookie stands for; false for a stranger.
func (s *Service) BySession(ctx context.Context, secret string) (Principal, bool) {
	if len(secret) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return Principal{}, false
	}
	hash := sha256.Sum256([]byte(secret))
	s.mu.RLock()
	v, ok := s.sessions[hash]
	u, known := s.users[v.User]
	s.mu.RUnlock()
	if !ok || !known || s.over(v) {
		return Principal{}, false
	}
	if now := s.now().UTC().Truncate(time.Second); now.Sub(v.Seen) > seenEvery || now.Before(v.Seen) {
		s.seen(ctx, hash, now)
	}
	return principalOf(u, v), true
}

// seen notes that a session is used. That it could not be written shortens it at worst.
func (s *Service) seen(ctx context.Context, hash [sha256.Size]byte, now time.Time) {
	s.mu.Lock()
	v, ok := s.sessions[hash]
	if ok {
		v.Seen = now
		s.sessions[hash] = v
	}
	s.mu.Unlock()
	if !ok {
		return
	}
	if err := s.store.PutSession(ctx, v); err != nil {
		s.log.Warn("the use of a session could not be stored", "error", err)
		return
	}
	s.mu.RLock()
	_, ok = s.sessions[hash]
	s.mu.RUnlock()
	if !ok { // ended while it was written
		if err := s.store.DeleteSessions(ctx, [][]byte{hash[:]}); err != nil {
			s.log.Warn("an ended session could not be removed", "error", err)
		}
	}
}

// Valid tells whether what let a principal in still does: for streams that outlast a request.
func (s *Service) Valid(p Principal) bool {
	if p.Root {
		return true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.users[p.User]
	if !ok || Role(u.Role) != p.Role || u.Person != p.Person {
		return false
	}
	if p.Token != 0 {
		for _, t := range s.tokens {
			if t.ID == p.Token {
				return t.Expires.IsZero() || s.now().Before(t.Expires)
			}
		}
		return false
	}
	for _, v := range s.sessions {
		if v.User == p.User && sessionID(v.Hash) == p.Session {
			return !s.over(v)
		}
	}
	return false
}

// Sessions lists a user's sessions, the last used first.
func (s *Service) Sessions(user int64) []Session {
	var out []Session
	for _, v := range s.sessionsOf(user) {
		if s.over(v) {
			continue
		}
		end := v.Seen.Add(IdleFor)
		if last := v.Made.Add(LongestSession); last.Before(end) {
			end = last
		}
		out = append(out, Session{ID: sessionID(v.Hash), Made: v.Made, Seen: v.Seen, Expires: end, Peer: v.Peer, Agent: v.Agent})
	}
	slices.SortFunc(out, func(a, b Session) int { return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID, b.ID)) })
	return out
}

// EndSession ends one session of a user.
func (s *Service) EndSession(ctx context.Context, user int64, id string) error {
	found := false
	err := s.endSessions(ctx, func(v store.Session) bool {
		hit := v.User == user && sessionID(v.Hash) == id
		found = found || hit
		return hit
	})
	if err == nil && !found {
		return ErrNoSession
	}
	return err
}

// endSessions ends those that end says. They count no more from now on, even where the disk does not take it.
func (s *Service) endSessions(ctx context.Context, end func(store.Session) bool) error {
	var hashes [][]byte
	s.mu.RLock()
	list := make([]store.Session, 0, len(s.sessions))
	for _, v := range s.sessions {
		list = append(list, v)
	}
	s.mu.RUnlock()
	for _, v := range list {
		if end(v) {
			hashes = append(hashes, v.Hash)
		}
	}
	s.mu.Lock()
	for _, h := range hashes {
		delete(s.sessions, [sha256.Size]byte(h))
	}
	s.mu.Unlock()
	return s.store.DeleteSessions(ctx, hashes)
}

// Token is a program's key without its secret.
type Token struct {
	ID      int64
	User    int64
	Name    string
	Scopes  []Scope
	Made    time.Time
	Expires time.Time // zero: never
}

func tokenView(t store.Token) Token {
	v := Token{ID: t.ID, User: t.User, Name: t.Name, Made: t.Made, Expires: t.Expires}
	for _, w := range strings.Fields(t.Scopes) {
		v.Scopes = append(v.Scopes, Scope(w))
	}
	return v
}

// AddToken makes a token of a user; the secret is told once.
func (s *Service) AddToken(ctx context.Context, user int64, name string, scopes []Scope, expires time.Time) (string, Token, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if _, err := s.byID(user); err != nil {
		return "", Token{}, err
	}
	if len(s.Tokens(user)) >= maxTokens {
		return "", Token{}, fmt.Errorf("you have %d tokens already: delete one first", maxTokens)
	}
	secret, _ := newSecret()
	secret = tokenPrefix + secret
	hash := sha256.Sum256([]byte(secret))
	t, err := s.store.AddToken(ctx, store.Token{Hash: hash[:], User: user, Name: name, Scopes: joinScopes(scopes, " "), Expires: expires.UTC().Truncate(time.Second)})
	if err != nil {
		return "", Token{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[hash] = t
	return secret, tokenView(t), nil
}

// Tokens lists a user's tokens.
func (s *Service) Tokens(user int64) []Token {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Token
	for _, t := range s.tokens {
		if t.User == user {
			out = append(out, tokenView(t))
		}
	}
	slices.SortFunc(out, func(a, b Token) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// DeleteToken takes a token of a user back.
func (s *Service) DeleteToken(ctx context.Context, user, id int64) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	found := false
	for h, t := range s.tokens {
		if t.User == user && t.ID == id {
			delete(s.tokens, h)
			found = true
		}
	}
	s.mu.Unlock()
	if !found {
		return ErrNoToken
	}
	return s.store.DeleteToken(ctx, id)
}

// ByToken finds who a program's token stands for; false for a stranger. The role is its user's of now.
func (s *Service) ByToken(secret string) (Principal, bool) {
	if len(secret) != len(tokenPrefix)+base64.RawURLEncoding.EncodedLen(secretSize) || !strings.HasPrefix(secret, tokenPrefix) {
		return Principal{}, false
	}
	hash := sha256.Sum256([]byte(secret))
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tokens[hash]
	u, known := s.users[t.User]
	if !ok || !known || !t.Expires.IsZero() && !s.now().Before(t.Expires) {
		return Principal{}, false
	}
	v := tokenView(t)
	return Principal{User: u.ID, Name: u.Name, Role: Role(u.Role), Person: u.Person, Token: t.ID, Scopes: v.Scopes}, true
}
