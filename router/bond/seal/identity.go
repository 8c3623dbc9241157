package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"
)

// Key is a public Curve25519 key: who a router or a relay is.
type Key [32]byte

// String is the key in base64, as ParseKey reads it.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// ParseKey reads a public key in base64.
func ParseKey(s string) (k Key, err error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != len(k) {
		return k, errors.New("a public key is 44 characters of base64, copied whole")
	}
	return Key(b), nil
}

// Secret is a key that two ends share beside their own, from an invite. The zero value is none.
type Secret [32]byte

// String hides the secret from logs.
func (Secret) String() string { return "secret" }

// GoString hides the secret from logs.
func (Secret) GoString() string { return "secret" }

// Ticket names the invite that a router joins with. The zero value is none. It travels encrypted.
type Ticket [16]byte

// Identity is a key pair. The private half leaves it by Private alone.
type Identity struct {
	private [32]byte
	public  Key
}

// NewIdentity draws a key pair from a source of good randomness.
func NewIdentity(random io.Reader) (Identity, error) {
	pair, err := noise.DH25519.GenerateKeypair(random)
	if err != nil {
		return Identity{}, fmt.Errorf("drawing a key pair: %w", err)
	}
	return Identity{private: [32]byte(pair.Private), public: Key(pair.Public)}, nil
}

// IdentityOf restores a key pair from its private half.
func IdentityOf(private [32]byte) (Identity, error) {
	public, err := noise.DH25519.DH(private[:], basepoint[:])
	if err != nil {
		return Identity{}, fmt.Errorf("deriving the public key: %w", err)
	}
	return Identity{private: private, public: Key(public)}, nil
}

var basepoint = [32]byte{9} // of Curve25519, RFC 7748 section 4.1

// Public is the half that others may know.
func (i Identity) Public() Key { return i.public }

// Private is the half to keep, for a file that only its owner reads.
func (i Identity) Private() [32]byte { return i.private }

// String is the public key alone.
func (i Identity) String() string { return i.public.String() }

// GoString is the public key alone.
func (i Identity) GoString() string { return i.public.String() }
