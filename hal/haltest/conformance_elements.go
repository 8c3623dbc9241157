package haltest

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// elements reads a set without the time that is left, which it checks to be within the timeout.
func elements(t *testing.T, m Surface, set string) []hal.Element {
	t.Helper()
	got, err := m.Elements(t.Context(), set)
	must(t, err)
	for i, e := range got {
		if e.Timeout > 0 && (e.Expires <= 0 || e.Expires > e.Timeout) || e.Timeout == 0 && e.Expires != 0 {
			t.Errorf("element %v of %s: expires in %s of %s", e.Key, set, e.Expires, e.Timeout)
		}
		got[i].Expires = 0
	}
	slices.SortFunc(got, func(a, b hal.Element) int { return cmp.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)) })
	return got
}

func wantElements(t *testing.T, m Surface, set string, want ...hal.Element) {
	t.Helper()
	if diff := gocmp.Diff(want, elements(t, m, set), sameAddr, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("elements of %s: %s", set, diff)
	}
}

func conformElements(t *testing.T, m Surface) {
	must(t, m.Load(t.Context(), sampleRuleset))
	name := func(device uint32, addr string, value uint32, timeout time.Duration, comment string) hal.Element {
		return hal.Element{
			Key: hal.ElementKey(device, netip.MustParseAddr(addr)), Value: value, Timeout: timeout, Comment: comment,
		}
	}
	long := strings.Repeat("long.", 25) + "de" // 127 bytes
	a := name(0x10, "192.0.2.1", uint32(flow.MakeLabel(3, 77)), time.Hour, "video.example")
	b := name(0x10, "192.0.2.2", 0, time.Minute, "")
	c := name(0x1fe0, "192.0.2.1", 0xffffffff, 0, long)
	must(t, m.SetElements(t.Context(), "names4", []hal.Element{a, b, c}))
	wantElements(t, m, "names4", a, b, c)

	// Replace: another value, another timeout with the same value, another comment; beside one that is new.
	a.Value, a.Comment = 5, "bank.example"
	b.Timeout = 2 * time.Hour
	d := name(0x20, "192.0.2.3", 9, time.Hour, "new.example")
	must(t, m.SetElements(t.Context(), "names4", []hal.Element{a, b, d}))
	wantElements(t, m, "names4", a, b, d, c)

	// Of two with one key the later counts.
	must(t, m.SetElements(t.Context(), "names4", []hal.Element{name(0x20, "192.0.2.3", 1, time.Hour, ""), d}))
	wantElements(t, m, "names4", a, b, d, c)

	// Deletion goes by key; what is not there is no error, alone or among others.
	must(t, m.DeleteElements(t.Context(), "names4", []hal.Element{{Key: c.Key}, {Key: hal.ElementKey(uint32(1), netip.MustParseAddr("192.0.2.99"))}, {Key: a.Key}}))
	must(t, m.DeleteElements(t.Context(), "names4", []hal.Element{{Key: c.Key}}))
	must(t, m.DeleteElements(t.Context(), "names4", nil))
	wantElements(t, m, "names4", b, d)

	l := hal.Element{
		Key:   hal.ElementKey(netip.MustParseAddr("2001:db8::1"), flow.ProtoUDP, uint16(443)),
		Value: 0x80000001, Timeout: 30 * time.Second, Comment: "quic",
	}
	must(t, m.SetElements(t.Context(), "learned6", []hal.Element{l}))
	wantElements(t, m, "learned6", l)
	mac := hal.Element{Key: hal.ElementKey(flow.MAC{2, 0, 0, 0, 0xab, 1}), Value: 0x30}
	must(t, m.SetElements(t.Context(), "macs", []hal.Element{mac}))
	wantElements(t, m, "macs", mac)
	port := hal.Element{Key: hal.ElementKey(flow.ProtoTCP, uint16(8443)), Timeout: time.Minute}
	must(t, m.SetElements(t.Context(), "ports", []hal.Element{port}))
	wantElements(t, m, "ports", port)
	wantElements(t, m, "blocked",
		hal.Element{Key: hal.ElementKey(netip.MustParseAddr("192.0.2.7"))}, hal.Element{Key: hal.ElementKey(netip.MustParseAddr("192.0.2.9"))})
}

func conformElementErrors(t *testing.T, m Surface) {
	key := hal.ElementKey(uint32(1), netip.MustParseAddr("192.0.2.1"))
	wantError(t, m.SetElements(t.Context(), "names4", []hal.Element{{Key: key}}), hal.ErrNotFound) // no table yet
	must(t, m.Load(t.Context(), sampleRuleset))
	_, err := m.Elements(t.Context(), "nothing")
	wantError(t, err, hal.ErrNotFound)
	wantError(t, m.SetElements(t.Context(), "nothing", []hal.Element{{Key: key}}), hal.ErrNotFound)
	wantError(t, m.DeleteElements(t.Context(), "nothing", []hal.Element{{Key: key}}), hal.ErrNotFound)
	good := hal.Element{Key: key, Timeout: time.Hour}
	for what, bad := range map[string]struct {
		set string
		e   hal.Element
	}{
		"one part for two":           {"names4", hal.Element{Key: hal.ElementKey(uint32(1))}},
		"parts in the wrong order":   {"names4", hal.Element{Key: hal.ElementKey(netip.MustParseAddr("192.0.2.1"), uint32(1))}},
		"IPv6 in an IPv4 map":        {"names4", hal.Element{Key: hal.ElementKey(uint32(1), netip.MustParseAddr("::1"))}},
		"a comment of 128 bytes":     {"names4", hal.Element{Key: key, Comment: strings.Repeat("x", 128)}},
		"a value for a set":          {"ports", hal.Element{Key: hal.ElementKey(flow.ProtoTCP, uint16(1)), Value: 1}},
		"a timeout without the flag": {"macs", hal.Element{Key: hal.ElementKey(flow.MAC{2}), Timeout: time.Second}},
	} {
		if err := m.SetElements(t.Context(), bad.set, []hal.Element{bad.e}); err == nil {
			t.Errorf("%s was taken", what)
		}
		if bad.set == "names4" {
			if err := m.SetElements(t.Context(), "names4", []hal.Element{good, bad.e}); err == nil {
				t.Errorf("%s was taken beside a good one", what)
			}
		}
	}
	wantElements(t, m, "names4") // all or nothing

	small := strings.Replace(sampleRuleset, "size 65536", "size 2", 1)
	must(t, m.Load(t.Context(), small))
	three := make([]hal.Element, 3)
	for i := range three {
		three[i] = hal.Element{Key: hal.ElementKey(uint32(i), netip.MustParseAddr("192.0.2.1")), Timeout: time.Hour}
	}
	wantError(t, m.SetElements(t.Context(), "names4", three), hal.ErrRefused)
	wantElements(t, m, "names4")
	must(t, m.SetElements(t.Context(), "names4", three[:2]))
	must(t, m.SetElements(t.Context(), "names4", three[:2])) // replacing needs no room
	wantElements(t, m, "names4", three[:2]...)
}

// conformReload swaps chains and static sets beside learned ones, as an apply does.
func conformReload(t *testing.T, m Surface) {
	must(t, m.Load(t.Context(), sampleRuleset))
	e := hal.Element{Key: hal.ElementKey(uint32(1), netip.MustParseAddr("192.0.2.1")), Value: 3, Timeout: time.Hour, Comment: "kept"}
	must(t, m.SetElements(t.Context(), "names4", []hal.Element{e}))
	must(t, m.Load(t.Context(), `flush chain inet trenza prerouting
flush chain inet trenza choice_1
delete chain inet trenza choice_1
flush set inet trenza blocked
table inet trenza {
	map names4 {
		type mark . ipv4_addr : mark
		size 65536
		flags timeout
	}
	set blocked {
		type ipv4_addr
		elements = { 192.0.2.8 }
	}
	chain choice_2 {
		ct mark set 0x00004000
	}
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		jump choice_2
	}
}
`))
	wantElements(t, m, "names4", e)
	wantElements(t, m, "blocked", hal.Element{Key: hal.ElementKey(netip.MustParseAddr("192.0.2.8"))})
	o, err := m.Objects(t.Context())
	must(t, err)
	if diff := gocmp.Diff([]string{"choice_2", "prerouting"}, o.Chains); diff != "" {
		t.Error("chains after the swap:", diff)
	}
}

// conformManyElements sends more than a netlink attribute (64 KiB) and an ordinary socket buffer hold, and replaces all.
func conformManyElements(t *testing.T, m Surface) {
	must(t, m.Load(t.Context(), sampleRuleset))
	const n = 5_000 // of some 120 bytes
	batch := func(value uint32) []hal.Element {
		l := make([]hal.Element, n)
		for i := range l {
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], 0x0a000000+uint32(i))
			l[i] = hal.Element{
				Key: hal.ElementKey(uint32(i%500)<<4, netip.AddrFrom4(a)), Value: value + uint32(i), Timeout: time.Hour,
				Comment: fmt.Sprintf("host-%d.example.net", i),
			}
		}
		return l
	}
	byKey := func(l []hal.Element) []hal.Element {
		slices.SortFunc(l, func(a, b hal.Element) int { return cmp.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)) })
		return l
	}
	for _, value := range []uint32{1, 1_000_000} {
		must(t, m.SetElements(t.Context(), "names4", batch(value)))
		got := elements(t, m, "names4")
		if len(got) != n {
			t.Fatalf("%d of %d elements are there", len(got), n)
		}
		if want := byKey(batch(value)); !gocmp.Equal(want, got, sameAddr) {
			i := 0
			for gocmp.Equal(want[i], got[i], sameAddr) {
				i++
			}
			t.Fatalf("the first of the elements that differ: want %+v, got %+v", want[i], got[i])
		}
	}
	must(t, m.DeleteElements(t.Context(), "names4", batch(0)[:n-1]))
	if got := elements(t, m, "names4"); len(got) != 1 {
		t.Errorf("%d elements left of %d after deleting all but one", len(got), n)
	}
}

func conformContext(t *testing.T, m Surface) {
	must(t, m.Load(t.Context(), sampleRuleset))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rule := hal.Rule{Family: hal.IPv4, Priority: 9000, Table: hal.MainTable, SuppressPrefix: 0}
	e := []hal.Element{{Key: hal.ElementKey(uint32(1), netip.MustParseAddr("192.0.2.1"))}}
	for what, call := range map[string]func() error{
		"Load":           func() error { return m.Load(ctx, "delete table inet trenza\n") },
		"Check":          func() error { return m.Check(ctx, sampleRuleset) },
		"Objects":        func() error { _, err := m.Objects(ctx); return err },
		"Fingerprint":    func() error { _, err := m.Fingerprint(ctx); return err },
		"Elements":       func() error { _, err := m.Elements(ctx, "names4"); return err },
		"SetElements":    func() error { return m.SetElements(ctx, "names4", e) },
		"DeleteElements": func() error { return m.DeleteElements(ctx, "names4", e) },
		"Counters":       func() error { _, err := m.Counters(ctx); return err },
		"Rules":          func() error { _, err := m.Rules(ctx); return err },
		"AddRule":        func() error { return m.AddRule(ctx, rule) },
		"DeleteRule":     func() error { return m.DeleteRule(ctx, rule) },
		"Routes":         func() error { _, err := m.Routes(ctx, hal.MainTable); return err },
		"ReplaceRoute":   func() error { return m.ReplaceRoute(ctx, route("10.0.0.0/8", "", Devices[0], nil)) },
		"DeleteRoute":    func() error { return m.DeleteRoute(ctx, route("10.0.0.0/8", "", Devices[0], nil)) },
	} {
		t.Run(what, func(t *testing.T) { wantError(t, call(), context.Canceled) })
	}
	if p, err := m.Fingerprint(t.Context()); err != nil || p == "" {
		t.Errorf("a call whose context had ended deleted the table (%v)", err)
	}
}
