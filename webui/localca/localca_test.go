package localca

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func open(t *testing.T, dir string, now func() time.Time) *Authority {
	t.Helper()
	a, err := Open(dir, now, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestTrusted: who trusts the authority reads the page by name and by address, before and after a restart, and nobody else does.
func TestTrusted(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, time.Now)
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v %v, want mode 0600", info.Mode(), err)
	}
	again := open(t, dir, time.Now)
	if first.Fingerprint() != again.Fingerprint() || len(first.Fingerprint()) != 95 {
		t.Errorf("%s became %s", first.Fingerprint(), again.Fingerprint())
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(first.PEM())
	for _, a := range []*Authority{first, again} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") }))
		s.TLS = a.TLS()
		s.StartTLS()
		// httptest adds a certificate of its own, which is preferred.
		s.TLS.Certificates = nil
		defer s.Close()
		for name, pool := range map[string]*x509.CertPool{"127.0.0.1": roots, "router.home.arpa": roots, "router": roots} {
			c, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{RootCAs: pool, ServerName: name})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			c.Close()
		}
		for name, pool := range map[string]*x509.CertPool{"example.org": roots, "192.168.9.9": roots, "router": x509.NewCertPool()} {
			if c, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{RootCAs: pool, ServerName: name}); err == nil {
				c.Close()
				t.Errorf("%s is trusted", name)
			}
		}
	}
}

// TestConfined: even a stolen key vouches for nothing of the internet.
func TestConfined(t *testing.T) {
	a := open(t, t.TempDir(), time.Now)
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	leaf, err := a.issue(netip.MustParseAddr("203.0.113.1"))
	if err != nil {
		t.Fatal(err)
	}
	if len(leaf.Leaf.IPAddresses) != 0 {
		t.Errorf("it is for %v", leaf.Leaf.IPAddresses)
	}
	for name, change := range map[string]func(*x509.Certificate){
		"a name of the internet":     func(c *x509.Certificate) { c.DNSNames = []string{"bank.example"} },
		"an address of the internet": func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(203, 0, 113, 1)} },
	} {
		template := *leaf.Leaf
		change(&template)
		der, err := x509.CreateCertificate(nil, &template, a.cert, leaf.Leaf.PublicKey, a.key)
		if err != nil {
			t.Fatal(err)
		}
		forged, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := forged.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
			t.Errorf("%s is believed", name)
		}
	}
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "router.lan"}); err != nil {
		t.Error(err)
	}
}

// TestClocks: certificates of a machine that does not know the time are good when it does, and old ones are renewed.
func TestClocks(t *testing.T) {
	now := time.Unix(0, 0)
	a := open(t, t.TempDir(), func() time.Time { return now })
	get := func() *x509.Certificate {
		t.Helper()
		c, err := a.certificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf
	}
	early := get()
	if a.cert.NotBefore.Year() != 2025 || early.NotAfter.Year() < 2026 {
		t.Errorf("from %v, to %v", a.cert.NotBefore, early.NotAfter)
	}
	now = time.Date(2028, 5, 5, 0, 0, 0, 0, time.UTC)
	later := get()
	if later.Equal(early) || !later.NotAfter.After(now) || later.NotBefore.After(now) {
		t.Errorf("not renewed: %v to %v", later.NotBefore, later.NotAfter)
	}
	if !get().Equal(later) {
		t.Error("made anew without need")
	}
	now = now.Add(leafLife - renewBefore + time.Hour)
	if get().Equal(later) {
		t.Error("not renewed in time")
	}
}

func TestBrokenFiles(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, time.Now)
	if err := os.WriteFile(filepath.Join(dir, certFile), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, time.Now, time.Time{}); err == nil {
		t.Error("half an authority was taken")
	}
}
