package https

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/seal"
)

var relayKey = seal.Key{1, 2, 3}

// site is the web site that strangers are to see.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the site") })
	return mux
}

// serve runs a web server on the loopback and returns where it is, and the pin of its certificate.
func serve(t *testing.T, h http.Handler) (netip.AddrPort, Trust) {
	t.Helper()
	text, err := NewCertificate([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	l, err := carrier.TCPListener().Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}, ErrorLog: log.New(io.Discard, "", 0)}
	ran := make(chan error, 1)
	go func() { ran <- s.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-ran; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return addrOf(l.Addr()), Trust{Pin: Pin(pair.Leaf)}
}

// entered runs a door and gives the streams that came in by it.
func entered(t *testing.T) (netip.AddrPort, Trust, <-chan *Stream) {
	t.Helper()
	in := make(chan *Stream, 16)
	a, trust := serve(t, &Door{Relay: relayKey, Site: site(), Enter: func(s *Stream) { in <- s }})
	return a, trust, in
}

// gather receives until a count of datagrams is there or the stream ends.
func gather(t *testing.T, s *Stream, count int) (got [][]byte, err error) {
	t.Helper()
	clock := carrier.NewClock()
	p, err := carrier.NewPoller(clock)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	place := p.Watch(s.FD())
	for end := clock.Now() + time.Minute; len(got) < count && clock.Now() < end; {
		if err := p.Wait(end); err != nil {
			t.Fatal(err)
		}
		if !p.Ready(place) {
			continue
		}
		if _, err := s.Receive(clock, func(a carrier.Arrived) {
			if a.From != s.Remote() || a.At > clock.Now() {
				t.Errorf("a datagram from %v at %v", a.From, a.At)
			}
			got = append(got, bytes.Clone(a.Data))
		}); err != nil {
			return got, err
		}
	}
	return got, nil
}

func queue(s *Stream, datagrams ...[]byte) error {
	for _, d := range datagrams {
		s.Queue(append(s.Room(), d...), netip.AddrPort{}, netip.Addr{})
	}
	return s.Flush()
}

// TestStream: a router comes in, datagrams cross both ways, whole and in order, and an end that closes is noticed at the other.
func TestStream(t *testing.T) {
	a, trust, in := entered(t)
	router, err := Dial(t.Context(), Target{Addresses: []netip.AddrPort{a}, Relay: relayKey, Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	defer router.Close()
	relay := <-in
	defer relay.Close()
	if want := fmt.Sprintf("tcp%d", a.Port()); router.Kind() != want || relay.Kind() != want {
		t.Errorf("kinds %s and %s, want %s", router.Kind(), relay.Kind(), want)
	}
	var want [][]byte
	for i := range 100 {
		want = append(want, bytes.Repeat([]byte{byte(i)}, 1+i*14))
	}
	for _, way := range [][2]*Stream{{router, relay}, {relay, router}} {
		if err := queue(way[0], want...); err != nil {
			t.Fatal(err)
		}
		if got, err := gather(t, way[1], len(want)); err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%d datagrams arrived, want %d: %v", len(got), len(want), err)
		}
	}
	_ = relay.Close()
	if _, err := gather(t, router, 1); err == nil {
		t.Error("the end of the stream went unnoticed")
	}
	if err := queue(router, want[0]); err == nil {
		t.Error("a stream that has ended takes datagrams")
	}
}

// TestLate: what a connection does not take in time is dropped, the oldest first, and the sender never waits.
func TestLate(t *testing.T) {
	a, b := net.Pipe() // takes nothing until it is read
	defer b.Close()
	s, err := newStream(a, a, 443)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for end := time.Now().Add(time.Minute); s.Dropped() < 10; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is dropped")
		}
		if err := queue(s, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
}

// ask sends a request as it stands over a connection of its own and returns the answer but for its date.
func ask(t *testing.T, to netip.AddrPort, text func(tls.ConnectionState) string) string {
	t.Helper()
	c, err := tls.Dial("tcp", to.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, text(c.ConnectionState())); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	res.Header.Del("Date")
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var head bytes.Buffer
	_ = res.Header.Write(&head)
	return fmt.Sprintf("%s %s\n%s\n%s", res.Proto, res.Status, head.Bytes(), body)
}

// wayIn is a request for a way in, with a line of its head.
func wayIn(line string) string {
	return "GET /.well-known/masque/udp/127.0.0.1/443/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n" + line + "\r\n"
}

func doorLine(relay seal.Key, s tls.ConnectionState) string {
	binding, err := s.ExportKeyingMaterial(exported, nil, exportSize)
	if err != nil {
		panic(err)
	}
	key := seal.DoorKey(relay, binding)
	return "Authorization: Bearer " + base64.RawURLEncoding.EncodeToString(key[:]) + "\r\n"
}

// TestStranger: a server with the door in it answers strangers as the same site without one does, to the byte.
func TestStranger(t *testing.T) {
	with, trust, in := entered(t)
	without, _ := serve(t, site())
	// What a router said over a connection of its own is worth nothing over another one.
	spoken := ""
	ask(t, without, func(s tls.ConnectionState) string { spoken = doorLine(relayKey, s); return wayIn("") })
	for name, text := range map[string]func(tls.ConnectionState) string{
		"the site":              func(tls.ConnectionState) string { return "GET / HTTP/1.1\r\nHost: x\r\n\r\n" },
		"another page":          func(tls.ConnectionState) string { return "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n" },
		"another method":        func(tls.ConnectionState) string { return "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n" },
		"no HTTP":               func(tls.ConnectionState) string { return "\x01\x02\x03\r\n\r\n" },
		"without a key":         func(tls.ConnectionState) string { return wayIn("") },
		"with a password":       func(tls.ConnectionState) string { return wayIn("Authorization: Basic cm9vdDpyb290\r\n") },
		"with an empty key":     func(tls.ConnectionState) string { return wayIn("Authorization: Bearer \r\n") },
		"with a broken key":     func(tls.ConnectionState) string { return wayIn("Authorization: Bearer ~~~~\r\n") },
		"with another's":        func(s tls.ConnectionState) string { return wayIn(doorLine(seal.Key{9}, s)) },
		"with a repeated one":   func(tls.ConnectionState) string { return wayIn(spoken) },
		"a socket of the web":   func(tls.ConnectionState) string { return strings.Replace(wayIn(""), "connect-udp", "websocket", 1) },
		"a proxy's IP packets":  func(tls.ConnectionState) string { return strings.Replace(wayIn(""), "connect-udp", "connect-ip", 1) },
		"by the proxy's method": func(tls.ConnectionState) string { return "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n" },
	} {
		if got, want := ask(t, with, text), ask(t, without, text); got != want {
			t.Errorf("%s: the answer is\n%s\nand that of a site without a door\n%s", name, got, want)
		}
	}
	if len(in) > 0 {
		t.Error("a stranger came in")
	}
	// HTTP/2 is spoken as any server of its kind does.
	h2 := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer h2.CloseIdleConnections()
	res, err := h2.Get("https://" + with.String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusOK {
		t.Errorf("HTTP/%d answers %s", res.ProtoMajor, res.Status)
	}
	// And the door is there for who knows the relay.
	s, err := Dial(t.Context(), Target{Addresses: []netip.AddrPort{with}, Relay: relayKey, Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	_ = (<-in).Close()
}

// TestRefusal: who is not the relay is refused, with a reason that names it, and nothing weaker is tried.
func TestRefusal(t *testing.T) {
	a, trust, in := entered(t)
	other, otherTrust := serve(t, site())
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := addrOf(closed.Addr())
	closed.Close()
	for name, tt := range map[string]struct {
		target    Target
		inspected bool
		text      string
	}{
		"another key":             {Target{Addresses: []netip.AddrPort{other}, Trust: trust}, true, "127.0.0.1"},
		"a name nobody vouches":   {Target{Addresses: []netip.AddrPort{a}, Trust: Trust{Name: "relay.example.org"}}, true, "127.0.0.1"},
		"a site that is no relay": {Target{Addresses: []netip.AddrPort{other}, Trust: otherTrust}, false, "404"},
		"nobody":                  {Target{Addresses: []netip.AddrPort{nobody}, Trust: trust}, false, "refused"},
		"both":                    {Target{Addresses: []netip.AddrPort{nobody, other}, Trust: trust}, true, "127.0.0.1"},
	} {
		tt.target.Relay = relayKey
		s, err := Dial(t.Context(), tt.target)
		if s != nil {
			_ = s.Close()
		}
		if err == nil || errors.Is(err, ErrInspected) != tt.inspected || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(in) > 0 {
		t.Error("one of them came in")
	}
	// The second address serves where the first does not.
	s, err := Dial(t.Context(), Target{Addresses: []netip.AddrPort{nobody, a}, Relay: relayKey, Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	_ = (<-in).Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, Target{Addresses: []netip.AddrPort{a}, Relay: relayKey, Trust: trust}); !errors.Is(err, context.Canceled) {
		t.Errorf("a dial that was given up: %v", err)
	}
}
