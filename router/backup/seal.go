package backup

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"
)

// Sizes in bytes.
const (
	// MaxFile is the largest file that is read.
	MaxFile = 48 << 20
	// maxText bounds what a file unpacks to: a few kilobytes of zeros could fill any memory.
	maxText = 160 << 20
	// MinPassphrase is the shortest passphrase that is taken: whoever has the file may try as often as they like.
	MinPassphrase = 12
)

const (
	plainMagic  = "trenza-backup 1\n"
	sealedMagic = "trenza-backup 1 sealed\n"
	saltSize    = 16
	nonceSize   = 12
)

// What a key costs, fixed by the format's version so that a file cannot ask for more: 64 MiB and three passes, the second choice of RFC 9106 section 4
// on one lane.
const (
	keyMemory = 64 << 10 // KiB
	keyPasses = 3
	keyLanes  = 1
	keySize   = 32
)

// Errors of files and passphrases.
var (
	ErrFile       = errors.New("this is no backup of a router, or it is damaged")
	ErrNewer      = errors.New("a newer router made this backup: upgrade this one first")
	ErrPassphrase = errors.New("the passphrase does not open this backup")
	ErrNeedPass   = errors.New("this backup is sealed: give its passphrase")
	ErrShortPass  = fmt.Errorf("a passphrase has at least %d characters: whoever finds the file may try as often as they like", MinPassphrase)
	ErrLarge      = fmt.Errorf("a backup has at most %d MiB", MaxFile>>20)
)

// Seal writes a file; "" as passphrase leaves it readable, which no content with secrets may be.
func Seal(c Content, passphrase string) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("making a backup: %w", err)
	}
	if passphrase == "" && c.secret() {
		return nil, errors.New("making a backup: secrets need a passphrase")
	}
	if passphrase != "" && len(passphrase) < MinPassphrase {
		return nil, ErrShortPass
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if err := errors.Join(json.NewEncoder(z).Encode(c), z.Close()); err != nil {
		return nil, fmt.Errorf("making a backup: %w", err)
	}
	if passphrase == "" {
		sum := sha256.Sum256(packed.Bytes())
		return bytes.Join([][]byte{[]byte(plainMagic), sum[:], packed.Bytes()}, nil), nil
	}
	head := append([]byte(sealedMagic), make([]byte, saltSize+nonceSize)...)
	_, _ = rand.Read(head[len(sealedMagic):]) // documented never to fail
	box, err := opener(head, passphrase)
	if err != nil {
		return nil, fmt.Errorf("making a backup: %w", err)
	}
	return box.Seal(head, head[len(head)-nonceSize:], packed.Bytes(), head[:len(head):len(head)]), nil
}

// secret tells whether anything of it must not be readable.
func (c Content) secret() bool {
	for _, u := range c.Users {
		if u.TOTP != nil || u.Recovery != "" {
			return true
		}
	}
	return len(c.Secrets) > 0
}

// opener is the cipher of a sealed file that begins with head.
func opener(head []byte, passphrase string) (cipher.AEAD, error) {
	salt := head[len(sealedMagic) : len(sealedMagic)+saltSize]
	block, err := aes.NewCipher(argon2.IDKey([]byte(passphrase), salt, keyPasses, keyMemory, keyLanes, keySize))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Sealed tells whether a file needs a passphrase.
func Sealed(file []byte) bool { return bytes.HasPrefix(file, []byte(sealedMagic)) }

// Open reads a file wholly, or fails with one of the errors above.
func Open(file []byte, passphrase string) (Content, error) {
	packed, err := unseal(file, passphrase)
	if err != nil {
		return Content{}, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return Content{}, fmt.Errorf("%w: %w", ErrFile, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxText+1))
	switch {
	case err != nil:
		return Content{}, fmt.Errorf("%w: %w", ErrFile, err)
	case len(text) > maxText:
		return Content{}, fmt.Errorf("%w: it unpacks to more than %d MiB", ErrFile, maxText>>20)
	}
	c, err := decode(text)
	if err != nil {
		return Content{}, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return c, nil
}

func unseal(file []byte, passphrase string) ([]byte, error) {
	switch {
	case len(file) > MaxFile:
		return nil, ErrLarge
	case Sealed(file):
		size := len(sealedMagic) + saltSize + nonceSize
		if len(file) < size {
			return nil, ErrFile
		}
		if passphrase == "" {
			return nil, ErrNeedPass
		}
		head := file[:size]
		box, err := opener(head, passphrase)
		if err != nil {
			return nil, fmt.Errorf("opening a backup: %w", err)
		}
		packed, err := box.Open(nil, head[size-nonceSize:], file[size:], head)
		if err != nil {
			return nil, ErrPassphrase // or a damaged file: the cipher cannot tell
		}
		return packed, nil
	case bytes.HasPrefix(file, []byte(plainMagic)):
		rest := file[len(plainMagic):]
		if len(rest) < sha256.Size || sha256.Sum256(rest[sha256.Size:]) != [sha256.Size]byte(rest[:sha256.Size]) {
			return nil, ErrFile
		}
		return rest[sha256.Size:], nil
	case bytes.HasPrefix(file, []byte("trenza-backup ")):
		return nil, ErrNewer
	}
	return nil, ErrFile
}
