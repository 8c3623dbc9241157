package relay_test

import (
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/bond/https"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/relay"
)

// webRelay is a relay with a web site, on the loopback.
const webRelay = "listen: [\"127.0.0.1:51900\"]\nstate: %s\nhttps: {listen: [\"127.0.0.1:443\"]}\n"

// nft loads rules into the test's namespace.
func nft(t *testing.T, text string) {
	t.Helper()
	c := exec.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}

// blockUDP drops all datagrams of UDP; free lets them pass again.
func blockUDP(t *testing.T) {
	t.Helper()
	nft(t, "table inet hotel { chain in { type filter hook input priority 0; meta l4proto udp drop; }; }")
}

func freeUDP(t *testing.T) {
	t.Helper()
	nft(t, "delete table inet hotel")
}

func over(carrier string) func(tunnel.Status) bool {
	return func(s tunnel.Status) bool { return joined(s) && s.Paths[0].Carrier == carrier }
}

// TestWeb: where UDP is blocked the bond begins over the relay's web site; it goes over UDP when that passes, and over the web site again
// when it does not any more. Packets cross each time.
func TestWeb(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		blockUDP(t)
		p := newPair(t, webRelay)
		passes := func(when string) {
			t.Helper()
			s, err := p.router.Status(t.Context())
			if err == nil {
				err = p.crosses(p.inside, p.outside, s.IPv4, elsewhere)
			}
			if err == nil {
				err = p.crosses(p.outside, p.inside, elsewhere, s.IPv4)
			}
			if err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		p.until("the router has joined over the web site", over("tcp443"))
		passes("UDP blocked from the beginning")
		freeUDP(t)
		p.until("the path goes over UDP", over("udp"))
		passes("UDP free")
		blockUDP(t)
		p.until("the path goes over the web site", over("tcp443"))
		passes("UDP blocked again")
	})
}

// TestInspected: where UDP is blocked and a proxy opens TLS the router refuses it, and says who it was; it does not join through the proxy, which
// passes everything on to the relay.
func TestInspected(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		blockUDP(t)
		text, err := https.NewCertificate([]string{"inspector.hotel.example"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(text, text)
		if err != nil {
			t.Fatal(err)
		}
		l, err := tls.Listen("tcp", "127.0.0.2:443", &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go inspect(c)
			}
		}()
		p := newPair(t, "listen: [\"127.0.0.1:51900\"]\npublic: [\"127.0.0.2:51900\"]\nstate: %s\nhttps: {listen: [\"127.0.0.1:443\"]}\n")
		s := p.until("the reason in the status", func(s tunnel.Status) bool { return strings.Contains(s.Trouble, "inspector.hotel.example") })
		if s.Joined || len(s.Paths) > 0 {
			t.Errorf("the router has joined through the proxy: %+v", s)
		}
	})
}

// inspect passes a connection on to the relay's web site and reads along.
func inspect(c net.Conn) {
	defer c.Close()
	on, err := tls.Dial("tcp", "127.0.0.1:443", &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer on.Close()
	go func() { _, _ = io.Copy(on, c); _ = on.Close() }()
	_, _ = io.Copy(c, on)
}

// TestWebConfig: what a relay's web site needs is asked for, and what it makes itself is kept.
func TestWebConfig(t *testing.T) {
	for text, want := range map[string]string{
		"https: {cert: /a}":                                                  "cert and key",
		"https: {cert: /a, key: /b}":                                         "name",
		"https: {name: www.example.org}":                                     "name",
		"https: {listen: [\":443\", \":8443\"]}":                             "one port",
		"https: {listen: [\"443\"]}":                                         "443",
		"https: {}":                                                          "",
		"https: {listen: [\"127.0.0.1:8443\"]}":                              "",
		"https: {name: a.b, cert: /a, key: /b}":                              "",
		"https: {name: " + strings.Repeat("a", 254) + ", cert: /a, key: /b}": "longer",
	} {
		_, err := relay.Parse("relay.yaml", []byte("public: [\"192.0.2.1:51900\"]\n"+text+"\n"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want words with %q", text, err, want)
		}
	}
	c, err := relay.Parse("relay.yaml", []byte("public: [\"192.0.2.1:51900\"]\nhttps: {}\nstate: "+t.TempDir()+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	state, err := relay.OpenState(c.State)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	var pins [][32]byte
	for _, name := range []string{"home", "boat"} {
		a, err := relay.MakeInvite(&c, state, relay.InviteRequest{Name: name, Life: time.Hour}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		i, err := tunnel.ParseInvite(a.Code)
		if err != nil || i.Web.Port != 443 || i.Web.Trust.Name != "" {
			t.Fatalf("the code names the web site %+v: %v", i.Web, err)
		}
		pins = append(pins, i.Web.Trust.Pin)
	}
	if pins[0] != pins[1] || pins[0] == [32]byte{} {
		t.Error("two codes of one relay have different pins")
	}
}
