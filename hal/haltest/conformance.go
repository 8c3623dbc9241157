package haltest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// Surface is the part of a machine that Conformance tests: what the daemon writes and reads back.
type Surface interface {
	hal.Firewall
	hal.Routing
	hal.Shapers
	hal.Sysctls
}

// Devices are the Ethernet devices that Conformance expects on the machine it is given: up, with
// 192.0.2.1/24 and 2001:db8:a::1/64 on the first, 198.51.100.1/24 and 2001:db8:b::1/64 on the second.
var Devices = [2]string{"wan1", "wan2"}

// Conformance tests that a machine keeps what package hal promises of rules, routes, shaping, sysctls, rulesets and set elements. fresh
// gives a machine with Devices and nothing else; it is called once for each subtest, inside it, so that it
// may be a machine in a namespace of its own.
func Conformance(t *testing.T, fresh func(t *testing.T, f func(*testing.T, Surface))) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Surface)
	}{
		{"rules", conformRules},
		{"rules are deleted exactly", conformRuleDeletion},
		{"routes", conformRoutes},
		{"routes replace each other", conformRouteReplacement},
		{"routes are deleted exactly", conformRouteDeletion},
		{"route errors", conformRouteErrors},
		{"shaping", conformShaping},
		{"shaping changes", conformShapingChanges},
		{"shaping errors", conformShapingErrors},
		{"detour", conformDetour},
		{"detour errors", conformDetourErrors},
		{"sysctls", conformSysctls},
		{"load", conformLoad},
		{"refusal", conformRefusal},
		{"fingerprint", conformFingerprint},
		{"elements", conformElements},
		{"element errors", conformElementErrors},
		{"elements stay over a reload", conformReload},
		{"many elements", conformManyElements},
		{"ended context", conformContext},
	} {
		t.Run(c.name, func(t *testing.T) { fresh(t, c.test) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v; want one that is %q", err, want)
	}
}

// ourRules are the rules with priorities 9000 to 9999.
func ourRules(t *testing.T, m Surface) []hal.Rule {
	t.Helper()
	rules, err := m.Rules(t.Context())
	must(t, err)
	return slices.DeleteFunc(rules, func(r hal.Rule) bool { return r.Priority < 9000 || r.Priority > 9999 })
}

func conformRules(t *testing.T, m Surface) {
	var want []hal.Rule
	for _, f := range []hal.Family{hal.IPv4, hal.IPv6} {
		want = append(want,
			hal.Rule{Family: f, Priority: 9000, Table: hal.MainTable, SuppressPrefix: 0},
			hal.Rule{Family: f, Priority: 9001, Mark: 0x2000, Mask: 0xe000, Table: 1001, SuppressPrefix: -1},
			hal.Rule{Family: f, Priority: 9002, Mark: 0, Mask: 0xe000, Table: 1002, SuppressPrefix: -1},
			hal.Rule{Family: f, Priority: 9003, Mark: 0xffffffff, Mask: 0xffffffff, Table: 70000, SuppressPrefix: 24},
			hal.Rule{Family: f, Priority: 9004, Table: 255, SuppressPrefix: -1},
			hal.Rule{Family: f, Priority: 9005, Mark: 0x80000000, Mask: 0x80000000, Unreachable: true, SuppressPrefix: -1},
		)
	}
	for _, r := range slices.Backward(want) {
		must(t, m.AddRule(t.Context(), r))
	}
	if diff := cmp.Diff(want, ourRules(t, m)); diff != "" {
		t.Fatal("rules that were added, and as they read back:", diff)
	}
	for _, r := range want {
		wantError(t, m.AddRule(t.Context(), r), hal.ErrExists)
	}
	for _, r := range want {
		must(t, m.DeleteRule(t.Context(), r))
		wantError(t, m.DeleteRule(t.Context(), r), hal.ErrNotFound)
	}
	if left := ourRules(t, m); len(left) != 0 {
		t.Error("left after deleting all:", left)
	}
}

func conformRuleDeletion(t *testing.T, m Surface) {
	suppress := hal.Rule{Family: hal.IPv4, Priority: 9000, Table: hal.MainTable, SuppressPrefix: 0}
	marked := hal.Rule{Family: hal.IPv4, Priority: 9000, Mark: 0x2000, Mask: 0xe000, Table: hal.MainTable, SuppressPrefix: -1}
	must(t, m.AddRule(t.Context(), suppress))
	must(t, m.AddRule(t.Context(), marked))
	like := suppress
	like.SuppressPrefix = -1
	wantError(t, m.DeleteRule(t.Context(), like), hal.ErrNotFound)
	other := marked
	other.Mark = 0x4000
	wantError(t, m.DeleteRule(t.Context(), other), hal.ErrNotFound)
	if diff := cmp.Diff([]hal.Rule{suppress, marked}, ourRules(t, m)); diff != "" {
		t.Error("a rule was deleted by resemblance:", diff)
	}
	must(t, m.DeleteRule(t.Context(), marked))
	if diff := cmp.Diff([]hal.Rule{suppress}, ourRules(t, m)); diff != "" {
		t.Error("after deleting the second:", diff)
	}
	// The kernel takes a request without a suppressed length for the first rule of the priority, whatever it suppresses.
	must(t, m.AddRule(t.Context(), like))
	wantError(t, m.DeleteRule(t.Context(), like), hal.ErrRefused)
	if diff := cmp.Diff([]hal.Rule{suppress, like}, ourRules(t, m)); diff != "" {
		t.Error("after a deletion that was refused:", diff)
	}
	must(t, m.DeleteRule(t.Context(), suppress))
	must(t, m.DeleteRule(t.Context(), like))
	if err := m.AddRule(t.Context(), hal.Rule{Family: hal.IPv4, Priority: 9001, Mark: 1, Mask: 2, Table: 1, SuppressPrefix: -1}); err == nil {
		t.Error("a rule that can never match was added")
	}
}

// route makes a route of ours in a table of ours.
func route(dst, gateway, dev string, change func(*hal.Route)) hal.Route {
	r := hal.Route{Table: 1001, Dst: netip.MustParsePrefix(dst), Dev: dev, Protocol: hal.RouteProtocol}
	if gateway != "" {
		r.Gateway = netip.MustParseAddr(gateway)
	}
	if change != nil {
		change(&r)
	}
	return r
}

func metric(n int) func(*hal.Route) { return func(r *hal.Route) { r.Metric = n } }
func mtu(n int) func(*hal.Route)    { return func(r *hal.Route) { r.MTU = n } }
func onLink(r *hal.Route)           { r.OnLink = true }
func unreachable(n int) func(*hal.Route) {
	return func(r *hal.Route) { r.Unreachable, r.Metric = true, n }
}

func source(s string) func(*hal.Route) {
	return func(r *hal.Route) { r.Source = netip.MustParseAddr(s) }
}

var sameAddr = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func conformRoutes(t *testing.T, m Surface) {
	d1, d2 := Devices[0], Devices[1]
	want := []hal.Route{
		route("0.0.0.0/0", "192.0.2.254", d1, nil),
		route("0.0.0.0/0", "198.51.100.254", d2, metric(50)),
		route("0.0.0.0/0", "", "", unreachable(4000)),
		route("10.0.0.0/8", "", d1, mtu(1400)),
		route("10.1.0.0/16", "203.0.113.1", d1, onLink),
		route("10.2.0.0/16", "fe80::1", d1, nil),
		route("10.3.0.1/32", "192.0.2.7", d1, source("192.0.2.1")),
		route("172.16.0.0/12", "", "", unreachable(0)),
		route("::/0", "fe80::1", d1, nil),
		route("::/0", "fe80::1", d2, metric(50)),
		route("::/0", "", "", unreachable(4000)),
		route("2001:db8:1::/48", "2001:db8:a::2", d1, mtu(1280)),
		route("2001:db8:2::/48", "", d2, nil),
		route("2001:db8:3::/48", "2001:db8:ffff::1", d2, onLink),
		route("2001:db8:4::5/128", "fe80::2", d2, source("2001:db8:b::1")),
		route("fd00::/8", "", "", unreachable(0)),
	}
	for _, r := range slices.Backward(want) {
		must(t, m.ReplaceRoute(t.Context(), r))
	}
	got, err := m.Routes(t.Context(), 1001)
	must(t, err)
	if diff := cmp.Diff(want, got, sameAddr); diff != "" {
		t.Fatal("routes that were set, and as they read back:", diff)
	}
	for _, r := range want { // idempotent
		must(t, m.ReplaceRoute(t.Context(), r))
	}
	again, err := m.Routes(t.Context(), 1001)
	must(t, err)
	if diff := cmp.Diff(got, again, sameAddr); diff != "" {
		t.Error("after setting them again:", diff)
	}
	for _, r := range want {
		must(t, m.DeleteRoute(t.Context(), r))
		wantError(t, m.DeleteRoute(t.Context(), r), hal.ErrNotFound)
	}
	for _, table := range []int{1001, 1002} {
		if left, err := m.Routes(t.Context(), table); err != nil || len(left) != 0 {
			t.Errorf("table %d after all: %v, %v", table, left, err)
		}
	}
	main, err := m.Routes(t.Context(), hal.MainTable)
	must(t, err)
	if !slices.ContainsFunc(main, func(r hal.Route) bool {
		return r.Dst == netip.MustParsePrefix("192.0.2.0/24") && r.Dev == d1 && r.Source == netip.MustParseAddr("192.0.2.1")
	}) {
		t.Error("the main table lacks the connected network 192.0.2.0/24:", main)
	}
}

func conformRouteReplacement(t *testing.T, m Surface) {
	d1, d2 := Devices[0], Devices[1]
	for _, steps := range [][]hal.Route{
		{
			route("0.0.0.0/0", "192.0.2.254", d1, nil), route("0.0.0.0/0", "198.51.100.254", d2, mtu(1300)),
			route("0.0.0.0/0", "", "", unreachable(0)), route("0.0.0.0/0", "", d2, nil), route("0.0.0.0/0", "fe80::1", d1, nil),
			route("0.0.0.0/0", "192.0.2.254", d1, nil), route("0.0.0.0/0", "192.0.2.253", d1, nil),
		}, {
			route("::/0", "fe80::1", d1, nil), route("::/0", "2001:db8:b::9", d2, mtu(1300)),
			route("::/0", "", "", unreachable(0)), route("::/0", "", d2, nil),
			route("::/0", "fe80::1", d1, nil), route("::/0", "fe80::1", d2, nil), route("::/0", "fe80::2", d2, nil),
		},
	} {
		for _, r := range steps {
			must(t, m.ReplaceRoute(t.Context(), r))
			got, err := m.Routes(t.Context(), r.Table)
			must(t, err)
			if diff := cmp.Diff([]hal.Route{r}, got, sameAddr); diff != "" {
				t.Errorf("after setting %q: %s", r, diff)
			}
		}
		must(t, m.DeleteRoute(t.Context(), steps[len(steps)-1]))
	}
}

func conformRouteDeletion(t *testing.T, m Surface) {
	d1 := Devices[0]
	for _, want := range [][]hal.Route{
		{route("10.0.0.0/8", "192.0.2.254", d1, metric(7)), route("10.0.0.0/8", "192.0.2.254", d1, metric(9))},
		{route("fd00::/8", "fe80::1", d1, metric(7)), route("fd00::/8", "fe80::1", d1, metric(9))},
	} {
		for _, r := range want {
			must(t, m.ReplaceRoute(t.Context(), r))
		}
		like := want[0]
		like.Metric = 0
		wantError(t, m.DeleteRoute(t.Context(), like), hal.ErrNotFound)
		must(t, m.DeleteRoute(t.Context(), want[0]))
		got, err := m.Routes(t.Context(), 1001)
		must(t, err)
		if diff := cmp.Diff(want[1:], got, sameAddr); diff != "" {
			t.Error("after deleting one of two:", diff)
		}
		must(t, m.DeleteRoute(t.Context(), want[1]))
	}
}

func conformRouteErrors(t *testing.T, m Surface) {
	wantError(t, m.ReplaceRoute(t.Context(), route("0.0.0.0/0", "", "nodev0", nil)), hal.ErrNotFound)
	wantError(t, m.ReplaceRoute(t.Context(), route("0.0.0.0/0", "203.0.113.1", Devices[0], nil)), hal.ErrRefused)
	wantError(t, m.DeleteRoute(t.Context(), route("0.0.0.0/0", "", "nodev0", nil)), hal.ErrNotFound)
	for _, r := range []hal.Route{
		{},
		route("10.0.0.1/8", "", Devices[0], nil),
		route("10.0.0.0/8", "", "", nil),
		route("::/0", "192.0.2.254", Devices[0], nil),
		route("0.0.0.0/0", "", Devices[0], onLink),
		route("::/0", "fe80::1", Devices[0], metric(1024)),
		route("0.0.0.0/0", "", Devices[0], func(r *hal.Route) { r.Protocol = 0 }),
	} {
		if err := m.ReplaceRoute(t.Context(), r); err == nil {
			t.Errorf("route %+v was taken", r)
		}
	}
}

func conformSysctls(t *testing.T, m Surface) {
	const key = "net/ipv4/ip_forward"
	for _, v := range []string{"1", "0", "1"} {
		must(t, m.SetSysctl(key, v))
		if got, err := m.Sysctl(key); err != nil || got != v {
			t.Errorf("%s after setting %s: %q, %v", key, v, got, err)
		}
	}
	_, err := m.Sysctl("net/ipv4/no_such_key")
	wantError(t, err, hal.ErrNotFound)
	wantError(t, m.SetSysctl("net/ipv4/no_such_key", "1"), hal.ErrNotFound)
	for _, key := range []string{"", "/proc/version", "../version", "net/../../version", "net//ipv4"} {
		if _, err := m.Sysctl(key); err == nil {
			t.Errorf("sysctl %q was read", key)
		}
	}
}

// sampleRuleset holds the kinds of objects that the plan uses.
const sampleRuleset = `add table inet trenza
delete table inet trenza
table inet trenza {
	counter seen {
		packets 3 bytes 180
	}
	map names4 {
		type mark . ipv4_addr : mark
		size 65536
		flags timeout
	}
	map learned6 {
		type ipv6_addr . inet_proto . inet_service : mark
		size 65536
		flags timeout
	}
	map macs {
		type ether_addr : mark
	}
	set blocked {
		type ipv4_addr
		elements = { 192.0.2.7, 192.0.2.9 }
	}
	set ports {
		type inet_proto . inet_service
		flags timeout
	}
	chain choice_1 {
		ct mark set 0x00002000
	}
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		ip saddr @blocked counter name "seen" drop
		ct mark set ether saddr map @macs
		meta mark set ct mark
		jump choice_1
	}
}
`

func conformLoad(t *testing.T, m Surface) {
	empty, err := m.Objects(t.Context())
	must(t, err)
	if diff := cmp.Diff(hal.FirewallObjects{}, empty, cmpopts.EquateEmpty()); diff != "" {
		t.Error("objects before anything was loaded:", diff)
	}
	must(t, m.Check(t.Context(), sampleRuleset))
	if after, err := m.Objects(t.Context()); err != nil || len(after.Chains) != 0 {
		t.Errorf("after a check alone: %v, %v", after, err)
	}
	want := hal.FirewallObjects{
		Chains: []string{"choice_1", "prerouting"}, Sets: []string{"blocked", "ports"},
		Maps: []string{"learned6", "macs", "names4"}, Counters: []string{"seen"},
	}
	for range 2 {
		must(t, m.Load(t.Context(), sampleRuleset))
		got, err := m.Objects(t.Context())
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("objects:", diff)
		}
	}
	counters, err := m.Counters(t.Context())
	must(t, err)
	if diff := cmp.Diff(map[string]hal.Counter{"seen": {Packets: 3, Bytes: 180}}, counters); diff != "" {
		t.Error("counters:", diff)
	}
}

func conformRefusal(t *testing.T, m Surface) {
	must(t, m.Load(t.Context(), sampleRuleset))
	before, err := m.Fingerprint(t.Context())
	must(t, err)
	bad := strings.Replace(sampleRuleset, "jump choice_1", "frobnicate the packet", 1)
	line := 1 + strings.Count(bad[:strings.Index(bad, "frobnicate")], "\n")
	for what, try := range map[string]func(context.Context, string) error{"load": m.Load, "check": m.Check} {
		err := try(t.Context(), bad)
		wantError(t, err, hal.ErrRefused)
		var refusal *hal.RulesetError
		if !errors.As(err, &refusal) || refusal.Line != line || !strings.Contains(refusal.Text, "frobnicate") || refusal.Message == "" {
			t.Errorf("%s: error %#v (%v) does not point at line %d", what, refusal, err, line)
		}
		if after, err := m.Fingerprint(t.Context()); err != nil || after != before {
			t.Errorf("%s: the refused ruleset changed the kernel's: %q, now %q, %v", what, before, after, err)
		}
	}
}

func conformFingerprint(t *testing.T, m Surface) {
	print := func() string {
		t.Helper()
		s, err := m.Fingerprint(t.Context())
		must(t, err)
		return s
	}
	if got := print(); got != "" {
		t.Errorf("without a table: %q", got)
	}
	must(t, m.Load(t.Context(), sampleRuleset))
	first := print()
	if first == "" {
		t.Fatal("empty with a table")
	}
	same := func(what string) {
		t.Helper()
		if got := print(); got != first {
			t.Errorf("%s changed it", what)
		}
	}
	must(t, m.Load(t.Context(), sampleRuleset))
	same("loading the same again")
	must(t, m.SetElements(t.Context(), "names4", []hal.Element{{
		Key: hal.ElementKey(uint32(0x10), netip.MustParseAddr("192.0.2.1")), Value: 7, Timeout: time.Hour,
	}}))
	same("a learned element")
	must(t, m.Load(t.Context(), strings.Replace(sampleRuleset, "packets 3 bytes 180", "packets 4 bytes 240", 1)))
	same("a counter")

	for what, change := range map[string][2]string{
		"a value in a rule":      {"0x00002000", "0x00004000"},
		"a deleted rule":         {"\t\tmeta mark set ct mark\n", ""},
		"the order of rules":     {"meta mark set ct mark\n\t\tjump choice_1", "jump choice_1\n\t\tmeta mark set ct mark"},
		"a static element":       {"192.0.2.9", "192.0.2.10"},
		"a missing element":      {", 192.0.2.9", ""},
		"the size of a set":      {"size 65536\n\t\tflags timeout\n\t}\n\tmap learned6", "size 1024\n\t\tflags timeout\n\t}\n\tmap learned6"},
		"the policy of a chain":  {"policy accept", "policy drop"},
		"the priority of a hook": {"priority mangle", "priority mangle + 1"},
		"one more chain":         {"\tchain prerouting", "\tchain spare {\n\t}\n\tchain prerouting"},
	} {
		changed := strings.Replace(sampleRuleset, change[0], change[1], 1)
		if changed == sampleRuleset {
			t.Fatalf("the test's change %q does not apply", what)
		}
		must(t, m.Load(t.Context(), changed))
		if print() == first {
			t.Errorf("%s did not change it", what)
		}
	}
	must(t, m.Load(t.Context(), sampleRuleset))
	same("changing it back")
	must(t, m.SetElements(t.Context(), "macs", []hal.Element{{Key: hal.ElementKey(flow.MAC{2, 0, 0, 0, 0, 1}), Value: 16}}))
	if print() == first {
		t.Error("an element of a map without timeout did not change it")
	}
	must(t, m.Load(t.Context(), "delete table inet trenza\n"))
	if got := print(); got != "" {
		t.Errorf("after deleting the table: %q", got)
	}
}
