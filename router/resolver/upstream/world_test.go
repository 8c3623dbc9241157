package upstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
)

// sockets are the machine's own: the way does not matter on loopback. They count what was dialled.
type sockets struct{ dialled atomic.Int64 }

func (s *sockets) Dial(ctx context.Context, _ hal.Via, network string, to netip.AddrPort) (hal.Conn, error) {
	s.dialled.Add(1)
	var d net.Dialer
	return d.DialContext(ctx, network, to.String())
}

func (*sockets) Ping(context.Context, hal.Via, netip.Addr) (time.Duration, error) {
	return 0, errors.ErrUnsupported
}

// certificate makes an authority's own certificate for names and addresses, and the pool that trusts it.
func certificate(t testing.TB, until time.Time, names []string, addrs ...net.IP) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		DNSNames: names, IPAddresses: addrs, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

const serverName = "dns.example"

func valid(t testing.TB) (tls.Certificate, *x509.CertPool) {
	return certificate(t, time.Now().Add(24*time.Hour), []string{serverName}, net.IPv4(127, 0, 0, 1))
}

// serveTLS runs a TLS server on loopback; every connection is served by serve on a goroutine of its own and closed after it.
func serveTLS(t testing.TB, cert tls.Certificate, serve func(net.Conn)) Server {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"dot"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); serve(conn) }()
		}
	}()
	return Server{Proto: TLS, Addr: netip.MustParseAddrPort(l.Addr().String()), Name: serverName}
}

// serveHTTPS runs an HTTP/2 server on loopback.
func serveHTTPS(t testing.TB, cert tls.Certificate, h http.HandlerFunc) Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return Server{Proto: HTTPS, Addr: netip.MustParseAddrPort(s.Listener.Addr().String()), Name: serverName, Path: dohPath}
}

// answer gives the address 203.0.113.1 to every name.
func answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
	m.Answer = []dns.RR{&dns.A{Hdr: h, A: net.IPv4(203, 0, 113, 1)}}
	return m
}

// next reads a question off a connection; nil at its end.
func next(conn net.Conn) *dns.Msg {
	raw, err := readMessage(conn)
	m := new(dns.Msg)
	if err != nil || m.Unpack(raw) != nil {
		return nil
	}
	return m
}

func write(t testing.TB, conn net.Conn, m *dns.Msg) {
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
		return
	}
	writeRaw(conn, b)
}

// writeRaw does not tell of failures: the client may have gone.
func writeRaw(conn net.Conn, b []byte) {
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
}

// answerAll answers everything on a connection.
func answerAll(t testing.TB) func(net.Conn) {
	return func(conn net.Conn) {
		for q := next(conn); q != nil; q = next(conn) {
			write(t, conn, answer(q))
		}
	}
}

// doh answers by what f makes of the question.
func doh(t testing.TB, f func(q *dns.Msg) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		raw, err := io.ReadAll(req.Body)
		q := new(dns.Msg)
		if err != nil || q.Unpack(raw) != nil || q.Id != 0 || req.Method != http.MethodPost || req.URL.Path != dohPath ||
			req.ProtoMajor != 2 || req.Header.Get("Content-Type") != messageType || req.UserAgent() != "" {
			t.Errorf("asked with %s %s %v: %v", req.Method, req.URL, req.Header, err)
		}
		w.Header().Set("Content-Type", messageType)
		_, _ = w.Write(f(q))
	}
}

func packedAnswer(q *dns.Msg) []byte {
	b, err := answer(q).Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func newClient(t testing.TB, roots *x509.CertPool) (*Client, *sockets) {
	t.Helper()
	s := &sockets{}
	c := NewClient(Options{Sockets: s, Roots: roots})
	t.Cleanup(c.Close)
	return c, s
}

func question(name string) *dns.Msg {
	return new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(1232, true)
}

// patient is a deadline that no machine is too slow for.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
