package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trenza-router/trenza/router/store"
)

// Errors of changes.
var (
	ErrLastAdmin  = errors.New("this is the last admin: make another user an admin first")
	ErrNoUser     = errors.New("there is no such user")
	ErrNoToken    = errors.New("there is no such token")
	ErrNoSession  = errors.New("there is no such session")
	ErrBadName    = errors.New("a user name is 1 to 32 letters, digits, '.', '-' or '_'")
	ErrPerson     = errors.New("a member belongs to a person: say which one")
	ErrBadLogin   = errors.New("name, password or code is wrong")
	ErrNeedCode   = errors.New("the second factor is missing: send the code of your authenticator application")
	ErrSetupLater = errors.New("the database cannot be trusted now, so nobody is let in as the first: run \"trenza user add\" on the router itself")
	ErrNoTOTP     = errors.New("no second factor is being set up: begin again")
)

// Options are what a Service is made of.
type Options struct {
	Store *store.Store
	Log   *slog.Logger
	Now   func() time.Time // nil: time.Now
}

// Service holds users, sessions and tokens. Its methods are safe for concurrent use.
type Service struct {
	store   *store.Store
	log     *slog.Logger
	now     func() time.Time
	hasher  hasher
	limiter *limiter

	change sync.Mutex

	mu       sync.RWMutex
	users    map[int64]store.User
	sessions map[[sha256.Size]byte]store.Session
	tokens   map[[sha256.Size]byte]store.Token
	pending  map[int64][]byte // TOTP keys that are being set up, by user
}

// New reads who there is.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{
		store: o.Store, log: o.Log, now: o.Now, hasher: newHasher(), limiter: newLimiter(),
		users: map[int64]store.User{}, sessions: map[[sha256.Size]byte]store.Session{}, tokens: map[[sha256.Size]byte]store.Token{},
		pending: map[int64][]byte{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	users, err := s.store.Users(ctx)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		s.users[u.ID] = u
	}
	sessions, err := s.store.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range sessions {
		if len(v.Hash) == sha256.Size {
			s.sessions[[sha256.Size]byte(v.Hash)] = v
		}
	}
	tokens, err := s.store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range tokens {
		if len(v.Hash) == sha256.Size {
			s.tokens[[sha256.Size]byte(v.Hash)] = v
		}
	}
	return s, nil
}

// User is a user without secrets.
type User struct {
	ID       int64
	Name     string
	Role     Role
	Person   string
	TOTP     bool
	Recovery int // codes left
	Made     time.Time
}

func view(u store.User) User {
	return User{ID: u.ID, Name: u.Name, Role: Role(u.Role), Person: u.Person, TOTP: u.TOTP != nil, Recovery: len(strings.Fields(u.Recovery)), Made: u.Made}
}

// Users lists the users by id.
func (s *Service) Users() []User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []User
	for _, u := range s.users {
		out = append(out, view(u))
	}
	slices.SortFunc(out, func(a, b User) int { return int(a.ID - b.ID) })
	return out
}

// HasUsers tells whether the router has been set up.
func (s *Service) HasUsers() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.users) > 0
}

// ByID finds a user.
func (s *Service) ByID(id int64) (User, error) {
	u, err := s.byID(id)
	return view(u), err
}

func (s *Service) byID(id int64) (store.User, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.users[id]
	if !ok {
		return store.User{}, ErrNoUser
	}
	return u, nil
}

func (s *Service) byName(name string) store.User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, u := range s.users {
		if strings.EqualFold(u.Name, name) {
			return u
		}
	}
	return store.User{}
}

// NewUser is a user to be.
type NewUser struct {
	Name     string
	Password string
	Role     Role
	Person   string // required of a member
}

func checkName(name string) error {
	if name == "" || len(name) > 64 || utf8.RuneCountInString(name) > 32 || strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '-' && r != '_'
	}) || strings.EqualFold(name, "root") {
		return ErrBadName
	}
	return nil
}

func (n NewUser) check() error {
	if err := checkName(n.Name); err != nil {
		return err
	}
	if _, err := ParseRole(string(n.Role)); err != nil {
		return err
	}
	if (n.Role == Member) != (n.Person != "") {
		return ErrPerson
	}
	return checkPassword(n.Password, n.Name)
}

// CheckStored looks at a user who comes from a backup: a name, role, person and hash that this router could have stored itself.
func CheckStored(name, role, person, hash string) error {
	if err := checkName(name); err != nil {
		return err
	}
	r, err := ParseRole(role)
	if err != nil {
		return err
	}
	if (r == Member) != (person != "") {
		return ErrPerson
	}
	_, err = parseHash(hash)
	return err
}

// SameStored tells whether a user is stored with just these words already.
func (s *Service) SameStored(id int64, role, person, hash string) bool {
	u, err := s.byID(id)
	return err == nil && u.Role == role && u.Person == person && u.Password == hash
}

func checkPassword(password, name string) error {
	if !Rate(password, name).OK {
		return ErrWeak
	}
	return nil
}

// SetupPossible tells whether the first user may be made over the network. Users may have been lost with a broken file: whoever
// comes first then is not the owner for that.
func (s *Service) SetupPossible() bool {
	st := s.store.Status()
	return !st.Memory && st.Broken == ""
}

// Setup makes the first user, an admin; store.ErrNotFirst when there are users. Of two at once one wins.
func (s *Service) Setup(ctx context.Context, name, password string) (User, error) {
	if !s.SetupPossible() {
		return User{}, ErrSetupLater
	}
	if s.HasUsers() {
		return User{}, store.ErrNotFirst // before a hash is spent on it
	}
	return s.add(ctx, NewUser{Name: name, Password: password, Role: Admin}, true)
}

// Add makes a user.
func (s *Service) Add(ctx context.Context, n NewUser) (User, error) { return s.add(ctx, n, false) }

func (s *Service) add(ctx context.Context, n NewUser, first bool) (User, error) {
	if err := n.check(); err != nil {
		return User{}, err
	}
	hash, err := s.hasher.hash(ctx, n.Password)
	if err != nil {
		return User{}, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	u, err := s.store.AddUser(ctx, store.User{Name: n.Name, Role: string(n.Role), Person: n.Person, Password: hash}, first)
	if err != nil {
		return User{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.ID] = u
	return view(u), nil
}

// Change is what becomes of a user; nil fields stay.
type Change struct {
	Role     *Role
	Person   *string
	Password *string // ends the user's sessions
	NoTOTP   bool    // takes the second factor away, for someone who lost it
}

// Update changes a user. The last admin stays one.
func (s *Service) Update(ctx context.Context, id int64, c Change) (User, error) {
	hash := ""
	if c.Password != nil {
		u, err := s.byID(id)
		if err != nil {
			return User{}, err
		}
		if err := checkPassword(*c.Password, u.Name); err != nil {
			return User{}, err
		}
		if hash, err = s.hasher.hash(ctx, *c.Password); err != nil {
			return User{}, err
		}
	}
	s.change.Lock()
	defer s.change.Unlock()
	u, err := s.byID(id)
	if err != nil {
		return User{}, err
	}
	was := Role(u.Role)
	if c.Role != nil {
		if _, err := ParseRole(string(*c.Role)); err != nil {
			return User{}, err
		}
		u.Role = string(*c.Role)
		if *c.Role != Member {
			u.Person = ""
		}
	}
	if c.Person != nil {
		u.Person = *c.Person
	}
	if (Role(u.Role) == Member) != (u.Person != "") {
		return User{}, ErrPerson
	}
	if was == Admin && Role(u.Role) != Admin && s.admins() == 1 {
		return User{}, ErrLastAdmin
	}
	if hash != "" {
		u.Password = hash
	}
	if c.NoTOTP {
		u.TOTP, u.Step, u.Recovery = nil, 0, ""
	}
	if err := s.put(ctx, u); err != nil {
		return User{}, err
	}
	if hash != "" || was != Role(u.Role) {
		if err := s.endSessions(ctx, func(v store.Session) bool { return v.User == id }); err != nil {
			return User{}, err
		}
	}
	return view(u), nil
}

// put writes a user through. The caller holds change.
func (s *Service) put(ctx context.Context, u store.User) error {
	if err := s.store.PutUser(ctx, u); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.ID] = u
	return nil
}

func (s *Service) admins() (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, u := range s.users {
		if Role(u.Role) == Admin {
			n++
		}
	}
	return n
}

// Delete removes a user with sessions and tokens. The last admin stays.
func (s *Service) Delete(ctx context.Context, id int64) (User, error) {
	s.change.Lock()
	defer s.change.Unlock()
	u, err := s.byID(id)
	if err != nil {
		return User{}, err
	}
	if Role(u.Role) == Admin && s.admins() == 1 {
		return User{}, ErrLastAdmin
	}
	if err := s.store.DeleteUser(ctx, id); err != nil {
		return User{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, id)
	delete(s.pending, id)
	for h, v := range s.sessions {
		if v.User == id {
			delete(s.sessions, h)
		}
	}
	for h, v := range s.tokens {
		if v.User == id {
			delete(s.tokens, h)
		}
	}
	return view(u), nil
}

// SetPassword changes one's own password; every other session of the user ends. Wrong attempts count as at the door.
func (s *Service) SetPassword(ctx context.Context, p Principal, v Visit, old, next string) error {
	u, err := s.byID(p.User)
	if err != nil {
		return err
	}
	if err := checkPassword(next, u.Name); err != nil {
		return err
	}
	if err := s.prove(ctx, u, v, old); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, next)
	if err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	if u, err = s.byID(p.User); err != nil {
		return err
	}
	u.Password = hash
	if err := s.put(ctx, u); err != nil {
		return err
	}
	return s.endSessions(ctx, func(v store.Session) bool { return v.User == u.ID && sessionID(v.Hash) != p.Session })
}

// prove checks the password of somebody who is signed in already.
func (s *Service) prove(ctx context.Context, u store.User, v Visit, password string) error {
	account := strings.ToLower(u.Name)
	if err := s.limiter.take(v.Peer, account, s.now()); err != nil {
		return err
	}
	ok, err := s.hasher.matches(ctx, u.Password, password)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("the password you have now: %w", ErrBadLogin)
	}
	s.limiter.right(v.Peer, account)
	return nil
}

// BeginTOTP makes a key for one's second factor; it counts from ConfirmTOTP on.
func (s *Service) BeginTOTP(ctx context.Context, p Principal, v Visit, password string) (secret, uri string, err error) {
	u, err := s.byID(p.User)
	if err != nil {
		return "", "", err
	}
	if err := s.prove(ctx, u, v, password); err != nil {
		return "", "", err
	}
	key := newTOTP()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[u.ID] = key
	return totpSecret(key), totpURI(key, u.Name), nil
}

// ConfirmTOTP turns the second factor on, once its first code shows that it works, and returns the codes for losing it.
func (s *Service) ConfirmTOTP(ctx context.Context, p Principal, v Visit, digits string) ([]string, error) {
	s.mu.RLock()
	key := s.pending[p.User]
	s.mu.RUnlock()
	if key == nil {
		return nil, ErrNoTOTP
	}
	s.change.Lock()
	defer s.change.Unlock()
	u, err := s.byID(p.User)
	if err != nil {
		return nil, err
	}
	if err := s.limiter.take(v.Peer, strings.ToLower(u.Name), s.now()); err != nil {
		return nil, err
	}
	step, ok := checkTOTP(key, digits, 0, s.now())
	if !ok {
		return nil, fmt.Errorf("the code does not match; is the clock of your phone right? %w", ErrBadLogin)
	}
	s.limiter.right(v.Peer, strings.ToLower(u.Name))
	codes, stored := newRecovery()
	u.TOTP, u.Step, u.Recovery = key, step, stored
	if err := s.put(ctx, u); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, u.ID)
	return codes, nil
}

// EndTOTP turns one's second factor off.
func (s *Service) EndTOTP(ctx context.Context, p Principal, v Visit, password string) error {
	u, err := s.byID(p.User)
	if err != nil {
		return err
	}
	if err := s.prove(ctx, u, v, password); err != nil {
		return err
	}
	_, err = s.Update(ctx, p.User, Change{NoTOTP: true})
	return err
}
