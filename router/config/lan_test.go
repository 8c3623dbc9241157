package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
)

// TestHosts: the range follows the router's network, whatever its size.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		router string
		r      DHCPRange
		want   string
	}{
		{"192.168.83.1/24", DHCPRange{}, "192.168.83.50-192.168.83.249"},
		{"10.4.2.1/16", DHCPRange{}, "10.4.0.50-10.4.0.249"},
		{"192.168.1.65/28", DHCPRange{}, "192.168.1.66-192.168.1.78"},
		{"192.168.1.1/30", DHCPRange{From: 1}, "192.168.1.1-192.168.1.2"},
		{"192.168.1.1/24", DHCPRange{From: 10, To: 254}, "192.168.1.10-192.168.1.254"},
		{"192.168.1.1/24", DHCPRange{To: 255}, ""},
		{"192.168.1.1/24", DHCPRange{From: 4000000000}, ""},
		{"192.168.1.1/31", DHCPRange{}, ""},
		{"fd00::1/64", DHCPRange{}, ""},
	} {
		first, last, ok := c.r.Hosts(netip.MustParsePrefix(c.router))
		got := ""
		if ok {
			got = first.String() + "-" + last.String()
		}
		if got != c.want {
			t.Errorf("%s %+v: %q, want %q", c.router, c.r, got, c.want)
		}
	}
}

// TestFullLAN reads a LAN of which everything is the router's own.
func TestFullLAN(t *testing.T) {
	c, err := Parse("trenza.yaml", []byte(`
lan:
  - {device: br-lan, bridge: [eth0, eth1], address: 192.168.83.1/24, ula: "fd12:3456:789a::1/64", ipv6: auto, dhcp: {lease: 1h}}
  - {device: br-guest, bridge: [wlan1], address: 192.168.84.1/24, dhcp: {}, guest: true}
  - {device: eth4}
`+wan))
	if err != nil {
		t.Fatal(err)
	}
	home, guest, other := c.LAN[0], c.LAN[1], c.LAN[2]
	if !home.Managed() || !home.Served() || home.DHCP.LeaseTime() != time.Hour || guest.DHCP.LeaseTime() != 12*time.Hour || other.Managed() || other.Served() {
		t.Errorf("read as %+v", c.LAN)
	}
	delegated := netip.MustParsePrefix("2001:db8:5::1/64")
	want := hal.LANPort{Device: "br-lan", Ports: []string{"eth0", "eth1"},
		Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.83.1/24"), netip.MustParsePrefix("fd12:3456:789a::1/64"), delegated}}
	if got := home.Port([]netip.Prefix{delegated}); !got.Equal(want) {
		t.Error(cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })))
	}
	if !guest.Port(nil).Isolated {
		t.Error("guests can speak to each other")
	}
}
