package engine

import (
	"net/netip"
	"testing"

	"github.com/trenza-router/trenza/hal"
)

func TestDefaultGateway(t *testing.T) {
	route := func(dst, gw, dev string, metric int) hal.Route {
		r := hal.Route{Table: hal.MainTable, Dst: netip.MustParsePrefix(dst), Dev: dev, Metric: metric}
		if gw != "" {
			r.Gateway = netip.MustParseAddr(gw)
		}
		return r
	}
	routes := []hal.Route{
		route("0.0.0.0/0", "192.0.2.9", "wan1", 200), route("0.0.0.0/0", "192.0.2.1", "wan1", 100), route("0.0.0.0/0", "198.51.100.1", "wan2", 1),
		route("0.0.0.0/0", "", "ppp0", 0), route("10.0.0.0/8", "192.0.2.7", "wan3", 0), route("::/0", "fe80::1", "wan1", 1024),
		{Table: hal.MainTable, Dst: netip.MustParsePrefix("0.0.0.0/0"), Unreachable: true},
	}
	for _, tt := range []struct {
		device string
		v6     bool
		want   string
	}{
		{"wan1", false, "192.0.2.1"}, {"wan1", true, "fe80::1"}, {"wan2", false, "198.51.100.1"}, {"wan2", true, "invalid IP"},
		{"wan3", false, "invalid IP"}, {"ppp0", false, "invalid IP"}, {"", false, "invalid IP"},
	} {
		if got := defaultGateway(routes, tt.device, tt.v6); got.String() != tt.want {
			t.Errorf("%s (IPv6 %v): %v, want %s", tt.device, tt.v6, got, tt.want)
		}
	}
}
