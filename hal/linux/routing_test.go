package linux

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

// The listing of `ip` must show what a hal.Rule or hal.Route prints: a person compares them.
func TestIPShowsRulesAndRoutes(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		m := newMachine(t)
		for _, r := range []hal.Rule{
			{Family: hal.IPv4, Priority: 9000, Table: hal.MainTable, SuppressPrefix: 0},
			{Family: hal.IPv4, Priority: 9001, Mark: 0x2000, Mask: 0xe000, Table: 1001, SuppressPrefix: -1},
			{Family: hal.IPv4, Priority: 9002, Table: 1002, SuppressPrefix: 8},
			{Family: hal.IPv6, Priority: 9003, Unreachable: true, SuppressPrefix: -1},
		} {
			if err := m.AddRule(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			flag := "-4"
			if r.Family == hal.IPv6 {
				flag = "-6"
			}
			got := words(run(t, fmt.Sprintf("ip %s rule show priority %d", flag, r.Priority)))
			if want := r.String() + fmt.Sprintf(" proto %d", hal.RouteProtocol); got != want {
				t.Errorf("ip shows %q, want %q", got, want)
			}
		}
		r := hal.Route{
			Table: 1001, Dst: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fe80::1"), Dev: haltest.Devices[0],
			Metric: 7, MTU: 1400, Protocol: hal.RouteProtocol,
		}
		if err := m.ReplaceRoute(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		got := words(run(t, "ip -6 route show table 1001"))
		if want := "default via fe80::1 dev wan1 proto 116 metric 7 mtu 1400 pref medium"; got != want {
			t.Errorf("ip shows %q, want %q", got, want)
		}
	})
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// Rules of others that look at more than a hal.Rule says are neither listed nor deleted for a rule of ours.
func TestForeignRules(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		foreign := []string{
			"from 10.0.0.0/8 lookup 1001", "to 10.0.0.0/8 lookup 1001", "iif lo lookup 1001", "oif lo lookup 1001",
			"ipproto tcp dport 80 lookup 1001", "uidrange 1-2 lookup 1001", "tos 0x10 lookup 1001",
			"not fwmark 0x2000/0xe000 lookup 1001", "blackhole", "prohibit", "goto 32766",
		}
		for _, f := range foreign {
			run(t, "ip rule add priority 9001 "+f)
		}
		before, err := m.Rules(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(before, func(r hal.Rule) bool { return r.Priority == 9001 }); i >= 0 {
			t.Errorf("a rule of another program reads as %q", before[i])
		}
		ours := hal.Rule{Family: hal.IPv4, Priority: 9001, Table: 1001, SuppressPrefix: -1}
		if err := m.AddRule(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
		if err := m.DeleteRule(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(run(t, "ip rule show priority 9001"), "\n"); got != len(foreign) {
			t.Errorf("%d of the %d foreign rules are left", got, len(foreign))
		}
		// One that a person added, and that we can express, is deleted as it stands.
		run(t, "ip rule add priority 9002 fwmark 0x2000/0xe000 lookup 1001")
		by := hal.Rule{Family: hal.IPv4, Priority: 9002, Mark: 0x2000, Mask: 0xe000, Table: 1001, SuppressPrefix: -1}
		if err := m.DeleteRule(t.Context(), by); err != nil {
			t.Error(err)
		}
	})
}

func TestMultipathRoute(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		m := newMachine(t)
		run(t, "ip route add default table 1001 nexthop via 192.0.2.254 dev wan1 weight 1 nexthop via inet6 fe80::9 dev wan2 weight 2")
		run(t, "ip -6 route add default table 1001 nexthop via fe80::1 dev wan1 nexthop via fe80::2 dev wan2")
		got, err := m.Routes(t.Context(), 1001)
		if err != nil {
			t.Fatal(err)
		}
		hop := func(dst, gateway, dev string) hal.Route {
			return hal.Route{Table: 1001, Dst: netip.MustParsePrefix(dst), Gateway: netip.MustParseAddr(gateway), Dev: dev, Protocol: 3}
		}
		want := []hal.Route{
			hop("0.0.0.0/0", "192.0.2.254", "wan1"), hop("0.0.0.0/0", "fe80::9", "wan2"),
			hop("::/0", "fe80::1", "wan1"), hop("::/0", "fe80::2", "wan2"),
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Error(diff)
		}
	})
}

// A table of thousands of routes takes several messages.
func TestManyRoutes(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		m := newMachine(t)
		const n = 3000
		for i := range n {
			r := hal.Route{
				Table: 1001, Dst: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24), Dev: "wan1", Protocol: hal.RouteProtocol,
			}
			if err := m.ReplaceRoute(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		for table, want := range map[int]int{1001: n, 1002: 0} {
			if got, err := m.Routes(t.Context(), table); err != nil || len(got) != want {
				t.Errorf("table %d: %d of %d routes, %v", table, len(got), want, err)
			}
		}
	})
}

// What is written reads back, for every rule that is valid.
func TestRuleWireRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mask := rapid.Uint32().Draw(t, "mask")
		r := hal.Rule{
			Family: rapid.SampledFrom(families[:]).Draw(t, "family"), Priority: rapid.IntRange(0, 1<<31-1).Draw(t, "priority"),
			Mark: rapid.Uint32().Draw(t, "mark") & mask, Mask: mask, SuppressPrefix: rapid.IntRange(-1, 128).Draw(t, "suppress"),
		}
		if r.Unreachable = rapid.Bool().Draw(t, "unreachable"); !r.Unreachable {
			r.Table = rapid.IntRange(1, 1<<31-1).Draw(t, "table")
		}
		protocol := rapid.IntRange(0, 255).Draw(t, "protocol")
		got, err := readRule(writeRule(r, protocol))
		if want := (kernelRule{Rule: r, protocol: protocol}); err != nil || got != want {
			t.Fatalf("wrote %+v, read %+v, %v", want, got, err)
		}
	})
}

func FuzzReadRule(f *testing.F) {
	f.Add(writeRule(hal.Rule{Family: hal.IPv4, Priority: 9001, Mark: 0x2000, Mask: 0xe000, Table: 1001, SuppressPrefix: -1}, hal.RouteProtocol))
	f.Add(writeRule(hal.Rule{Family: hal.IPv6, Priority: 9000, Table: hal.MainTable}, 0))
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 3, 0, 6, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRule(b)
		if err != nil || r.foreign || r.Validate() != nil {
			return
		}
		again, err := readRule(writeRule(r.Rule, r.protocol))
		if err != nil || again != r {
			t.Errorf("%+v, written and read again: %+v, %v", r, again, err)
		}
	})
}

func FuzzReadRoute(f *testing.F) {
	r := hal.Route{Table: 1001, Dst: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("fe80::1"), Dev: "x", MTU: 1400, Metric: 5, Protocol: 116}
	f.Add(writeRoute(r, 7))
	r.Dst, r.Gateway, r.OnLink = netip.MustParsePrefix("2001:db8::/32"), netip.MustParseAddr("2001:db8::1"), true
	f.Add(writeRoute(r, 7))
	hops := appendUint32([]byte{16, 0, 4, 0, 7, 0, 0, 0}, 5, 0x01020304)
	f.Add(appendAttribute(writeRoute(r, 0), 9, append(hops, hops...)))
	f.Add(appendAttribute(writeRoute(hal.Route{Table: 1, Dst: r.Dst, Unreachable: true, Protocol: 3}, 0), 9, hops)) // nonsense
	f.Fuzz(func(t *testing.T, b []byte) {
		hops, err := readRoute(b)
		if err != nil {
			return
		}
		for _, h := range hops {
			if h.Dev = "x"; h.Unreachable {
				h.Dev = ""
			}
			if h.Validate() != nil {
				continue
			}
			again, err := readRoute(writeRoute(h.Route, h.device))
			if h.Dev = ""; err != nil || len(again) != 1 || again[0] != h {
				t.Errorf("%+v, written and read again: %+v, %v", h, again, err)
			}
		}
	})
}
