package linux

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

// TestLANPort makes a bridge, changes its ports and address, and takes it away.
func TestLANPort(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		m, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"port1", "port2", "radio"} {
			run(t, "ip link add "+name+" type veth peer name "+name+"x")
		}
		p := hal.LANPort{Device: "br-lan", Ports: []string{"port1", "port2", "later"}, Isolated: true,
			Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.83.1/24"), netip.MustParsePrefix("fd12::1/64")}}
		set := func() string {
			t.Helper()
			for range 2 { // a second call finds nothing to do
				if err := m.SetLANPort(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			return run(t, "ip -o addr show dev br-lan scope global") + run(t, "bridge -d link show")
		}
		out := set()
		for _, want := range []string{"192.168.83.1/24 brd 192.168.83.255", "fd12::1/64", "port1@port1x", "port2@port2x", "isolated on"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
		}
		run(t, "ip link set radio master br-lan") // an access point joins by itself
		p.Ports, p.Isolated, p.Addrs = []string{"port1"}, false, []netip.Prefix{netip.MustParsePrefix("192.168.83.2/24")}
		out = set()
		for text, want := range map[string]bool{"192.168.83.2/24": true, "192.168.83.1/24": false, "fd12::1": false, "port1@port1x": true, "port2@port2x": false, "radio@": true, "isolated on": false} {
			if strings.Contains(out, text) != want {
				t.Errorf("%q there: %v, wanted %v:\n%s", text, !want, want, out)
			}
		}
		if out := run(t, "ip link show br-lan"); !strings.Contains(out, "UP") {
			t.Errorf("not switched on: %s", out)
		}
		run(t, "ip link add other type bridge")
		if err := m.SetLANPort(t.Context(), hal.LANPort{Device: "other", Ports: []string{"port2"}}); !errors.Is(err, hal.ErrExists) {
			t.Errorf("another program's bridge: %v", err)
		}
		if err := m.SetLANPort(t.Context(), hal.LANPort{Device: "none"}); !errors.Is(err, hal.ErrNotFound) {
			t.Errorf("no such device: %v", err)
		}
		if err := m.RemoveLANPorts(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out := run(t, "ip -o link show type bridge"); strings.Contains(out, "br-lan") || !strings.Contains(out, "other") {
			t.Errorf("after removing: %s", out)
		}
	})
}
