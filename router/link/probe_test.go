package link

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
)

// loopback is a hal.Sockets that really dials, without a link.
type loopback struct{}

func (loopback) Dial(ctx context.Context, _ hal.Via, network string, to netip.AddrPort) (hal.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, to.String())
}

func (loopback) Ping(context.Context, hal.Via, netip.Addr) (time.Duration, error) {
	return 0, hal.ErrUnsupported
}

func probe(t *testing.T, target Target) Result {
	t.Helper()
	// Servers that never answer are asked with a short time by their own tests.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return Prober{Sockets: loopback{}}.Probe(ctx, target)
}

func check(t *testing.T, r Result, want string) {
	t.Helper()
	got := "failed"
	switch {
	case r.OK:
		got = "ok"
	case r.Captive:
		got = "captive"
	}
	if got != want || (r.Err != nil) != (got == "failed") || r.OK && r.RTT <= 0 {
		t.Errorf("%s: %s (%+v), want %s", r.Target, got, r, want)
	}
}

func TestProbeTCP(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Kind: TCP, Addr: netip.MustParseAddrPort(l.Addr().String())}
	check(t, probe(t, target), "ok")
	l.Close()
	check(t, probe(t, target), "failed")
}

func TestProbeHTTP(t *testing.T) {
	host := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/success", func(w http.ResponseWriter, r *http.Request) { host <- r.Host; fmt.Fprintln(w, "success") })
	mux.HandleFunc("/login", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "<html>Please log in") })
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/204", http.StatusFound) })
	mux.HandleFunc("/511", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNetworkAuthenticationRequired) })
	mux.HandleFunc("/503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "success")
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for path, want := range map[string]string{
		"/204": "ok", "/204#success": "captive", "/success#success": "ok", "/login#success": "captive", "/login": "captive",
		"/redirect": "captive", "/redirect#success": "captive", "/511": "captive", "/503": "failed", "/missing": "failed", "/huge": "failed",
		"/endless#success": "ok",
	} {
		check(t, probe(t, mustTarget(srv.URL+path)), want)
	}
	<-host
	check(t, probe(t, mustTarget(strings.Replace(srv.URL, "http://", "http://portal.example@", 1)+"/success#success")), "ok")
	if h := <-host; h != "portal.example" {
		t.Errorf("Host header %q", h)
	}
}

// A server that takes the connection and stays silent does not keep a probe beyond its time.
func TestProbeEnds(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, target := range []Target{
		{Kind: HTTP, Addr: netip.MustParseAddrPort(l.Addr().String()), Path: "/"},
		{Kind: DNS, Addr: netip.MustParseAddrPort(u.LocalAddr().String())},
	} {
		ctx, cancel := context.WithCancel(t.Context()) // no deadline: it must heed the end itself
		time.AfterFunc(50*time.Millisecond, cancel)
		check(t, Prober{Sockets: loopback{}}.Probe(ctx, target), "failed")
		cancel()
	}
}

func TestProbeDNS(t *testing.T) {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		// Before the true answer, what a stranger might send.
		w.Write([]byte("nonsense"))
		forged := new(dns.Msg).SetReply(q)
		forged.Id++
		w.WriteMsg(forged)
		echo := q.Copy()
		w.WriteMsg(echo)
		other := new(dns.Msg).SetReply(q)
		other.Question[0].Name = "other."
		w.WriteMsg(other)
		a := new(dns.Msg)
		code := map[string]int{"gone.example.": dns.RcodeNameError, "refused.example.": dns.RcodeRefused, "broken.example.": dns.RcodeServerFailure}[q.Question[0].Name]
		if q.Question[0].Name != "mute.example." {
			w.WriteMsg(a.SetRcode(q, code))
		}
	})}
	go srv.ActivateAndServe()
	defer srv.Shutdown()
	addr := netip.MustParseAddrPort(pc.LocalAddr().String())
	for name, want := range map[string]string{"": "ok", "there.example": "ok", "gone.example": "ok", "refused.example": "ok", "broken.example": "failed"} {
		check(t, probe(t, Target{Kind: DNS, Addr: addr, Name: name}), want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	check(t, Prober{Sockets: loopback{}}.Probe(ctx, Target{Kind: DNS, Addr: addr, Name: "mute.example"}), "failed")
}

func FuzzAnswers(f *testing.F) {
	q := new(dns.Msg).SetQuestion(".", dns.TypeNS)
	q.Id = 7
	for _, code := range []int{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure} {
		wire, err := new(dns.Msg).SetRcode(q, code).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
		f.Add(wire[:len(wire)-1])
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		ok, err := answers(wire, q)
		if ok && (err != nil || len(wire) < 12 || wire[0] != 0 || wire[1] != 7 || wire[2]&0x80 == 0) {
			t.Fatalf("%x passes as an answer: %v", wire, err)
		}
	})
}
