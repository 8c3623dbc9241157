package edition

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/trenza-router/trenza/router/catalog"
)

//go:embed maintainer.pub
var maintainer string

const (
	trailer     = "TRZNSIGN"
	trailerSize = ed25519.SignatureSize + len(trailer)
	pemType     = "PRIVATE KEY" // PKCS #8, as openssl genpkey writes it
)

var context = &ed25519.Options{Context: "trenza catalogue"}

// ErrForged: the signature is missing or by nobody known.
var ErrForged = errors.New("not signed by a known key")

// Maintainer is the key that the project signs its editions with.
func Maintainer() (ed25519.PublicKey, error) {
	k, err := ParseKey(strings.TrimSpace(maintainer))
	if err != nil {
		return nil, fmt.Errorf("the built-in key of the catalogue: %w", err)
	}
	return k, nil
}

// ParseKey reads a public key as FormatKey writes it: the base64 of its 32 bytes.
func ParseKey(s string) (ed25519.PublicKey, error) {
	k, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(k) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("key %q: use the 44 characters that \"trenza catalog keygen\" prints", s)
	}
	return k, nil
}

// FormatKey is a public key as text.
func FormatKey(k ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(k) }

// GenerateKey makes a key pair; the private key as a PEM file.
func GenerateKey() (ed25519.PublicKey, []byte, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("writing a key: %w", err)
	}
	return public, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ParsePrivateKey reads a PEM file with an Ed25519 key.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, errors.New("not a private key file (PEM, PKCS #8): make one with \"trenza catalog keygen\"")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key file is damaged") // the cause could quote the key
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not an Ed25519 key: make one with \"trenza catalog keygen\"")
	}
	return private, nil
}

// Sign makes a signed edition of a compiled catalogue, which it checks first.
func Sign(compiled []byte, key ed25519.PrivateKey) ([]byte, error) {
	if _, err := catalog.Decode(string(compiled)); err != nil {
		return nil, err
	}
	signature, err := key.Sign(nil, compiled, context)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return bytes.Join([][]byte{compiled, signature, []byte(trailer)}, nil), nil
}

// Open verifies a signed edition against the keys and reads it. Errors are ErrForged or catalog.ErrNotCatalogue.
func Open(data []byte, keys []ed25519.PublicKey) (*catalog.Catalog, error) {
	compiled, ok := bytes.CutSuffix(data, []byte(trailer))
	if !ok || len(data) < trailerSize {
		return nil, fmt.Errorf("%w: it has no signature at its end: it was cut off, or is not a signed catalogue", ErrForged)
	}
	at := len(compiled) - ed25519.SignatureSize
	compiled, signature := compiled[:at], compiled[at:]
	for _, k := range keys {
		if ed25519.VerifyWithOptions(k, compiled, signature, context) == nil {
			return catalog.Decode(string(compiled))
		}
	}
	return nil, fmt.Errorf("%w: it was changed on the way, or somebody else made it", ErrForged)
}
