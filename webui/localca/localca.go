package localca

import (
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
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/lru"
)

const (
	certFile = "ca.pem"
	keyFile  = "ca.key"
	// authorityLife outlives the router; leafLife is below the 398 days that some systems allow.
	authorityLife = 20 * 365 * 24 * time.Hour
	leafLife      = 390 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
	maxLeaves     = 32 // addresses of the router that somebody used
)

// Names are the router's names inside the house.
func Names() []string { return []string{"router.home.arpa", "router.lan", "router", "localhost"} }

// inside lists the address ranges of houses: private, shared, link-local and loopback (RFC 1918, 4193, 6598, 3927, 4291).
func inside() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// Authority makes the certificates of this router.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time

	mu     sync.Mutex
	leaves *lru.Map[netip.Addr, *tls.Certificate]
}

// Open reads the authority in dir, or makes it at the first start. earliest is a moment that has surely passed: a machine whose clock
// is not set yet must not make certificates that are over before it is.
func Open(dir string, now func() time.Time, earliest time.Time) (*Authority, error) {
	a := &Authority{leaves: lru.New[netip.Addr, *tls.Certificate](maxLeaves), now: func() time.Time {
		if t := now(); t.After(earliest) {
			return t
		}
		return earliest
	}}
	err := a.read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = a.make(dir, earliest)
	}
	if err != nil {
		return nil, fmt.Errorf("the router's certificate authority in %s: %w", dir, err)
	}
	return a, nil
}

func (a *Authority) read(dir string) error {
	keyPEM, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return err
	}
	certPEM, err := os.ReadFile(filepath.Join(dir, certFile))
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("%w; remove %s and %s to make a new one, and install it on your devices again", err, certFile, keyFile)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("%s is no ECDSA key", keyFile)
	}
	a.cert, a.key = pair.Leaf, key
	return os.Chmod(filepath.Join(dir, keyFile), 0o600)
}

func (a *Authority) make(dir string, earliest time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := a.now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"Trenza"}, CommonName: "Trenza router, made " + now.UTC().Format("2006-01-02")},
		NotBefore: earliest, NotAfter: now.Add(authorityLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: Names(),
	}
	for _, p := range inside() {
		template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The certificate first: a key without one would be taken for an authority that lost half of itself.
	if err := write(filepath.Join(dir, certFile), 0o644, "CERTIFICATE", der); err != nil {
		return err
	}
	return write(filepath.Join(dir, keyFile), 0o600, "PRIVATE KEY", keyDER)
}

// write makes a file whole or not at all.
func write(path string, mode fs.FileMode, kind string, der []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	// The mode of a file that was there already is another one.
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func serial() *big.Int {
	n := make([]byte, 16)
	rand.Read(n)
	n[0] &= 0x7f // positive, RFC 5280 section 4.1.2.2
	return new(big.Int).SetBytes(n)
}

// PEM is the authority's certificate, for devices to trust.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Fingerprint is the SHA-256 of the certificate, in the form that devices show: "AB:CD:…".
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.cert.Raw)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// NotAfter is when the authority ends.
func (a *Authority) NotAfter() time.Time { return a.cert.NotAfter }

// Name is what devices list the authority as.
func (a *Authority) Name() string { return a.cert.Subject.CommonName }

// TLS is the configuration of a server whose certificate is for the router's names and the address that a client came to.
func (a *Authority) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: a.certificate}
}

func (a *Authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var at netip.Addr
	if hello.Conn != nil {
		if local, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String()); err == nil {
			at = local.Addr().Unmap().WithZone("")
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if leaf := a.leaves.Get(at); leaf != nil && a.now().Before((*leaf).Leaf.NotAfter.Add(-renewBefore)) && a.now().After((*leaf).Leaf.NotBefore) {
		return *leaf, nil
	}
	leaf, err := a.issue(at)
	if err != nil {
		return nil, fmt.Errorf("making the page's certificate: %w", err)
	}
	a.leaves.Put(at, leaf)
	return leaf, nil
}

// issue makes a certificate for the router's names and one address, if that is one of a house.
func (a *Authority) issue(at netip.Addr) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := a.now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: Names()[0]},
		// A phone's clock may be behind the router's.
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: Names(),
	}
	for _, p := range inside() {
		if at.IsValid() && p.Contains(at) {
			template.IPAddresses = []net.IP{at.AsSlice()}
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
