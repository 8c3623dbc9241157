package resolver

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/resolver/upstream"
)

// certName is what the certificate of net/http/httptest is for, beside the loopback addresses.
const certName = "example.com"

// recorded is a dns.ResponseWriter that keeps the answer.
type recorded struct {
	dns.ResponseWriter
	msg *dns.Msg
}

func (r *recorded) WriteMsg(m *dns.Msg) error { r.msg = m; return nil }

// secureUpstreams are a real DNS-over-TLS and a real DNS-over-HTTPS server, and the pool that trusts both.
func secureUpstreams(t testing.TB, link string, f func(w dns.ResponseWriter, q *dns.Msg)) (overTLS, overHTTPS Upstream, roots *x509.CertPool) {
	t.Helper()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, err := io.ReadAll(req.Body)
		q, kept := new(dns.Msg), &recorded{}
		if err != nil || q.Unpack(raw) != nil {
			t.Errorf("not a question: %x, %v", raw, err)
			return
		}
		f(kept, q)
		if kept.msg == nil {
			<-req.Context().Done()
			return
		}
		packed, err := kept.msg.Pack()
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/dns-message")
		_, _ = w.Write(packed)
	}))
	web.EnableHTTP2 = true
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	roots = x509.NewCertPool()
	roots.AddCert(web.Certificate())

	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Net: "tcp-tls", Handler: dns.HandlerFunc(f)}
	started, ended := make(chan struct{}), make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	go func() { defer close(ended); s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { s.Shutdown(); <-ended })

	at := func(p upstream.Proto, a net.Addr, path string) Upstream {
		return Upstream{Server: upstream.Server{Proto: p, Addr: addrPortOf(a), Name: certName, Path: path}, Link: link}
	}
	return at(upstream.TLS, l.Addr(), ""), at(upstream.HTTPS, web.Listener.Addr(), "/dns-query"), roots
}

func TestAsksEncryptedUpstreams(t *testing.T) {
	long := make([]string, 0, 300)
	for range cap(long) {
		long = append(long, "long.example. 60 IN TXT \""+strings.Repeat("x", 200-len(long)/2)+"\"")
	}
	answer := zone(t, append(long, "a.example. 60 IN A 203.0.113.10")...)
	var encrypted atomic.Int64
	overTLS, overHTTPS, roots := secureUpstreams(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		encrypted.Add(1)
		if o := q.IsEdns0(); o == nil || len(o.Option) != 1 || q.Question[0].Name != strings.ToLower(q.Question[0].Name) {
			t.Errorf("asked with %v", q)
		}
		answer(w, q)
	})
	for _, u := range []Upstream{overTLS, overHTTPS} {
		t.Run(u.Server.String(), func(t *testing.T) {
			encrypted.Store(0)
			rec := &recorder{}
			_, at := start(t, Config{Roots: roots, Observer: rec.observe, Upstreams: func() []Upstream { return []Upstream{u} }})
			if m := query(t, "udp", at, "A.example.", dns.TypeA); len(m.Answer) != 1 || m.Question[0].Name != "A.example." {
				t.Errorf("got %v", m)
			}
			if m := query(t, "udp", at, "long.example.", dns.TypeTXT); !m.Truncated {
				t.Errorf("a long answer in a datagram: %d records", len(m.Answer))
			}
			if m := query(t, "tcp", at, "long.example.", dns.TypeTXT); len(m.Answer) != len(long) {
				t.Errorf("a long answer has %d records", len(m.Answer))
			}
			if m := query(t, "udp", at, "none.example.", dns.TypeA); m.Rcode != dns.RcodeNameError {
				t.Errorf("got %v", m)
			}
			if encrypted.Load() < 3 || len(rec.all()) != 1 {
				t.Errorf("%d questions, told of %v", encrypted.Load(), rec.all())
			}
		})
	}
}

// What cannot prove who it is gets no question; the next one answers, and the log says so once.
func TestFalseUpstreamIsPassedOver(t *testing.T) {
	answer := zone(t, "a.example. 60 IN A 203.0.113.10", "b.example. 60 IN A 203.0.113.11")
	good, _, roots := secureUpstreams(t, "fiber", answer)
	var asked atomic.Int64
	falseTLS, falseHTTPS, _ := secureUpstreams(t, "lte", func(dns.ResponseWriter, *dns.Msg) { asked.Add(1) })
	falseTLS.Server.Name, falseHTTPS.Server.Name = "dns.bank.example", "dns.bank.example"
	r := prepare(t, Config{Roots: roots, Upstreams: func() []Upstream { return []Upstream{falseTLS, falseHTTPS, good} }})
	var said lockedBuffer
	r.cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
	for _, name := range []string{"a.example.", "b.example."} {
		if m := r.Answer(t.Context(), netip.AddrPort{}, new(dns.Msg).SetQuestion(name, dns.TypeA)); len(m.Answer) != 1 {
			t.Errorf("%s: got %v", name, m)
		}
	}
	eventually(t, "the log tells of it", func() bool { return strings.Contains(said.String(), "dns.bank.example") })
	if n := strings.Count(said.String(), "level=WARN"); n != 1 || asked.Load() != 0 {
		t.Errorf("%d warnings, %d questions:\n%s", n, asked.Load(), said.String())
	}
	r.secure.Close()
}

// An encrypted upstream that answers wrongly, or with half an answer, is as good as none.
func TestEncryptedNonsenseIsNotTaken(t *testing.T) {
	for name, spoil := range map[string]func(*dns.Msg){
		"another name": func(m *dns.Msg) { m.Question[0].Name = "other.example." },
		"another type": func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		"cut":          func(m *dns.Msg) { m.Truncated = true },
		"refused":      func(m *dns.Msg) { m.Rcode = dns.RcodeRefused },
	} {
		t.Run(name, func(t *testing.T) {
			overTLS, overHTTPS, roots := secureUpstreams(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
				m := new(dns.Msg).SetReply(q)
				rr, _ := dns.NewRR("a.example. 60 IN A 203.0.113.66")
				m.Answer = []dns.RR{rr}
				spoil(m)
				w.WriteMsg(m)
			})
			for _, u := range []Upstream{overTLS, overHTTPS} {
				r := prepare(t, Config{Roots: roots, Upstreams: func() []Upstream { return []Upstream{u} }})
				if m := r.Answer(t.Context(), netip.AddrPort{}, new(dns.Msg).SetQuestion("a.example.", dns.TypeA)); m.Rcode != dns.RcodeServerFailure {
					t.Errorf("%s: %v", u.Server, m)
				}
				r.secure.Close()
			}
		})
	}
}

// One encrypted upstream hangs and the other answers; then both hang, and memory answers.
func TestEncryptedUpstreamsThatHang(t *testing.T) {
	var dead atomic.Bool
	answer := zone(t, "a.example. 60 IN A 203.0.113.10", "b.example. 60 IN A 203.0.113.11")
	_, good, roots := secureUpstreams(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		if !dead.Load() {
			answer(w, q)
		}
	})
	silent, _, silentRoots := secureUpstreams(t, "lte", hang)
	if !roots.Equal(silentRoots) { // one certificate serves both
		t.Fatal("the servers have different certificates")
	}
	r := prepare(t, Config{Roots: roots, Upstreams: func() []Upstream { return []Upstream{silent, good} }})
	defer r.secure.Close()
	var shift atomic.Int64
	r.now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	ask := func(name string) *dns.Msg {
		return r.Answer(t.Context(), netip.AddrPort{}, new(dns.Msg).SetQuestion(name, dns.TypeA))
	}
	if m := ask("a.example."); len(m.Answer) != 1 {
		t.Errorf("got %v", m)
	}
	dead.Store(true)
	shift.Store(int64(time.Hour))
	if m := ask("a.example."); len(m.Answer) != 1 || m.Answer[0].Header().Ttl != staleTTL {
		t.Errorf("got %v", m)
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
