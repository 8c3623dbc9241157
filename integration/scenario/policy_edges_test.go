package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/router/flow"
)

// byName has a link of its own for each of some names, and another one for the rest.
const byName = people + `
house:
  - {id: usual, force: default, steer: {mode: fixed, use: [fiber]}}
  - {id: updates, force: must, what: {apps: [windows-update, apple-updates]}, steer: {mode: fixed, use: [wifi]}}
  - {id: bank, force: must, what: {domains: [ing.de]}, steer: {mode: fixed, use: [lte]}}
  - {id: games, force: must, what: {categories: [games]}, steer: {mode: fixed, use: [wifi]}}
  - {id: quiet, force: must, what: {domains: [xn--stille-ecke-0db.example]}, steer: {mode: fixed, use: [lte]}}
`

// TestPolicyFirstConnection: right after the start, the first connection ever to a name takes the name's link.
func TestPolicyFirstConnection(t *testing.T) {
	h := newHouse(t, byName)
	round := func(t *testing.T, firsts map[string][2]string) { // host: name, link
		var wg sync.WaitGroup
		for host, c := range firsts {
			for i, kind := range []string{"h3", "h2"} {
				wg.Go(func() {
					e := errand{kind: kind, to: c[0], port: 443, family: families()[i]}
					if r := h.try(t.Context(), nil, host, e, false); len(r.seen) != 1 || h.linkOf(r.seen[0]) != c[1] {
						t.Errorf("%s's first %v: seen from %v (%v), want link %s", host, e, r.seen, r.err, c[1])
					}
				})
			}
		}
		wg.Wait()
	}
	t.Run("start", func(t *testing.T) {
		round(t, map[string][2]string{
			"laptop": {"www.ing.de", "lte"}, "phone": {"www.xn--stille-ecke-0db.example", "lte"},
			"tv": {"swcdn.apple.com", "wifi"}, "console": {"title.mgt.xboxlive.com", "wifi"}, "camera": {"upload.arlo.com", "fiber"},
		})
	})
	h.Router().Stop()
	if err := h.StartRouter(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("second start", func(t *testing.T) {
		round(t, map[string][2]string{
			"laptop": {"banking.ing.de", "lte"}, "phone": {"store.steampowered.com", "wifi"},
			"tv": {"www.ing.de", "lte"}, "console": {"www.netflix.com", "fiber"}, "camera": {"swcdn.apple.com", "wifi"},
		})
	})
}

// TestPolicySharedAddress: two clients that mean different names on one address, at the same time, each get the link of their
// own name; a third that asked for no name gets the link of the rest.
func TestPolicySharedAddress(t *testing.T) {
	h := newHouse(t, byName)
	const update, video = "download.windowsupdate.com", "rr5---sn-4g5lznes.googlevideo.com"
	for round := range 10 {
		var wg sync.WaitGroup
		for host, c := range map[string][2]string{"laptop": {update, "wifi"}, "phone": {video, "fiber"}, "console": {update, "wifi"}, "tv": {video, "fiber"}} {
			for _, family := range families() {
				wg.Go(func() {
					e := errand{kind: []string{"h2", "h1", "h3", "http"}[round%4], to: c[0], port: 443, family: family}
					if e.kind == "http" {
						e.port = 80
					}
					if r := h.try(t.Context(), nil, host, e, false); len(r.seen) != 1 || h.linkOf(r.seen[0]) != c[1] {
						t.Errorf("round %d, %s: %v: seen from %v (%v), want link %s", round, host, e, r.seen, r.err, c[1])
					}
				})
			}
		}
		wg.Wait()
	}
	for _, to := range []string{"203.0.113.80", "2001:db8:100:80::1"} {
		if got := h.seenLink(t, "camera", to, client.AnyFamily); got != "fiber" {
			t.Errorf("the camera, which asked for no name, reached %s over %q, want fiber", to, got)
		}
	}
	// One client that means one name after the other: the latest answer holds.
	for i := range 6 {
		to, want := update, "wifi"
		if i%2 == 1 {
			to, want = video, "fiber"
		}
		e := errand{kind: "h2", to: to, port: 443, family: families()[i/2%2]}
		if r := h.try(t.Context(), nil, "laptop", e, false); len(r.seen) != 1 || h.linkOf(r.seen[0]) != want {
			t.Errorf("the laptop in turn: %v: seen from %v (%v), want link %s", e, r.seen, r.err, want)
		}
	}
}

// serve handles connections in a namespace of the lab until the test ends; seen is the caller's address.
func serve(t *testing.T, n *netlab.Namespace, at string, handle func(c net.Conn, seen netip.Addr)) {
	t.Helper()
	l, err := n.Listen(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone(""))
			}()
		}
	}()
}

// TestPolicyNear: what stays in the house is nobody's to steer or to block: LAN to router, and LAN to LAN even where the
// router forwards it.
func TestPolicyNear(t *testing.T) {
	h := newHouse(t, people+`
house:
  - {id: lte-only, force: must, steer: {mode: fixed, use: [lte]}}
  - {id: shut, force: must, filter: {mode: deny-all}}
`)
	h.goes(t, "laptop", "www.ing.de", nil, "in a house that is shut")
	laptop, camera := h.Lab.Host("laptop"), h.Lab.Host("camera")
	camera4 := camera.Lease().Address.Addr()
	camera6, err := camera.Addresses6(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Through the router, not around it by the switch, and no redirect to the shorter way.
	for _, a := range []struct{ to, via netip.Addr }{{camera4, mustAddr("10.77.0.1")}, {camera6[0], mustAddr("fd00:77::1")}} {
		bits := a.to.BitLen()
		if out, err := laptop.Command(t.Context(), "ip", "route", "replace", netip.PrefixFrom(a.to, bits).String(), "via", a.via.String(), "dev", "eth0").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	err = laptop.Do(func() error {
		var errs []error
		for _, key := range []string{"ipv4/conf/all", "ipv4/conf/eth0", "ipv6/conf/all", "ipv6/conf/eth0"} {
			errs = append(errs, os.WriteFile("/proc/sys/net/"+key+"/accept_redirects", []byte("0"), 0o644))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*netlab.Namespace{camera.Namespace, h.Lab.Router()} {
		serve(t, n, ":7001", func(c net.Conn, seen netip.Addr) { _, _ = fmt.Fprintln(c, seen) })
	}
	own, err := laptop.Addresses6(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own = append(own, laptop.Lease().Address.Addr())
	for _, to := range []netip.Addr{camera4, camera6[0], mustAddr("10.77.0.1"), mustAddr("fd00:77::1")} {
		got, err := h.Agent("laptop").Connect(t.Context(), client.Connect{Target: client.Target{Host: to.String(), Port: 7001}})
		var seen netip.Addr
		if err == nil {
			seen, err = readAddr(got.Received)
		}
		if err != nil || !slices.Contains(own, seen) {
			t.Errorf("laptop to %s: seen as %q (%v), want one of its own addresses %v", to, got.Received, err, own)
		}
		if p, err := h.Agent("laptop").Ping(t.Context(), client.Ping{Target: client.Target{Host: to.String()}, Count: 2}); err != nil || p.Received != 2 {
			t.Errorf("laptop pings %s: %+v, %v", to, p, err)
		}
	}
	// Name queries to anybody are answered by the router.
	for _, server := range []string{"10.77.0.1:53", "[fd00:77::1]:53", "198.51.100.53:53", "[2001:db8:100::53]:53"} {
		for _, tcp := range []bool{false, true} {
			r, err := h.Agent("laptop").Resolve(t.Context(), client.Resolve{Name: "www.ing.de", Server: netip.MustParseAddrPort(server), TCP: tcp})
			if err != nil || len(r.Addrs) == 0 {
				t.Errorf("laptop asks %s (TCP %v): %+v, %v", server, tcp, r, err)
			}
		}
	}
	// The kernel knows these connections as they are: with no link.
	h.inRouter(func(m hal.Machine) error {
		found := map[netip.Addr]bool{}
		err := m.Connections(t.Context(), 0, 0, func(c hal.Connection) {
			if c.Orig.Dst.Port() != 7001 {
				return
			}
			found[c.Orig.Dst.Addr()] = true
			if c.Mark&(flow.LinkMask|flow.BlockedBit) != 0 {
				t.Errorf("%v is marked %v", c.Orig, c.Mark)
			}
		})
		if len(found) != 4 {
			t.Errorf("the router saw connections to %v, want four: those between hosts did not come through it", found)
		}
		return err
	})
}

func readAddr(line string) (netip.Addr, error) {
	var s string
	if _, err := fmt.Sscanln(line, &s); err != nil {
		return netip.Addr{}, fmt.Errorf("answer %q: %w", line, err)
	}
	return netip.ParseAddr(s)
}

// TestPolicyRouterOwn: the router's own traffic follows the rules for it and no others, and "why" knows.
func TestPolicyRouterOwn(t *testing.T) {
	const house = people + `
house:
  - {id: usual, force: default, steer: {mode: fixed, use: [fiber]}}
  - {id: own, force: must, who: {router: true}, steer: {mode: fixed, use: [wifi]}}
  - {id: own-shells, force: must, priority: 10, who: {router: true}, what: {services: [tcp/22]}, steer: {mode: fixed, use: [lte]}}
  - {id: own-bank, force: must, priority: 20, who: {router: true}, what: {domains: [ing.de]}, steer: {mode: fixed, use: [lte]}}
  - {id: own-net, force: must, who: {router: true}, what: {addresses: [203.0.113.210, "2001:db8:100:cc::/64"]}, filter: {block: true}}
`
	h := newHouse(t, house)
	cmd := h.Lab.Router().Command(context.WithoutCancel(t.Context()), binary, "lab-client")
	cmd.Stderr = os.Stderr
	agent, err := client.Start(context.WithoutCancel(t.Context()), cmd, client.Env{Resolv: "/etc/resolv.conf", CA: h.CA()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		to   string
		port uint16
		link string
	}{
		{"198.51.100.120", 7, "wifi"},
		{"2001:db8:100:dd::1", 7, "wifi"},
		{"198.51.100.120", 22, "lte"},
		{"2001:db8:100:dd::1", 22, "lte"},
		{"www.google.com", 7, "wifi"}, // a name without a rule
		{"www.ing.de", 22, "lte"},
		{"banking.ing.de", 7, "lte"},
	} {
		for _, family := range families() {
			if a, err := netip.ParseAddr(c.to); err == nil && a.Is6() != (family == client.V6) {
				continue
			}
			said := linksFor(h.why(t, question{device: "router", to: c.to, port: int(c.port)}), family == client.V6)
			if !slices.Equal(said, []string{c.link}) {
				t.Errorf("router to %s:%d over %s: why says %v, want %s", c.to, c.port, family, said, c.link)
			}
			got, err := agent.Connect(t.Context(), client.Connect{Target: client.Target{Host: c.to, Port: c.port, Family: family}})
			if err != nil || h.linkOf(got.Seen.Remote.Addr()) != c.link {
				t.Errorf("router to %s:%d over %s: seen from %v (%v), want link %s", c.to, c.port, family, got.Seen.Remote, err, c.link)
			}
		}
	}
	for _, to := range []string{"203.0.113.210", "2001:db8:100:cc::1"} {
		if a := h.why(t, question{device: "router", to: to, port: 7}); !a.Blocked {
			t.Errorf("router to %s: why says it passes: %s", to, a.Sentence)
		}
		got, err := agent.Connect(t.Context(), client.Connect{Target: client.Target{Host: to}})
		if err == nil {
			t.Errorf("router to %s: the server greeted %v, want it blocked", to, got.Seen.Remote)
		}
	}
	// The rules for the router are nobody else's.
	h.goes(t, "laptop", "www.ing.de", []string{"fiber"}, "by rules for the router")
}
