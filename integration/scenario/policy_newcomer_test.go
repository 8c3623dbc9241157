package scenario

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/webui/api"
)

// The longest time from a device's first packet to its appearance.
var newcomerLimit = paced(2 * time.Second)

// TestPolicyNewcomer: a device that nobody has seen before appears within two seconds of its first packet, whichever family
// it speaks, and the rules for everybody are for it too.
func TestPolicyNewcomer(t *testing.T) {
	h := newHouse(t, people+`
house:
  - {id: usual, force: default, steer: {mode: fixed, use: [wifi]}}
`)
	for i, c := range []struct{ name, to string }{
		{"speaks IPv4", "198.51.100.120"},
		{"speaks IPv6", "2001:db8:100:dd::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			try := 0
			steady(t, func() (wrong []string) {
				try++
				mac := fmt.Sprintf("02:77:00:00:%02x:%02x", try, 0x10+i)
				n := h.plugIn(t, fmt.Sprintf("new%d", i), mac, fmt.Sprintf("10.77.0.%d/24", 50+i), fmt.Sprintf("fd00:77::77:%x/64", 50+i))
				defer n.unplug(t)
				if _, known := h.device(t, mac); known {
					t.Fatalf("%s is known before it spoke", mac)
				}
				begin := time.Now()
				speaking := async(func() (client.Connected, error) {
					return n.agent.Connect(t.Context(), client.Connect{Target: client.Target{Host: c.to}})
				})
				var took time.Duration
				h.eventually("the new device "+mac+" appears", func() bool {
					_, known := h.device(t, mac)
					took = time.Since(begin)
					return known
				})
				if got, err := speaking(); err != nil || h.linkOf(got.Seen.Remote.Addr()) != "wifi" {
					wrong = append(wrong, fmt.Sprintf("its first words were seen from %v (%v), want link wifi", got.Seen.Remote, err))
				}
				if took > newcomerLimit {
					wrong = append(wrong, fmt.Sprintf("it appeared after %v, want %v", took, newcomerLimit))
				}
				t.Logf("it appeared after %v", took)
				return wrong
			})
		})
	}
	t.Run("changes its Ethernet address", func(t *testing.T) {
		const before, after = "02:77:00:00:00:20", "02:77:00:00:00:21"
		n := h.plugIn(t, "new9", before, "10.77.0.60/24", "fd00:77::77:60/64")
		defer n.unplug(t)
		speak := func() error {
			_, err := n.agent.Connect(t.Context(), client.Connect{Target: client.Target{Host: "198.51.100.120"}})
			return err
		}
		if err := speak(); err != nil {
			t.Fatal(err)
		}
		h.eventually("the first address appears", func() bool { _, known := h.device(t, before); return known })
		n.ip(t, "link set eth0 address "+after)
		begin := time.Now()
		wait := async(func() (struct{}, error) { return struct{}{}, speak() })
		h.eventually("the second address appears", func() bool { _, known := h.device(t, after); return known })
		t.Logf("it appeared after %v", time.Since(begin))
		if _, err := wait(); err != nil {
			t.Errorf("it cannot go on with its new address: %v", err)
		}
	})
}

// device finds a device by its Ethernet address.
func (h *house) device(t *testing.T, mac string) (api.Device, bool) {
	t.Helper()
	r, err := h.api.ListDevicesWithResponse(t.Context())
	if err != nil || r.JSON200 == nil {
		t.Fatalf("listing the devices: %v", err)
	}
	for _, d := range *r.JSON200 {
		if slices.ContainsFunc(d.Macs, func(m string) bool { return strings.EqualFold(m, mac) }) {
			return d, true
		}
	}
	return api.Device{}, false
}

// newcomer is a device that is plugged into the house's switch while it lives, in a namespace of its own.
type newcomer struct {
	namespace, port string
	wall            string // the switch's namespace
	agent           *client.Agent
}

// plugIn makes a newcomer that has said nothing yet.
func (h *house) plugIn(t *testing.T, name, mac, v4, v6 string) newcomer {
	t.Helper()
	prefix, _, _ := strings.Cut(h.Lab.Router().Name(), "-router")
	n := newcomer{namespace: prefix + "-" + name, port: "p-" + name, wall: prefix + "-switch"}
	n.must(t, "ip", "netns", "add", n.namespace)
	t.Cleanup(func() { n.unplug(t) })
	n.must(t, "ip", "-n", n.wall, "link", "add", n.port, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", n.namespace)
	// It must not speak before it is told to: no duplicate address detection, no solicitation of routers, no multicast reports.
	for _, key := range []string{"accept_dad", "dad_transmits", "accept_ra", "router_solicitations", "addr_gen_mode"} {
		value := "0"
		if key == "addr_gen_mode" {
			value = "1" // no link-local address either
		}
		n.must(t, "ip", "netns", "exec", n.namespace, "sh", "-c", "echo "+value+" > /proc/sys/net/ipv6/conf/eth0/"+key)
	}
	n.ip(t, "link set lo up")
	n.ip(t, "address add "+v4+" dev eth0")
	n.ip(t, "address add "+v6+" dev eth0 nodad")
	n.ip(t, "link set eth0 up")
	n.ip(t, "route add default via 10.77.0.1")
	n.ip(t, "route add default via fd00:77::1")
	cmd := exec.Command("ip", "netns", "exec", n.namespace, binary, "lab-client")
	cmd.Stderr = os.Stderr
	var err error
	if n.agent, err = client.Start(context.WithoutCancel(t.Context()), cmd, client.Env{Resolv: "/etc/resolv.conf", CA: h.CA()}); err != nil {
		t.Fatal(err)
	}
	// The port comes last: what was said before went nowhere.
	n.must(t, "ip", "-n", n.wall, "link", "set", n.port, "master", "br0", "up")
	return n
}

// unplug takes the newcomer away; doing it twice is fine.
func (n newcomer) unplug(t *testing.T) {
	if n.agent != nil {
		_ = n.agent.Close() // what it was doing is over anyway
	}
	if _, err := os.Stat("/run/netns/" + n.namespace); err == nil {
		// The port first: it goes with the namespace, but not at once.
		n.must(t, "ip", "-n", n.wall, "link", "del", n.port)
		n.must(t, "ip", "netns", "del", n.namespace)
	}
}

func (n newcomer) ip(t *testing.T, args string) {
	t.Helper()
	n.must(t, "ip", append([]string{"-n", n.namespace}, strings.Fields(args)...)...)
}

func (n newcomer) must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
