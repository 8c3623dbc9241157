package scenario

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/home"
)

// inProviders loads rules of nftables into the networks of all providers.
func (h *house) inProviders(text string) {
	h.t.Helper()
	for _, l := range h.Lab.Links() {
		c := h.Lab.Provider(l.Name).Command(h.t.Context(), "nft", "-f", "-")
		c.Stdin = strings.NewReader(text)
		if out, err := c.CombinedOutput(); err != nil {
			h.t.Fatalf("the network of %s: %v: %s", l.Name, err, out)
		}
	}
}

// carriers maps the bond's paths to what they go over, as the API tells.
func (h *house) carriers() map[string]string {
	out := map[string]string{}
	r, err := h.api.ListRelaysWithResponse(h.t.Context())
	if err != nil || r.JSON200 == nil {
		return out
	}
	for _, b := range *r.JSON200 {
		for _, p := range b.Paths {
			if p.Up {
				out[p.Name] = p.Carrier
			}
		}
	}
	return out
}

// carried waits until paths go over a carrier.
func (h *house) carried(over string, paths ...string) {
	h.t.Helper()
	h.eventually("the bond goes over "+over, func() bool {
		c := h.carriers()
		for _, p := range paths {
			if c[p] != over {
				return false
			}
		}
		return true
	})
}

// TestBondWithoutUDP blocks UDP under a transfer in the networks of all providers: the bond goes on over TCP 443, and over UDP when that passes
// again. To a stranger the relay's TCP 443 is a web site.
func TestBondWithoutUDP(t *testing.T) {
	h := newHouse(t, bondPolicy, lossless, func(o *home.Options) { o.Lab.Server = true })
	config, _ := h.rented("https: {}")
	server, _ := netlab.ServerAddrs()
	if out, err := h.trenza("link", "add", "relay", h.invite(config)); err != nil {
		t.Fatalf("adding the relay: %v: %s", err, out)
	}
	h.eventually("the bond in use", func() bool { return h.usable(true, "bond") && h.planned("bond") })
	h.carried("udp", "fiber", "wifi", "lte")

	h.transferDuring("under which UDP was blocked", server, func() {
		h.inProviders("table inet hotel { chain forward { type filter hook forward priority 0; meta l4proto udp drop; }; }")
		h.carried("tcp443", "fiber", "wifi")
	})
	if seen, err := h.seenFrom("laptop"); err != nil || seen != server {
		t.Errorf("without UDP the server saw the laptop's new flow come from %v: %v", seen, err)
	}

	h.stranger(netip.AddrPortFrom(server, 443))

	h.inProviders("delete table inet hotel")
	h.carried("udp", "fiber", "wifi")
	if seen, err := h.seenFrom("laptop"); err != nil || seen != server {
		t.Errorf("with UDP back the server saw the laptop's new flow come from %v: %v", seen, err)
	}
}

// stranger looks at a relay's TCP 443 from the internet.
func (h *house) stranger(to netip.AddrPort) {
	h.t.Helper()
	for head, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n": http.StatusOK,
		"GET /.well-known/masque/udp/x/443/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n": http.StatusNotFound,
		"GET /no/such/page HTTP/1.1\r\nHost: x\r\n\r\n": http.StatusNotFound,
	} {
		raw, err := h.Lab.Internet().Dial(h.t.Context(), "tcp", to.String())
		if err != nil {
			h.t.Fatal(err)
		}
		_ = raw.SetDeadline(time.Now().Add(paced(time.Minute)))
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		_, err = io.WriteString(c, head)
		if err == nil {
			var res *http.Response
			if res, err = http.ReadResponse(bufio.NewReader(c), nil); err == nil && res.StatusCode != want {
				h.t.Errorf("a stranger's %q is answered by %s, want %d", head, res.Status, want)
			}
		}
		if err != nil {
			h.t.Errorf("a stranger's %q: %v", head, err)
		}
		_ = c.Close()
	}
}
