package scenario

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab"
)

// armConfig is a router with one device, in the network of the house's own router.
const armConfig = `
state: %[1]s/state
run: %[1]s/run
lan: [{device: eth0}]
links:
  - {name: house, device: eth0, ipv4: {gateway: 192.168.1.1}, ipv6: off, dns: [198.51.100.1], probes: {targets: ["icmp:198.51.100.1"]}}
leases: []
web: {listen: "0.0.0.0:8080"}
policy: %[1]s/policy.yaml
`

const armPolicy = `
devices:
  - {id: console, name: Console, macs: ["02:00:00:00:00:0a"]}
house:
  - {id: game, force: must, who: {devices: [console]}, what: {services: [tcp/7000]}, steer: {mode: fixed, use: [far]}}
  - {id: rest, force: default, steer: {mode: fixed, use: [house]}}
`

const (
	houseAddress = "198.51.100.2" // of the house's own router on the internet
	relayAddress = "192.0.2.5"
	gameServer   = "203.0.113.7:7000"
	videoServer  = "203.0.113.8:443"
)

// armHouse is a house with a router of its own, on whose network Trenza stands on one leg: the hosts but the last one have it as their gateway.
type armHouse struct {
	madeHouse // router is Trenza; nas and guest are not there
	own       place
	relay     place
	tv, phone place
	neighbour place // knows nothing of Trenza
}

func newArmHouse(t *testing.T) armHouse {
	t.Helper()
	id := strings.ToLower(rand.Text()[:6])
	at := func(name string) place {
		n, err := netlab.NewNamespace(t.Context(), "tza"+id+"-"+name)
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
	h := armHouse{madeHouse: madeHouse{router: at("arm"), internet: at("internet"), host: at("console"), dir: t.TempDir()},
		own: at("own"), relay: at("relay"), tv: at("tv"), phone: at("phone"), neighbour: at("pc")}
	each := func(p place, lines ...string) {
		for _, line := range lines {
			p.ip(line)
		}
	}
	each(h.own, "link add wan type veth peer name house netns "+h.internet.Name(), "address add "+houseAddress+"/24 dev wan", "link set wan up",
		"route add default via 198.51.100.1", "link add lan type bridge", "address add 192.168.1.1/24 dev lan", "link set lan up")
	each(h.relay, "link add eth0 type veth peer name rented netns "+h.internet.Name(), "address add "+relayAddress+"/24 dev eth0", "link set eth0 up",
		"route add default via 192.0.2.1")
	each(h.internet, "address add 198.51.100.1/24 dev house", "link set house up", "address add 192.0.2.1/24 dev rented", "link set rented up",
		"route add local 203.0.113.0/24 dev lo")
	h.own.write("net/ipv4/ip_forward", "1")
	h.internet.write("net/ipv4/ip_forward", "1")
	h.own.nft("table ip nat { chain out { type nat hook postrouting priority srcnat; oifname wan masquerade; }; }")
	for n, p := range []place{h.router, h.host, h.tv, h.phone, h.neighbour} {
		port := fmt.Sprintf("port%d", n)
		each(h.own, "link add "+port+" type veth peer name eth0 netns "+p.Name(), "link set "+port+" master lan up")
		gateway := "192.168.1.2"
		if p == h.router || p == h.neighbour {
			gateway = "192.168.1.1"
		}
		each(p, fmt.Sprintf("link set eth0 address 02:00:00:00:00:%02x", 9+n), fmt.Sprintf("address add 192.168.1.%d/24 dev eth0", 2+n), "link set eth0 up",
			"route add default via "+gateway)
		p.nft(`table inet watch { counter redirects { }; counter resets { }; chain in { type filter hook prerouting priority raw;
			icmp type redirect counter name redirects; tcp flags & rst == rst counter name resets; }; }`)
	}
	h.internet.tells(gameServer)
	h.internet.tells(videoServer)
	return h
}

// write sets a sysctl there.
func (p place) write(key, value string) {
	p.t.Helper()
	if err := p.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0o644) }); err != nil {
		p.t.Fatal(err)
	}
}

// nft loads rules there.
func (p place) nft(rules string) {
	p.t.Helper()
	cmd := p.Command(p.t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("nft: %v\n%s", err, out)
	}
}

// counted reads a counter of the table watch.
func (p place) counted(name string) string {
	p.t.Helper()
	out, err := p.Command(p.t.Context(), "nft", "list", "counter", "inet", "watch", name).CombinedOutput()
	if err != nil {
		p.t.Fatalf("nft: %v\n%s", err, out)
	}
	_, text, _ := strings.Cut(string(out), "packets ")
	packets, _, _ := strings.Cut(text, " ")
	return packets
}

// tells accepts connections there and tells each whose it is, until the test ends.
func (p place) tells(address string) {
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
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, c.RemoteAddr().(*net.TCPAddr).IP.String()) // who asked may be gone
			}()
		}
	}()
}

// seenBy is the address that a server saw a new connection of the host come from.
func (p place) seenBy(server string) string {
	ctx, cancel := context.WithTimeout(p.t.Context(), paced(10*time.Second))
	defer cancel()
	c, err := p.Dial(ctx, "tcp", server)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(paced(10 * time.Second))); err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestOneArm: a router on one leg in the network of the house's own router. Hosts that have it as their gateway go by its rules, over a relay or by
// the house's own way out; nothing tells them that the other router is nearer, and what they say to each other is not touched.
func TestOneArm(t *testing.T) {
	h := newArmHouse(t)
	relay := filepath.Join(h.dir, "relay.yaml")
	for path, text := range map[string]string{
		relay:                               fmt.Sprintf("public: [\"%s:51900\"]\nstate: %s/relay\n", relayAddress, h.dir),
		filepath.Join(h.dir, "trenza.yaml"): fmt.Sprintf(armConfig, h.dir),
		filepath.Join(h.dir, "policy.yaml"): armPolicy,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.relay.start(filepath.Join(h.dir, "relay.log"), binary, "relay", "--config", relay)
	h.router.start(filepath.Join(h.dir, "router.log"), binary, "router", "--config", filepath.Join(h.dir, "trenza.yaml"))
	waitFor(t, "the house's own way out", func() bool { return h.tv.seenBy(videoServer) == houseAddress })
	var code string
	waitFor(t, "the relay's code", func() bool {
		out, err := h.relay.Command(t.Context(), binary, "relay", "invite", "--config", relay, "--no-qr").Output()
		if err != nil {
			return false
		}
		code, _, _ = strings.Cut(string(out), "\n")
		return true
	})
	h.cli("link", "add", "relay", "--name", "far", code)
	waitFor(t, "the console's game over the relay", func() bool { return h.host.seenBy(gameServer) == relayAddress })
	// Until then the rule had no link and refused the game with resets, as it has to.
	if out, err := h.host.Command(t.Context(), "nft", "reset", "counter", "inet", "watch", "resets").CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}

	for _, tt := range []struct {
		what string
		from place
		to   string
		seen string
	}{
		{"the console's game", h.host, gameServer, relayAddress},
		{"the console's video", h.host, videoServer, houseAddress},
		{"the television's video", h.tv, videoServer, houseAddress},
		{"the television's game", h.tv, gameServer, houseAddress},
		{"the phone's video", h.phone, videoServer, houseAddress},
		{"the video of one who knows nothing of it", h.neighbour, videoServer, houseAddress},
	} {
		if seen := tt.from.seenBy(tt.to); seen != tt.seen {
			t.Errorf("%s is seen from %s, want %s", tt.what, seen, tt.seen)
		}
	}
	// Among themselves, and the router's page.
	h.tv.tells("192.168.1.4:8000")
	for _, p := range []place{h.phone, h.neighbour} {
		out, err := p.Command(t.Context(), "ip", "-brief", "address", "show", "dev", "eth0").Output()
		if seen := p.seenBy("192.168.1.4:8000"); err != nil || !strings.Contains(string(out), seen+"/24") {
			t.Errorf("the television sees a neighbour as %s, which has %s", seen, out)
		}
	}
	if !h.phone.reaches("192.168.1.2:8080", paced(10*time.Second)) {
		t.Error("the phone does not reach the router's page")
	}
	// Somebody on the internet whom the house's own router lets in.
	h.internet.ip("route add 192.168.1.0/24 via " + houseAddress)
	if h.internet.reaches("192.168.1.2:8080", 2*time.Second) {
		t.Error("a stranger reaches the router's page")
	}
	for what, p := range map[string]place{"console": h.host, "tv": h.tv, "phone": h.phone} {
		if redirects, resets := p.counted("redirects"), p.counted("resets"); redirects != "0" || resets != "0" {
			t.Errorf("the %s was sent %s redirects and %s resets", what, redirects, resets)
		}
	}
}
