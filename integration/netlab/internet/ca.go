package internet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// authority is the lab's certificate authority: it makes a certificate for a name when a client first asks for it.
// Its key lives in memory alone.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	known map[string]Name

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// newAuthority makes a fresh CA for the names of a table.
func newAuthority(names []Name) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Trenza lab CA", Organization: []string{"Trenza lab"}},
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back CA certificate: %w", err)
	}
	return &authority{cert: cert, key: key, known: newZone(names), leaves: make(map[string]*tls.Certificate)}, nil
}

// writePEM puts the CA certificate at path in one step: a reader sees the old file or the new one.
func (a *authority) writePEM(path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".ca-*")
	if err != nil {
		return fmt.Errorf("write CA certificate %s: %w", path, err)
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	err = pem.Encode(tmp, &pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write CA certificate %s: %w", path, err)
	}
	return nil
}

// certificate is the tls.Config.GetCertificate of all servers. A client without SNI gets a certificate for the address
// that it called; one that asks for a name that is not in the table is refused.
func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		local := addrPort(hello.Conn.LocalAddr()).Addr()
		return a.leaf(local.String(), local)
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if _, ok := a.known[name]; !ok {
		return nil, fmt.Errorf("no certificate for %q: not a name of the lab", hello.ServerName)
	}
	return a.leaf(name, netip.Addr{})
}

func (a *authority) leaf(subject string, addr netip.Addr) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, ok := a.leaves[subject]; ok {
		return c, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key for %s: %w", subject, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: subject},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     a.cert.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if addr.IsValid() {
		template.IPAddresses = []net.IP{addr.AsSlice()}
	} else {
		template.DNSNames = []string{subject}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate for %s: %w", subject, err)
	}
	c := &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
	a.leaves[subject] = c
	return c, nil
}

func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}
