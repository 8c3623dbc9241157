package scenario

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/integration/netlab"
)

// place is a network namespace of a test.
type place struct {
	*netlab.Namespace
	t *testing.T
}

// ip runs a command of ip(8) there.
func (p place) ip(line string) {
	p.t.Helper()
	if out, err := p.Command(p.t.Context(), "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		p.t.Fatalf("ip %s: %v\n%s", line, err, out)
	}
}

// start runs a program there until the test ends.
func (p place) start(log string, name string, args ...string) {
	p.t.Helper()
	out, err := os.Create(log)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(p.t.Context()))
	cmd := p.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		stop()
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // ended by our signal
		out.Close()
		if text, err := os.ReadFile(log); err == nil && p.t.Failed() {
			p.t.Logf("%s said:\n%s", name, text[max(0, len(text)-6000):])
		}
	})
}

// reaches tells whether a TCP connection comes to stand.
func (p place) reaches(address string, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	c, err := p.Dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// greet accepts connections there until the test ends.
func (p place) greet(address string) {
	p.t.Helper()
	l, err := p.Listen(p.t.Context(), "tcp", address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

// lookup asks a name server for an address of a name.
func (p place) lookup(server netip.Addr, name string) (answer string) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.TypeA)
	err := p.Do(func() error {
		c := dns.Client{Timeout: 5 * time.Second}
		r, _, err := c.ExchangeContext(p.t.Context(), q, net.JoinHostPort(server.String(), "53"))
		for _, rr := range r.Answer {
			if a, ok := rr.(*dns.A); ok {
				answer = a.A.String()
			}
		}
		return err
	})
	if err != nil {
		return err.Error()
	}
	return answer
}

func waitFor(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(paced(90 * time.Second)); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

const madeLAN = `
state: %[1]s/state
run: %[1]s/run
lan:
  - {device: br-lan, bridge: [port1, port2], address: 192.168.83.1/24, ula: "fd12:3456:789a::1/64", ipv6: auto, dhcp: {}}
  - {device: br-guest, bridge: [port3], address: 192.168.84.1/24, dhcp: {lease: 10m}, guest: true}
links:
  - {name: fiber, device: wan1, ipv4: {gateway: 198.51.100.1}, ipv6: off, dns: [198.51.100.1], probes: {targets: ["icmp:198.51.100.1"]}}
leases: []
web: {listen: "0.0.0.0:8080"}
`

// madeHouse is a router that makes its LAN itself, two hosts, a guest and the internet.
type madeHouse struct {
	router, internet, host, nas, guest place
	dir                                string
}

func newMadeHouse(t *testing.T) madeHouse {
	t.Helper()
	id := strings.ToLower(rand.Text()[:6])
	at := func(name string) place {
		n, err := netlab.NewNamespace(t.Context(), "tzs"+id+"-"+name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.Remove(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		return place{n, t}
	}
	h := madeHouse{router: at("router"), internet: at("internet"), host: at("host"), nas: at("nas"), guest: at("guest"), dir: t.TempDir()}
	h.router.ip("link add wan1 type veth peer name eth0 netns " + h.internet.Name())
	for n, p := range []place{h.host, h.nas, h.guest} {
		h.router.ip(fmt.Sprintf("link add port%d type veth peer name eth0 netns %s", n+1, p.Name()))
		p.ip("link set eth0 up")
	}
	for _, line := range []string{"address add 198.51.100.1/24 dev eth0", "link set eth0 up", "route add local 203.0.113.0/24 dev lo"} {
		h.internet.ip(line)
	}
	h.router.ip("address add 198.51.100.2/24 dev wan1")
	h.router.ip("link set wan1 up")
	dnsmasq, err := exec.LookPath("dnsmasq")
	if err != nil {
		dnsmasq = "/usr/sbin/dnsmasq"
	}
	h.internet.start(filepath.Join(h.dir, "names.log"), dnsmasq, "--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--address=/shop.example/203.0.113.80")
	h.internet.greet("203.0.113.80:80")
	config := filepath.Join(h.dir, "trenza.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, madeLAN, h.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	h.router.start(filepath.Join(h.dir, "router.log"), binary, "router", "--config", config)
	return h
}

// join gets a host its address and its way out, as its own DHCP client does.
func (h madeHouse) join(p place, name string) netlab.Lease {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), paced(90*time.Second))
	defer cancel()
	l, err := p.RequestLease(ctx, "eth0", name, netip.Addr{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.ip(fmt.Sprintf("address replace %v dev eth0", l.Address))
	p.ip(fmt.Sprintf("route replace default via %v dev eth0", l.Gateway))
	return l
}

// cli asks the running router.
func (h madeHouse) cli(args ...string) string {
	h.router.t.Helper()
	out, err := h.router.Command(h.router.t.Context(), binary, append([]string{"--socket", filepath.Join(h.dir, "run", "trenza.sock")}, args...)...).CombinedOutput()
	if err != nil {
		h.router.t.Fatalf("trenza %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestLANMadeByTheRouter: out of bare ports the router makes the house's network: hosts get addresses of both families, names and the internet, and are
// known by name; guests get the internet, and reach nothing of the house.
func TestLANMadeByTheRouter(t *testing.T) {
	h := newMadeHouse(t)
	lease := h.join(h.host, "laptop")
	if !netip.MustParsePrefix("192.168.83.0/24").Contains(lease.Address.Addr()) || lease.Address.Bits() != 24 || lease.Expires != 12*time.Hour ||
		lease.Gateway.String() != "192.168.83.1" || len(lease.DNS) != 1 || lease.DNS[0] != lease.Gateway {
		t.Errorf("the host's lease: %+v", lease)
	}
	nas := h.join(h.nas, "nas")
	h.nas.greet(netip.AddrPortFrom(nas.Address.Addr(), 80).String())
	ula := func(p place) bool {
		out, err := p.Command(t.Context(), "ip", "-6", "address", "show", "dev", "eth0", "scope", "global").Output()
		return err == nil && strings.Contains(string(out), "fd12:3456:789a:0:")
	}
	waitFor(t, "an address of the house's own IPv6 network", func() bool { return ula(h.host) })
	routes, err := h.host.Command(t.Context(), "ip", "-6", "route", "show", "default").Output()
	if err != nil || len(routes) > 0 {
		t.Errorf("no link carries IPv6, and the host has a default route for it: %s, %v", routes, err)
	}
	waitFor(t, "a name's address", func() bool { return h.host.lookup(lease.DNS[0], "shop.example") == "203.0.113.80" })
	waitFor(t, "the internet", func() bool { return h.host.reaches("203.0.113.80:80", 5*time.Second) })
	if !h.host.reaches(netip.AddrPortFrom(nas.Address.Addr(), 80).String(), 10*time.Second) || !h.host.reaches("192.168.83.1:8080", 10*time.Second) {
		t.Error("the host reaches its neighbour, or the router's page, no more")
	}
	waitFor(t, "the hosts to be known by the names that they told", func() bool {
		return strings.Contains(h.cli("status", "--devices"), "laptop") && strings.Contains(h.cli("status", "--devices"), "nas")
	})

	guest := h.join(h.guest, "visitor")
	if !netip.MustParsePrefix("192.168.84.0/24").Contains(guest.Address.Addr()) || guest.Expires != 10*time.Minute {
		t.Errorf("the guest's lease: %+v", guest)
	}
	waitFor(t, "a guest's name", func() bool { return h.guest.lookup(guest.DNS[0], "shop.example") == "203.0.113.80" })
	waitFor(t, "a guest's internet", func() bool { return h.guest.reaches("203.0.113.80:80", 5*time.Second) })
	for what, address := range map[string]string{
		"a host": netip.AddrPortFrom(nas.Address.Addr(), 80).String(), "the router's page": "192.168.84.1:8080", "the router's page on the house's side": "192.168.83.1:8080",
		"the router's page on the link": "198.51.100.2:8080",
	} {
		if h.guest.reaches(address, 2*time.Second) {
			t.Errorf("a guest reaches %s at %s", what, address)
		}
	}
	// What the house begins is answered.
	h.guest.greet(netip.AddrPortFrom(guest.Address.Addr(), 80).String())
	if !h.host.reaches(netip.AddrPortFrom(guest.Address.Addr(), 80).String(), 10*time.Second) {
		t.Error("the house does not reach a guest's device")
	}
}
