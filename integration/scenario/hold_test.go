package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
)

// TestFirstQUIC: a flow of QUIC to a host that no name server was asked for takes the link of its name. Where the kernel can hold packets the very first one does;
// elsewhere that one teaches those that follow.
func TestFirstQUIC(t *testing.T) {
	h := newHouse(t, people+`
house:
  - {id: usual, force: default, steer: {use: [fiber]}}
  - {id: video, force: must, what: {categories: [video]}, steer: {use: [wifi]}}
`, lossless)
	holds := strings.Contains(h.router("nft list table inet trenza"), "to 81")
	t.Logf("this kernel holds packets: %v", holds)
	ask := func(host, to, name string) (link string) {
		t.Helper()
		got, err := h.Agent(host).HTTP(t.Context(), client.HTTP{Target: client.Target{Host: to}, SNI: name, Proto: client.HTTP3, Timeout: paced(20 * time.Second)}, nil)
		if err != nil {
			t.Fatalf("%s to %s: %v", host, name, err)
		}
		return h.linkOf(got.Seen.Remote.Addr())
	}
	right := 0
	for _, c := range []struct{ host, to, name string }{
		{"laptop", "203.0.113.15", "i.ytimg.com"},
		{"phone", "2001:db8:100:10::15", "i.ytimg.com"},
		{"tv", "203.0.113.16", "rr1---sn-4g5e6nez.googlevideo.com"},
		{"laptop", "203.0.113.10", "youtube.com"},
		{"console", "2001:db8:100:10::1", "youtube.com"},
		{"camera", "203.0.113.23", "ipv4-c001-ams001-ix.1.oca.nflxvideo.net"},
	} {
		if link := ask(c.host, c.to, c.name); link == "wifi" {
			right++
		} else if link != "fiber" {
			t.Errorf("the first flow of %s to %s at %s: over %s", c.host, c.name, c.to, link)
		}
		h.eventually("a flow that follows, on the right link", func() bool { return ask(c.host, c.to, c.name) == "wifi" })
	}
	t.Logf("%d of 6 first flows were right", right)
	// No packet waits longer than its bound, which a machine that stands still at times may overstep: then the flow goes as one of which nothing is known.
	if holds && right == 0 || !holds && right > 0 {
		t.Errorf("%d first flows took the link of their name", right)
	}
	if link := ask("laptop", "198.51.100.75", "dyna.wikimedia.org"); link != "fiber" {
		t.Errorf("a name that no rule means: over %s", link)
	}
	text, err := os.ReadFile(filepath.Join(h.Lab.Dir(), "log", "router.log"))
	if err != nil || strings.Contains(string(text), "another program changed") {
		t.Errorf("the router does not recognise its own rules (%v):\n%s", err, text)
	}
}
