package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
)

func TestAsksOnOneConnection(t *testing.T) {
	cert, roots := valid(t)
	byAddr := func(s Server) Server { s.Name = ""; return s }
	secure := serveTLS(t, cert, answerAll(t))
	web := serveHTTPS(t, cert, doh(t, packedAnswer))
	for _, s := range []Server{secure, byAddr(secure), web, byAddr(web)} {
		t.Run(s.String(), func(t *testing.T) {
			c, sockets := newClient(t, roots)
			for i := range 5 {
				q := question(fmt.Sprintf("n%d.example.", i))
				m, err := c.Exchange(patient(t), s, hal.Via{}, q)
				if err != nil || m.Id != q.Id || len(m.Answer) != 1 || m.Question[0] != q.Question[0] {
					t.Fatalf("got %v, %v", m, err)
				}
			}
			if n := sockets.dialled.Load(); n != 1 {
				t.Errorf("%d connections for five questions", n)
			}
			if _, err := c.Exchange(patient(t), s, hal.Via{Device: "wan2"}, question("a.example.")); err != nil || sockets.dialled.Load() != 2 {
				t.Errorf("another link has no connection of its own: %v", err)
			}
		})
	}
}

// The server answers only when it has all questions, the last one first.
func TestAnswersComeInAnyOrder(t *testing.T) {
	const all = 20
	cert, roots := valid(t)
	s := serveTLS(t, cert, func(conn net.Conn) {
		var list []*dns.Msg
		for len(list) < all {
			q := next(conn)
			if q == nil {
				return
			}
			list = append(list, q)
		}
		for i := range list {
			write(t, conn, answer(list[all-1-i]))
		}
		next(conn)
	})
	c, sockets := newClient(t, roots)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			name := fmt.Sprintf("n%d.example.", i)
			if m, err := c.Exchange(patient(t), s, hal.Via{}, question(name)); err != nil || m.Question[0].Name != name {
				t.Errorf("%s: got %v, %v", name, m, err)
			}
		})
	}
	wg.Wait()
	if n := sockets.dialled.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestLengthsTellLittle(t *testing.T) {
	for _, name := range []string{"a.example.", "a-much-longer-name-than-that-one.sub.example.", strings.Repeat("abcdefg.", 25) + "example."} {
		q := question(name)
		b, err := pack(q)
		if err != nil || len(b)%queryBlock != 0 || len(b) > 3*queryBlock {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if len(q.IsEdns0().Option) != 0 {
			t.Error("the caller's question was changed")
		}
	}
	if b, err := pack(new(dns.Msg).SetQuestion("a.example.", dns.TypeA)); err != nil || len(b) >= queryBlock {
		t.Errorf("a server that knows no EDNS got %d bytes, %v", len(b), err)
	}
}

func TestWrongCertificateIsRefused(t *testing.T) {
	good, roots := valid(t)
	foreign, _ := valid(t)
	otherName, _ := certificate(t, time.Now().Add(time.Hour), []string{"other.example"})
	old, _ := certificate(t, time.Now().Add(-time.Hour), []string{serverName})
	roots.AddCert(otherName.Leaf)
	roots.AddCert(old.Leaf)
	for _, tt := range []struct {
		name string
		cert tls.Certificate
		want string
	}{
		{"another authority's", foreign, "no authority that this machine knows signed it"},
		{"for another name", otherName, "the server is not dns.example"},
		{"out of date", old, "check the machine's clock first"},
		{"right", good, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen atomic.Int64
			for _, s := range []Server{
				serveTLS(t, tt.cert, func(conn net.Conn) {
					for q := next(conn); q != nil; q = next(conn) {
						seen.Add(1)
						write(t, conn, answer(q))
					}
				}),
				serveHTTPS(t, tt.cert, doh(t, func(q *dns.Msg) []byte { seen.Add(1); return packedAnswer(q) })),
			} {
				c, _ := newClient(t, roots)
				_, err := c.Exchange(patient(t), s, hal.Via{}, question("secret.example."))
				var refused *tls.CertificateVerificationError
				switch {
				case tt.want == "" && err != nil:
					t.Errorf("%s: %v", s, err)
				case tt.want != "" && (err == nil || !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("%s: %v", s, err)
				}
			}
			if (seen.Load() == 0) != (tt.want != "") {
				t.Errorf("the server read %d questions", seen.Load())
			}
		})
	}
}

// The server closes each connection after one answer, as servers do with idle ones: nobody notices.
func TestClosedConnectionIsOpenedAgain(t *testing.T) {
	cert, roots := valid(t)
	s := serveTLS(t, cert, func(conn net.Conn) {
		if q := next(conn); q != nil {
			write(t, conn, answer(q))
		}
	})
	c, sockets := newClient(t, roots)
	for range 10 {
		if m, err := c.Exchange(patient(t), s, hal.Via{}, question("a.example.")); err != nil || len(m.Answer) != 1 {
			t.Fatalf("got %v, %v", m, err)
		}
	}
	if n := sockets.dialled.Load(); n != 10 {
		t.Errorf("%d connections", n)
	}
}

// A connection on which a question ran out of time without a sound is not used again.
func TestSilentConnectionIsLeft(t *testing.T) {
	cert, roots := valid(t)
	var connections atomic.Int64
	s := serveTLS(t, cert, func(conn net.Conn) {
		if connections.Add(1) > 1 {
			answerAll(t)(conn)
			return
		}
		for next(conn) != nil { // reads, and never answers
		}
	})
	c, _ := newClient(t, roots)
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.Exchange(short, s, hal.Via{}, question("a.example.")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	for range 3 { // on a slow machine the first deadline may have passed before there was a connection
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		m, err := c.Exchange(ctx, s, hal.Via{}, question("b.example."))
		cancel()
		if err == nil && len(m.Answer) == 1 {
			return
		}
	}
	t.Error("the silent connection is still used")
}

// A server that takes the connection and says nothing, not even the handshake, costs the caller no more than its own deadline.
func TestServerThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, roots := valid(t)
	for _, proto := range []Proto{TLS, HTTPS} {
		c, _ := newClient(t, roots)
		s := Server{Proto: proto, Addr: l.Addr().(*net.TCPAddr).AddrPort(), Name: serverName, Path: dohPath}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := c.Exchange(ctx, s, hal.Via{}, question("a.example.")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v: %v", proto, err)
		}
		cancel()
		c.Close() // ends the attempt to open
		if _, err := c.Exchange(patient(t), s, hal.Via{}, question("a.example.")); !errors.Is(err, errClosed) {
			t.Errorf("%v: after Close %v", proto, err)
		}
	}
}

func TestMalformedAnswers(t *testing.T) {
	cert, roots := valid(t)
	garbage := func(raw func(q *dns.Msg) []byte) Server {
		return serveTLS(t, cert, func(conn net.Conn) {
			for q := next(conn); q != nil; q = next(conn) {
				writeRaw(conn, raw(q))
			}
		})
	}
	page := func(status int, kind, text string) Server {
		return serveHTTPS(t, cert, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		})
	}
	for name, tt := range map[string]struct {
		server Server
		want   string
	}{
		"too short":     {garbage(func(*dns.Msg) []byte { return []byte("x") }), "a message of 1 bytes"},
		"not a message": {garbage(func(q *dns.Msg) []byte { return append(packedAnswer(q)[:4], strings.Repeat("\xff", 40)...) }), "malformed answer"},
		"a page":        {page(200, "text/html", "<p>log in first"), `answered with "text/html"`},
		"not found":     {page(404, messageType, ""), "HTTP 404; check its path"},
		"redirect":      {page(302, messageType, ""), "HTTP 302"},
		"empty":         {page(200, messageType, ""), "malformed answer"},
		"endless":       {page(200, messageType, strings.Repeat("x", 70000)), "longer than a DNS message can be"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(t, roots)
			if m, err := c.Exchange(patient(t), tt.server, hal.Via{}, question("a.example.")); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want %s", m, err, tt.want)
			}
		})
	}
	t.Run("to nobody", func(t *testing.T) { // an answer that nobody asked for comes before the real one
		s := serveTLS(t, cert, func(conn net.Conn) {
			for q := next(conn); q != nil; q = next(conn) {
				stray := answer(q)
				stray.Id += 1000
				write(t, conn, stray)
				write(t, conn, answer(q))
			}
		})
		c, _ := newClient(t, roots)
		if m, err := c.Exchange(patient(t), s, hal.Via{}, question("a.example.")); err != nil || len(m.Answer) != 1 {
			t.Errorf("got %v, %v", m, err)
		}
	})
}

// FuzzStream hands a server's bytes to a stream: it ends, and what waited is told.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 1, 2})
	f.Add(append([]byte{0, headerSize, 0, 1}, make([]byte, headerSize-2)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, theirs := net.Pipe()
		s := &stream{ready: make(chan struct{}), ended: make(chan struct{}), waiting: map[uint16]chan []byte{}}
		id, got, err := s.expect()
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = theirs.Write(b); theirs.Close() }()
		s.read(ours)
		if !s.over() {
			t.Fatal("the stream goes on after its end")
		}
		select {
		case raw := <-got:
			if len(raw) < headerSize || uint16(raw[0])<<8|uint16(raw[1]) != id {
				t.Fatalf("question %d was answered with %x", id, raw)
			}
		default:
		}
		theirs.Close()
	})
}
