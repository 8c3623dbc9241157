package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What one hash costs: 19 MiB and two passes, the smallest of the OWASP password storage cheat sheet's equal choices, since a
// router with 64 MB must still route. About 60 ms on a Raspberry Pi 4.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	hashLanes  = 1
	saltSize   = 16
	keySize    = 32
	// A stored hash may ask for no more than this, whoever wrote it.
	maxMemory, maxPasses, maxLanes = 64 << 10, 10, 4
)

// maxQueue is how many may wait for their password to be looked at.
const maxQueue = 8

// ErrBusy: too many sign in at once.
var ErrBusy = errors.New("too many are signing in at this moment: try again in a few seconds")

// hasher hashes one password at a time.
type hasher struct{ queue, turn chan struct{} }

func newHasher() hasher {
	return hasher{make(chan struct{}, maxQueue), make(chan struct{}, 1)}
}

// enter waits for the turn; the caller calls leave after a nil error.
func (h hasher) enter(ctx context.Context) error {
	select {
	case h.queue <- struct{}{}:
	default:
		return ErrBusy
	}
	select {
	case h.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-h.queue
		return ctx.Err()
	}
}

func (h hasher) leave() {
	<-h.turn
	<-h.queue
}

// hash makes the stored form of a password, a PHC string.
func (h hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := make([]byte, saltSize)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, hashLanes, keySize)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashPasses, hashLanes,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// matches tells whether a password is the one of a stored form. A form of "" matches nothing and takes as long.
func (h hasher) matches(ctx context.Context, stored, password string) (bool, error) {
	f, err := parseHash(stored)
	if stored == "" {
		f, err = hashForm{memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: make([]byte, saltSize), key: make([]byte, keySize)}, nil
	}
	if err != nil {
		return false, err
	}
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	key := argon2.IDKey([]byte(password), f.salt, f.passes, f.memory, f.lanes, uint32(len(f.key)))
	return subtle.ConstantTimeCompare(key, f.key) == 1 && stored != "", nil
}

// hashForm is a PHC string of argon2id taken apart.
type hashForm struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

func parseHash(stored string) (f hashForm, err error) {
	bad := errors.New("a stored password is not in a form that this version knows: set a new one with \"trenza user password\"")
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return f, bad
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &f.memory, &f.passes, &f.lanes); n != 3 || err != nil {
		return f, bad
	}
	b64 := base64.RawStdEncoding.Strict()
	var saltErr, keyErr error
	f.salt, saltErr = b64.DecodeString(parts[4])
	f.key, keyErr = b64.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(f.salt) < 8 || len(f.salt) > 64 || len(f.key) < 16 || len(f.key) > 64 ||
		f.passes < 1 || f.passes > maxPasses || f.lanes < 1 || f.lanes > maxLanes || f.memory < 8*uint32(f.lanes) || f.memory > maxMemory {
		return f, bad
	}
	return f, nil
}
