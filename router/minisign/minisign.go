package minisign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// ErrForged is a signature that does not belong to the data and the key.
var ErrForged = errors.New("the signature is not of this key over this data")

// Algorithm marks of the format.
const (
	algKey       = "Ed" // of keys, and of signatures over the data itself, which are not taken
	algPrehashed = "ED"
	algChecksum  = "B2"
)

const (
	untrusted = "untrusted comment: "
	trusted   = "trusted comment: "
)

// PublicKey is who signs. ID is random and names the key only to people.
type PublicKey struct {
	ID  [8]byte
	Key ed25519.PublicKey // 32 bytes
}

// PrivateKey signs.
type PrivateKey struct {
	ID  [8]byte
	Key ed25519.PrivateKey // 64 bytes
}

// Generate makes a key from the system's randomness.
func Generate() (PrivateKey, error) {
	var p PrivateKey
	if _, err := rand.Read(p.ID[:]); err != nil {
		return p, fmt.Errorf("making a key: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return p, fmt.Errorf("making a key: %w", err)
	}
	p.Key = key
	return p, nil
}

// Public is the half that others check with.
func (p PrivateKey) Public() PublicKey {
	return PublicKey{p.ID, p.Key.Public().(ed25519.PublicKey)}
}

// Format is the text of a public key file.
func (p PublicKey) Format() string {
	return fmt.Sprintf("%sminisign public key %X\n%s\n", untrusted, binary.LittleEndian.Uint64(p.ID[:]), encode([]byte(algKey), p.ID[:], p.Key))
}

// ParsePublicKey reads a public key file, or its second line alone.
func ParsePublicKey(text []byte) (PublicKey, error) {
	var p PublicKey
	lines := linesOf(text)
	data, err := base64.StdEncoding.DecodeString(lines[len(lines)-1])
	if err != nil || len(lines) > 2 || len(data) != 2+8+ed25519.PublicKeySize || string(data[:2]) != algKey {
		return p, errors.New("this is no minisign public key")
	}
	copy(p.ID[:], data[2:])
	p.Key = ed25519.PublicKey(data[10:])
	return p, nil
}

// Format is the text of a secret key file without a password.
func (p PrivateKey) Format() string {
	sum := p.checksum()
	return untrusted + "minisign secret key, without password\n" + encode([]byte(algKey), []byte{0, 0}, []byte(algChecksum),
		make([]byte, 32+8+8), // salt and costs of a password that there is none of
		p.ID[:], p.Key, sum[:]) + "\n"
}

func (p PrivateKey) checksum() [32]byte {
	return blake2b.Sum256(bytes.Join([][]byte{[]byte(algKey), p.ID[:], p.Key}, nil))
}

// ParsePrivateKey reads a secret key file that has no password.
func ParsePrivateKey(text []byte) (PrivateKey, error) {
	var p PrivateKey
	lines := linesOf(text)
	data, err := base64.StdEncoding.DecodeString(lines[len(lines)-1])
	if err != nil || len(data) != 6+48+8+ed25519.PrivateKeySize+32 || string(data[:2]) != algKey || string(data[4:6]) != algChecksum {
		return p, errors.New("this is no minisign secret key")
	}
	if data[2] != 0 || data[3] != 0 {
		return p, errors.New("the secret key has a password: make one without, by minisign -G -W, and guard the file")
	}
	copy(p.ID[:], data[54:])
	p.Key = ed25519.PrivateKey(data[62 : 62+ed25519.PrivateKeySize])
	// minisign leaves the checksum of a key without password empty; the public half inside shows damage as well.
	sum, none := p.checksum(), make([]byte, 32)
	if !bytes.Equal(sum[:], data[126:]) && !bytes.Equal(none, data[126:]) || !bytes.Equal(ed25519.NewKeyFromSeed(p.Key.Seed()), p.Key) {
		return PrivateKey{}, errors.New("the secret key is damaged")
	}
	return p, nil
}

// Sign returns the text of a signature file. The comment is covered by the signature and has one line.
func (p PrivateKey) Sign(data []byte, comment string) (string, error) {
	if strings.ContainsAny(comment, "\r\n") {
		return "", errors.New("signing: the comment has more than one line")
	}
	hash := blake2b.Sum512(data)
	sig := ed25519.Sign(p.Key, hash[:])
	global := ed25519.Sign(p.Key, append(bytes.Clone(sig), comment...))
	return fmt.Sprintf("%ssignature by minisign secret key\n%s\n%s%s\n%s\n", untrusted,
		encode([]byte(algPrehashed), p.ID[:], sig), trusted, comment, encode(global)), nil
}

// Verify checks a signature file against the data and returns the trusted comment. It wraps ErrForged when they do not belong together.
func (p PublicKey) Verify(data, signature []byte) (comment string, err error) {
	lines := linesOf(signature)
	if len(lines) != 4 || !strings.HasPrefix(lines[0], untrusted) || !strings.HasPrefix(lines[2], trusted) {
		return "", fmt.Errorf("%w: it is not in minisign's form", ErrForged)
	}
	sig, err := base64.StdEncoding.DecodeString(lines[1])
	if err != nil || len(sig) != 2+8+ed25519.SignatureSize || string(sig[:2]) != algPrehashed {
		return "", fmt.Errorf("%w: it is not in minisign's form", ErrForged)
	}
	global, err := base64.StdEncoding.DecodeString(lines[3])
	if err != nil {
		return "", fmt.Errorf("%w: it is not in minisign's form", ErrForged)
	}
	if !bytes.Equal(sig[2:10], p.ID[:]) {
		return "", fmt.Errorf("%w: it was made by the key %X", ErrForged, binary.LittleEndian.Uint64(sig[2:10]))
	}
	comment = strings.TrimPrefix(lines[2], trusted)
	hash := blake2b.Sum512(data)
	if !ed25519.Verify(p.Key, hash[:], sig[10:]) || !ed25519.Verify(p.Key, append(bytes.Clone(sig[10:]), comment...), global) {
		return "", ErrForged
	}
	return comment, nil
}

func encode(parts ...[]byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Join(parts, nil))
}

// linesOf has at least one line.
func linesOf(text []byte) []string {
	lines := strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}
