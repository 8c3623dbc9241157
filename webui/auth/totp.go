package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238 as every authenticator application speaks it; HMAC needs no collision resistance
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// TOTP as authenticator applications expect it (RFC 6238 with RFC 4226's truncation): SHA-1, 30 s, six digits.
const (
	totpStep   = 30 // seconds
	totpDigits = 1_000_000
	totpKey    = 20 // bytes, RFC 4226 section 4
	totpSkew   = 1  // steps that a clock may be beside, RFC 6238 section 5.2
	recoveries = 8
)

// code is the value of one step (RFC 4226 section 5.3).
func code(key []byte, step int64) uint32 {
	mac := hmac.New(sha1.New, key)
	var count [8]byte
	binary.BigEndian.PutUint64(count[:], uint64(step))
	mac.Write(count[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return binary.BigEndian.Uint32(sum[at:at+4]) & 0x7fffffff
}

// checkTOTP tells whether digits are a value of now that was not used yet, and its step: later values must be of later steps
// (RFC 6238 section 5.2, a value counts once).
func checkTOTP(key []byte, digits string, used int64, now time.Time) (step int64, ok bool) {
	digits = strings.ReplaceAll(digits, " ", "")
	current := now.Unix() / totpStep
	for s := current - totpSkew; s <= current+totpSkew; s++ {
		want := fmt.Sprintf("%06d", code(key, s)%totpDigits)
		if subtle.ConstantTimeCompare([]byte(want), []byte(digits)) == 1 && s > used {
			step, ok = s, true
		}
	}
	return step, ok
}

// newTOTP makes a key.
func newTOTP() []byte {
	key := make([]byte, totpKey)
	rand.Read(key)
	return key
}

// totpSecret is a key as it is typed, and totpURI as it is scanned.
func totpSecret(key []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(key)
}

func totpURI(key []byte, user string) string {
	q := url.Values{"secret": {totpSecret(key)}, "issuer": {"Trenza"}}
	return "otpauth://totp/" + url.PathEscape("Trenza:"+user) + "?" + q.Encode()
}

// newRecovery makes codes for whoever loses the second factor, and what is stored of them. They have 80 random bits, so a plain
// hash keeps them.
func newRecovery() (codes []string, stored string) {
	var hashes []string
	for range recoveries {
		raw := make([]byte, 10)
		rand.Read(raw)
		c := base32.StdEncoding.EncodeToString(raw)
		codes = append(codes, c[:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:])
		hashes = append(hashes, recoveryHash(c))
	}
	return codes, strings.Join(hashes, "\n")
}

func recoveryHash(c string) string {
	sum := sha256.Sum256([]byte(strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(c))))
	return hex.EncodeToString(sum[:])
}

// useRecovery takes a code away from the stored ones.
func useRecovery(stored, c string) (rest string, ok bool) {
	want := recoveryHash(c)
	var left []string
	for _, h := range strings.Fields(stored) {
		if subtle.ConstantTimeCompare([]byte(h), []byte(want)) == 1 {
			ok = true
			continue
		}
		left = append(left, h)
	}
	return strings.Join(left, "\n"), ok
}
