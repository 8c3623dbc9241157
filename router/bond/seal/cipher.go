package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// Cipher is how the datagrams of a session are encrypted. Both have keys of 32 bytes, nonces of 12 and tags of 16.
type Cipher uint8

const (
	ChaCha20Poly1305 Cipher = iota + 1 // RFC 8439
	AES256GCM                          // NIST SP 800-38D
)

func (c Cipher) String() string {
	switch c {
	case ChaCha20Poly1305:
		return "ChaCha20-Poly1305"
	case AES256GCM:
		return "AES-256-GCM"
	}
	return fmt.Sprintf("cipher %d", uint8(c))
}

func (c Cipher) aead(key [32]byte) (cipher.AEAD, error) {
	switch c {
	case ChaCha20Poly1305:
		return chacha20poly1305.New(key[:])
	case AES256GCM:
		block, err := aes.NewCipher(key[:])
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(block)
	}
	return nil, errBroken
}

// Costs is what a machine pays to seal a datagram of 1,400 bytes, in units of 16 ns; 0 is a cipher that it does not want.
type Costs struct{ ChaCha, AES uint16 }

const costUnit = 16 * time.Nanosecond

// Measure finds the costs of this machine, in a few milliseconds of work. clock never goes back.
func Measure(clock func() time.Duration) Costs {
	return Costs{ChaCha: measure(ChaCha20Poly1305, clock), AES: measure(AES256GCM, clock)}
}

func measure(c Cipher, clock func() time.Duration) uint16 {
	const rounds, batch = 8, 32
	aead, err := c.aead([32]byte{})
	if err != nil {
		return 0
	}
	var nonce [12]byte
	buf := make([]byte, 1400, 1400+Overhead)
	least := time.Duration(math.MaxInt64)
	for range rounds { // the least is the one that nothing interrupted
		start := clock()
		for range batch {
			aead.Seal(buf[:0], nonce[:], buf, nil)
		}
		least = min(least, clock()-start)
	}
	return uint16(max(1, min(least/batch/costUnit, math.MaxUint16)))
}

// choose takes the cipher with which the slower of the two machines is the faster.
func choose(a, b Costs) (Cipher, bool) {
	chacha, aes := max(a.ChaCha, b.ChaCha), max(a.AES, b.AES)
	noChaCha, noAES := a.ChaCha == 0 || b.ChaCha == 0, a.AES == 0 || b.AES == 0
	switch {
	case noChaCha && noAES:
		return 0, false
	case noAES || !noChaCha && chacha <= aes:
		return ChaCha20Poly1305, true
	}
	return AES256GCM, true
}
