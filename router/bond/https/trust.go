package https

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// Trust is by what a router knows the relay's web server: the certificate's public key, or a name that a public authority vouches for.
type Trust struct {
	Pin  [sha256.Size]byte // SHA-256 of the key, as RFC 7469 section 2.4 has it
	Name string            // the zero Pin: this name, by the machine's authorities
}

// pinned tells whether the key counts and not the name.
func (t Trust) pinned() bool { return t.Pin != [sha256.Size]byte{} }

// ErrInspected is a TLS connection that somebody else than the relay answered.
var ErrInspected = errors.New("somebody on the way answers TLS in the relay's place")

// config is that of a router's connection. It has no weaker second try.
func (t Trust) config() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: t.Name, NextProtos: []string{"http/1.1"}}
	if t.pinned() {
		c.InsecureSkipVerify = true // the key is known: nobody has to vouch for it
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || Pin(s.PeerCertificates[0]) != t.Pin {
				return inspected(s.PeerCertificates, "its key is not that of the relay's code")
			}
			return nil
		}
	}
	return c
}

// explain makes an error of the handshake one that says what to do.
func explain(err error) error {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return inspected(bad.UnverifiedCertificates, bad.Err.Error())
	}
	return err
}

func inspected(chain []*x509.Certificate, why string) error {
	by := "no certificate"
	if len(chain) > 0 {
		by = fmt.Sprintf("a certificate for %q by %q", chain[0].Subject, chain[0].Issuer)
	}
	return fmt.Errorf("%w: it shows %s (%s). A proxy that opens TLS, or a sign-in page, is never trusted: sign in, have the relay's address excepted, or use another network. If the relay has a new certificate, it needs a new code",
		ErrInspected, by, why)
}

// Pin is the hash of a certificate's public key.
func Pin(c *x509.Certificate) [sha256.Size]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// certificateLife is that of a certificate of one's own making: nobody looks at its end, but for scanners.
const certificateLife = 10 * 365 * 24 * time.Hour

// NewCertificate makes a certificate that only those trust who know its key, with its key, as PEM. hosts are names and addresses.
func NewCertificate(hosts []string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if a, err := netip.ParseAddr(h); err == nil {
			c.IPAddresses = append(c.IPAddresses, net.IP(a.AsSlice()))
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	if len(hosts) > 0 {
		c.Subject = pkix.Name{CommonName: hosts[0]}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	var out bytes.Buffer
	for _, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&out, b); err != nil {
			return nil, fmt.Errorf("making a certificate: %w", err)
		}
	}
	return out.Bytes(), nil
}
