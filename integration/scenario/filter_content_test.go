package scenario

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/webui/api"
)

// contentPolicy looks into flows for the house and for a person. The phone is Leo's, the laptop Ana's; nobody looks into the TV.
const contentPolicy = people + `
house:
  - {id: usual, force: default, steer: {use: [fiber, wifi]}}
  - {id: no-upload, force: must, who: {people: [ana, leo]}, what: {http: {host: "re:^forms\\.", path: [/upload]}}, filter: {block: true}}
  - {id: no-casino, force: must, who: {groups: [children]}, what: {tls_name: [casino, "re:^bet[0-9]+\\."]}, filter: {block: true}}
  - {id: no-peers, force: must, who: {devices: [laptop]}, what: {protocol: bittorrent, services: [tcp]}, filter: {block: true, silent: true}}
personal:
  ana:
    - {id: no-words, what: {payload: [top-secret, 're:\x00\x01key']}, filter: {block: true}}
    - {id: no-bank, what: {tls_name: 're:(^|\.)bank\.example$'}, filter: {block: true, silent: true}}
`

// echoes are servers that send back what they get: they make nothing of it, so that any content can be sent to them.
var echoes = map[string]string{"IPv4": "203.0.113.77", "IPv6": "2001:db8:100:bb::77"}

// clientHello is what a TLS client sends first.
func clientHello(name string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		here, there := net.Pipe()
		go func() {
			_ = tls.Client(here, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}).Handshake() // ends with the pipe
			here.Close()
		}()
		defer there.Close()
		if err := there.SetReadDeadline(time.Now().Add(paced(10 * time.Second))); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 5) // a record's type, version and length (RFC 8446 §5.1)
		if _, err := io.ReadFull(there, head); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, int(head[3])<<8|int(head[4]))
		if _, err := io.ReadFull(there, body); err != nil {
			t.Fatal(err)
		}
		return append(head, body...)
	}
}

func words(s string) func(*testing.T) []byte {
	return func(*testing.T) []byte { return []byte(s) }
}

// echoFlow is a running flow of a LAN host to an echo server.
type echoFlow struct {
	net.Conn
	n int
}

func (h *house) openEcho(t *testing.T, host, network, to string) *echoFlow {
	t.Helper()
	f := &echoFlow{}
	err := h.Lab.Host(host).Do(func() (err error) {
		f.Conn, err = net.DialTimeout(network, net.JoinHostPort(to, "7"), paced(10*time.Second))
		return err
	})
	if err != nil {
		t.Fatalf("%s to %s: %v", host, to, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// lives tells whether what the host sends now comes back.
func (f *echoFlow) lives(patience time.Duration) bool {
	f.n++
	mark := fmt.Sprintf("still-here-%d.\n", f.n) // the lab's server takes a first line for itself
	deadline := time.Now().Add(patience)
	buf := make([]byte, 4096)
	var got []byte
	for time.Now().Before(deadline) {
		if _, err := f.Write([]byte(mark)); err != nil {
			return false
		}
		if err := f.SetReadDeadline(time.Now().Add(patience / 5)); err != nil {
			return false
		}
		for {
			n, err := f.Read(buf)
			got = append(got, buf[:n]...)
			if regexp.MustCompile(regexp.QuoteMeta(mark)).Match(got) {
				return true
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				break // a datagram may be lost: once more
			}
			if err != nil {
				return false
			}
		}
	}
	return false
}

// TestContentMatrix: content of each kind, over TCP and UDP, IPv4 and IPv6, ends the flows of those whom a rule means, of the house's and of a person's,
// and of nobody else; the log names rule and tier.
func TestContentMatrix(t *testing.T) {
	h := newHouse(t, contentPolicy, lossless)
	const upload = "POST /upload?x=1 HTTP/1.1\r\nHost: forms.example\r\nContent-Length: 0\r\n\r\n"
	peerHello := words("\x13BitTorrent protocol" + strings.Repeat("\x00", 8) + strings.Repeat("h", 20) + "-TR4050-abcdefghijkl") // BEP 3
	for _, c := range []struct {
		name, host, network string
		send                func(*testing.T) []byte
		rule, tier          string // that ends it; "" for none
	}{
		{"a path of a host", "laptop", "tcp", words(upload), "no-upload", "main"},
		{"the path of another host", "laptop", "tcp", words("GET /upload HTTP/1.1\r\nHost: other.example\r\n\r\n"), "", ""},
		{"another path of the host", "phone", "tcp", words("GET /list HTTP/1.1\r\nHost: forms.example\r\n\r\n"), "", ""},
		{"a path, not meant", "tv", "tcp", words(upload), "", ""},
		{"a name's keyword", "phone", "tcp", clientHello("www.CasinoRoyal.example"), "no-casino", "main"},
		{"a name's expression", "console", "tcp", clientHello("bet77.example"), "no-casino", "main"},
		{"a name, not meant", "laptop", "tcp", clientHello("casino.example"), "", ""},
		{"a person's name", "laptop", "tcp", clientHello("login.bank.example"), "no-bank", "user"},
		{"a person's name, another person", "phone", "tcp", clientHello("login.bank.example"), "", ""},
		{"a protocol", "laptop", "tcp", peerHello, "no-peers", "main"},
		{"a protocol, not meant", "console", "tcp", peerHello, "", ""},
		{"words in a stream", "laptop", "tcp", words("some Top-Secret thing"), "no-words", "user"},
		{"words in a datagram", "laptop", "udp", words("some Top-Secret thing"), "no-words", "user"},
		{"bytes in a datagram", "laptop", "udp", words("\x05\x00\x01key"), "no-words", "user"},
		{"other words", "laptop", "udp", words("nothing to see"), "", ""},
		{"words, not meant", "phone", "udp", words("some top-secret thing"), "", ""},
	} {
		for family, to := range echoes {
			t.Run(c.name+" "+c.network+" "+family, func(t *testing.T) {
				before := h.endings(t, c.rule, to)
				f := h.openEcho(t, c.host, c.network, to)
				if c.network == "tcp" { // the server speaks first
					if _, err := f.Read(make([]byte, 1)); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := f.Write(c.send(t)); err != nil {
					t.Fatal(err)
				}
				if c.rule == "" {
					if !f.lives(paced(15 * time.Second)) {
						t.Error("the flow was ended")
					}
					return
				}
				h.eventually("the ending in the log", func() bool { return h.endings(t, c.rule, to) > before })
				for _, b := range h.log(t, c.rule) {
					if b.How != api.BlockedHowContent || b.Tier != c.tier {
						t.Errorf("the log says %+v, want rule %s of tier %s", b, c.rule, c.tier)
					}
				}
				h.eventually("the flow's end", func() bool { return !f.lives(paced(time.Second)) })
			})
		}
	}
}

// log is what the filter's log has of a rule.
func (h *house) log(t *testing.T, rule string) []api.Blocked {
	t.Helper()
	r, err := h.api.ListBlockedWithResponse(t.Context(), &api.ListBlockedParams{Rule: &rule})
	if err != nil || r.JSON200 == nil {
		t.Fatalf("reading the filter's log: %v %s", err, r.Body)
	}
	return *r.JSON200
}

// endings counts how often the rule ended a flow to an address.
func (h *house) endings(t *testing.T, rule, to string) (n int) {
	t.Helper()
	if rule == "" {
		return 0
	}
	for _, b := range h.log(t, rule) {
		if host, _, err := net.SplitHostPort(b.To); err == nil && host == to {
			n += b.Count
		}
	}
	return n
}

// lookedAt is how many packets were sent up to be looked into since the rules were loaded; false when there is no such path at all.
func (h *house) lookedAt() (n int, installed bool) {
	counters := regexp.MustCompile(`counter packets (\d+) .* group 79|counter packets (\d+) .* to 79`)
	for _, m := range counters.FindAllStringSubmatch(h.router("nft list table inet trenza"), -1) {
		v, _ := strconv.Atoi(m[1] + m[2])
		n, installed = n+v, true
	}
	return n, installed
}

// TestContentFastPath: the path that looks into flows stands only while a rule asks for it; then only the first packets of those that it means go up.
func TestContentFastPath(t *testing.T) {
	h := newHouse(t, people+"house: [{id: usual, force: default, steer: {use: [fiber]}}]\n", lossless)
	if n, installed := h.lookedAt(); installed {
		t.Fatalf("without a rule about content there is a path that looked at %d packets", n)
	}
	h.setPolicy(t, people+`
house:
  - {id: usual, force: default, steer: {use: [fiber]}}
  - {id: call, force: must, what: {addresses: [203.0.113.78]}, steer: {use: [fiber]}, qos: {class: realtime}}
  - {id: words, force: must, who: {devices: [laptop]}, what: {payload: top-secret}, filter: {block: true}}
`)
	sent := func(host, to string, least, most int) {
		t.Helper()
		before, installed := h.lookedAt()
		if !installed {
			t.Fatal("there is no path for the rule")
		}
		f := h.openEcho(t, host, "udp", to)
		for range 40 {
			if !f.lives(paced(15 * time.Second)) {
				t.Fatalf("%s to %s does not live", host, to)
			}
		}
		if after, _ := h.lookedAt(); after-before < least || after-before > most {
			t.Errorf("of 40 packets of %s to %s %d were looked at, want %d to %d", host, to, after-before, least, most)
		}
	}
	sent("tv", "203.0.113.77", 0, 0)
	sent("laptop", "203.0.113.77", 1, 6)
	sent("laptop", "203.0.113.78", 0, 0) // realtime
	h.setPolicy(t, people+"house: [{id: usual, force: default, steer: {use: [fiber]}}]\n")
	if _, installed := h.lookedAt(); installed {
		t.Error("the path stays when its rule has gone")
	}
}

// TestContentRunning: a rule about what a running flow has said ends it within a second, and one that is lifted lets what it ended go on.
func TestContentRunning(t *testing.T) {
	const usual = people + "house:\n  - {id: usual, force: default, steer: {use: [fiber]}}\n"
	h := newHouse(t, usual, lossless)
	f := h.openEcho(t, "phone", "tcp", echoes["IPv4"])
	if _, err := f.Write(clientHello("www.casino.example")(t)); err != nil {
		t.Fatal(err)
	}
	if !f.lives(paced(15 * time.Second)) {
		t.Fatal("the flow does not live before there is a rule")
	}
	h.eventually("the hello's name in the list of flows", func() bool {
		r, err := h.api.ListFlowsWithResponse(t.Context(), &api.ListFlowsParams{})
		return err == nil && r.JSON200 != nil && slices.ContainsFunc(*r.JSON200, func(f api.Flow) bool { return f.Host == "www.casino.example" })
	})
	h.setPolicy(t, usual+"  - {id: casino, force: must, what: {tls_name: casino}, filter: {block: true}}\n")
	began := time.Now()
	for f.lives(paced(200 * time.Millisecond)) {
		if time.Since(began) > paced(time.Second) {
			t.Fatal("the flow runs on under the rule")
		}
	}
	u := h.openEcho(t, "phone", "udp", echoes["IPv6"])
	h.setPolicy(t, usual+"  - {id: words, force: must, what: {payload: top-secret}, filter: {block: true}}\n")
	if _, err := u.Write([]byte("top-secret")); err != nil {
		t.Fatal(err)
	}
	h.eventually("the end of the datagrams", func() bool { return !u.lives(paced(time.Second)) })
	h.setPolicy(t, usual)
	u.SetDeadline(time.Time{})
	h.eventually("the datagrams again", func() bool { return u.lives(paced(time.Second)) })
}

// TestBlockPage: who asks by HTTP for what a rule does not give gets a page that says so; what is silent, and other ports, get none.
func TestBlockPage(t *testing.T) {
	h := newHouse(t, people+`
house:
  - {id: usual, force: default, steer: {use: [fiber]}}
  - {id: no-wiki, name: No encyclopedias, force: must, who: {people: [leo]}, what: {domains: [wikipedia.org]}, filter: {block: true}}
  - {id: quiet, force: must, who: {people: [leo]}, what: {domains: [github.com]}, filter: {block: true, silent: true}}
`, lossless, func(o *home.Options) { o.Config += "block_page: \":8099\"\n" })
	get := func(host, to string, port uint16, family client.Family) (client.HTTPAnswer, error) {
		return h.Agent(host).HTTP(t.Context(), client.HTTP{Target: client.Target{Host: to, Port: port, Family: family}, Plain: true, Timeout: paced(5 * time.Second)}, nil)
	}
	for _, family := range []client.Family{client.V4, client.V6} {
		got, err := get("phone", "en.wikipedia.org", 80, family)
		if err != nil || got.Status != 403 || !strings.Contains(got.Body, "No encyclopedias") || !strings.Contains(got.Body, "en.wikipedia.org") {
			t.Errorf("%s: status %d, %v: %s", family, got.Status, err, got.Body)
		}
		if got, err := get("laptop", "en.wikipedia.org", 80, family); err != nil || got.Status != 200 {
			t.Errorf("%s of who may: status %d, %v", family, got.Status, err)
		}
		if got, err := get("phone", "github.com", 80, client.V4); err == nil {
			t.Errorf("a silent rule answers with %d: %s", got.Status, got.Body)
		}
	}
}
