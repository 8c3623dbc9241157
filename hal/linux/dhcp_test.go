package linux

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

// tenant runs the client on wan1 and collects what it tells.
type tenant struct {
	mu     sync.Mutex
	leases []hal.Lease
	log    strings.Builder
	stop   func()
}

func (c *tenant) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(b)
}

func startTenant(t *testing.T) *tenant {
	t.Helper()
	c := &tenant{}
	m, err := New(Options{Log: slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- m.RunDHCP(ctx, "wan1", func(l hal.Lease) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.leases = append(c.leases, l)
		})
	}()
	var once sync.Once
	c.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("RunDHCP returned %v, want the context's error", err)
			}
			if t.Failed() {
				t.Log(c.log.String())
			}
		})
	}
	t.Cleanup(c.stop)
	return c
}

// next waits for a lease that fits and forgets it and all before it.
func (c *tenant) next(t *testing.T, what string, fits func(hal.Lease) bool) (l hal.Lease) {
	t.Helper()
	defer func() {
		if t.Failed() {
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Logf("leases %v\n%s", c.leases, c.log.String())
		}
	}()
	eventually(t, what, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i := range c.leases {
			if fits(c.leases[i]) {
				l, c.leases = c.leases[i], c.leases[i+1:]
				return true
			}
		}
		return false
	})
	return l
}

func (c *tenant) said(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(c.log.String(), text)
}

func granted(l hal.Lease) bool { return l.Addr.IsValid() }
func lost(l hal.Lease) bool    { return !l.Addr.IsValid() }

// dnsmasq serves DHCP in the neighbour for net.50 to net.60.
func dnsmasq(t *testing.T, n *neighbour, net string, options ...string) (stop func()) {
	t.Helper()
	line := "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --pid-file= --interface=isp --bind-interfaces" +
		" --no-ping --dhcp-authoritative --log-dhcp --log-facility=- --dhcp-leasefile=" + filepath.Join(t.TempDir(), "leases") +
		fmt.Sprintf(" --dhcp-range=%[1]s.50,%[1]s.60,255.255.255.0,2m --dhcp-option=option:router,%[1]s.1", net)
	for _, o := range options {
		line += " --dhcp-option=" + o
	}
	return n.start(t, line)
}

func TestDHCP(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		n := newNeighbour(t, "wan1", "isp")
		n.Run("ip address add 192.0.2.1/24 dev isp")
		stop := dnsmasq(t, n, "192.0.2", "option:T1,3", "option:T2,60", "option:mtu,1400", "option:dns-server,198.51.100.53,198.51.100.54")
		run(t, "ip link set wan1 down") // the client switches it on
		run(t, "ip address add 203.0.113.5/24 dev wan1")
		began := time.Now()
		c := startTenant(t)

		first := c.next(t, "the lease", granted)
		if left := first.Expires.Sub(began); left < 100*time.Second || left > 150*time.Second {
			t.Errorf("the lease of two minutes ends after %v", left)
		}
		want := hal.Lease{
			Addr: first.Addr, Gateway: netip.MustParseAddr("192.0.2.1"), Server: netip.MustParseAddr("192.0.2.1"), MTU: 1400,
			DNS:     []netip.Addr{netip.MustParseAddr("198.51.100.53"), netip.MustParseAddr("198.51.100.54")},
			Expires: first.Expires,
		}
		if diff := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", first)); diff != "" {
			t.Error("lease (-want +got):", diff)
		}
		if !netip.MustParsePrefix("192.0.2.0/24").Contains(first.Addr.Addr()) || first.Addr.Bits() != 24 {
			t.Errorf("address %s is not of the server's range", first.Addr)
		}
		onDevice := func() string { return run(t, "ip -4 -o address show dev wan1") }
		if s := onDevice(); !strings.Contains(s, first.Addr.String()) || !strings.Contains(s, "dynamic") || !strings.Contains(s, "203.0.113.5/24") {
			t.Errorf("addresses on the device:\n%s", s)
		}
		if s := run(t, "ip route show table all default"); s != "" {
			t.Errorf("the client made a route: %s", s)
		}

		second := c.next(t, "the renewal at T1", granted)
		if second.Addr != first.Addr || !second.Expires.After(first.Expires) {
			t.Errorf("the renewal is %+v after %+v", second, first)
		}

		run(t, "ip address del "+first.Addr.String()+" dev wan1")
		eventually(t, "the deleted address to be back", func() bool { return strings.Contains(onDevice(), first.Addr.String()) })

		// The daemon stops: the address stays. It starts: the same lease, and nothing lost.
		c.stop()
		if s := onDevice(); !strings.Contains(s, first.Addr.String()) {
			t.Errorf("the address went with the client:\n%s", s)
		}
		c = startTenant(t)
		again := c.next(t, "the lease after a restart", func(hal.Lease) bool { return true })
		if again.Addr != first.Addr {
			t.Errorf("after a restart the lease is %s, was %s", again.Addr, first.Addr)
		}

		// The cable is pulled and put into another network.
		stop()
		n.Run("ip link set isp down")
		n.Run("ip address flush dev isp")
		n.Run("ip address add 198.51.100.1/24 dev isp")
		eventually(t, "the loss of carrier", func() bool { return strings.Contains(run(t, "ip link show wan1"), "NO-CARRIER") })
		n.Run("ip link set isp up")
		dnsmasq(t, n, "198.51.100")
		c.next(t, "the old network's lease to be lost", lost)
		moved := c.next(t, "a lease of the other network", granted)
		if !netip.MustParsePrefix("198.51.100.0/24").Contains(moved.Addr.Addr()) {
			t.Errorf("the lease in the other network is %s", moved.Addr)
		}
		if s := onDevice(); strings.Contains(s, first.Addr.String()) || !strings.Contains(s, moved.Addr.String()) || !strings.Contains(s, "203.0.113.5/24") {
			t.Errorf("addresses on the device in the other network:\n%s", s)
		}

		// A stick is pulled out and put in again.
		run(t, "ip link del wan1")
		c.next(t, "the lease to be lost with its device", lost)
		run(t, fmt.Sprintf("ip link add wan1 type veth peer name isp netns %d", n.PID))
		n.Run("ip address add 198.51.100.1/24 dev isp")
		n.Run("ip link set isp up")
		c.next(t, "a lease for the new device", granted)
	})
}
