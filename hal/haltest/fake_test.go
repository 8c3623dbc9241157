package haltest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

// newConformant is a machine as Conformance expects it.
func newConformant() *Fake {
	f := New()
	f.SetInterface(hal.Interface{Name: Devices[0], Kind: "veth", Up: true, Carrier: true, Addrs: Addresses("192.0.2.1/24", "2001:db8:a::1/64")})
	f.SetInterface(hal.Interface{Name: Devices[1], Kind: "veth", Up: true, Carrier: true, Addrs: Addresses("198.51.100.1/24", "2001:db8:b::1/64")})
	return f
}

func TestConformance(t *testing.T) {
	Conformance(t, func(t *testing.T, f func(*testing.T, Surface)) { f(t, newConformant()) })
}

func TestPrint(t *testing.T) {
	f := newConformant()
	must(t, f.Load(t.Context(), sampleRuleset))
	must(t, f.Load(t.Context(), `table inet trenza {
	set nets { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.0.0-192.168.3.255 } } # ranges stay text
	map where { type mark : verdict; elements = { 0x10 : jump choice_1, 0x20 : goto choice_1 } }
	chain prerouting { ip daddr @nets tcp dport { 80, 443 } meta mark vmap @where; log prefix "who; { is }" group 77 }
}
`))
	must(t, f.SetElements(t.Context(), "names4", []hal.Element{
		{Key: hal.ElementKey(uint32(0x10), netip.MustParseAddr("192.0.2.9")), Value: 5, Timeout: 90 * time.Minute, Comment: "b.example"},
		{Key: hal.ElementKey(uint32(0x10), netip.MustParseAddr("192.0.2.1")), Value: 6},
	}))
	must(t, f.AddRule(t.Context(), hal.Rule{Family: hal.IPv4, Priority: 9001, Mark: 0x2000, Mask: 0xe000, Table: 1001, SuppressPrefix: -1}))
	must(t, f.AddRule(t.Context(), hal.Rule{Family: hal.IPv6, Priority: 9000, Table: hal.MainTable}))
	must(t, f.ReplaceRoute(t.Context(), route("0.0.0.0/0", "192.0.2.254", Devices[0], mtu(1400))))
	must(t, f.ReplaceRoute(t.Context(), route("::/0", "", "", unreachable(4000))))
	golden(t, "machine.golden", f.String())
}

// What the fake prints, it must be able to load again: a test can start from a listing.
func TestPrintLoads(t *testing.T) {
	f := newConformant()
	must(t, f.Load(t.Context(), sampleRuleset))
	must(t, f.SetElements(t.Context(), "names4", []hal.Element{
		{Key: hal.ElementKey(uint32(0x10), netip.MustParseAddr("192.0.2.9")), Value: 5, Timeout: 26*time.Hour + 30*time.Minute, Comment: "b, example"},
	}))
	text := f.RulesetText()
	g := New()
	must(t, g.Load(t.Context(), text))
	if diff := cmp.Diff(text, g.RulesetText()); diff != "" {
		t.Error(diff)
	}
}

func TestFailNext(t *testing.T) {
	f := newConformant()
	f.Calls()
	boom := errors.New("boom")
	f.FailNext("Load", boom)
	wantError(t, f.Load(t.Context(), sampleRuleset), boom)
	if got := f.RulesetText(); got != "" {
		t.Error("the call that failed changed the ruleset:", got)
	}
	f.FailNext("AddRule", boom)
	r := hal.Rule{Family: hal.IPv4, Priority: 9000, Table: hal.MainTable}
	wantError(t, f.AddRule(t.Context(), r), boom)
	must(t, f.AddRule(t.Context(), r))
	must(t, f.Load(t.Context(), sampleRuleset))
	load := fmt.Sprintf("Load %d bytes", len(sampleRuleset))
	add := "AddRule IPv4 9000: from all lookup main suppress_prefixlength 0"
	want := []string{load, add, add, load}
	if diff := cmp.Diff(want, f.Calls()); diff != "" {
		t.Error(diff)
	}
}

func TestExpiry(t *testing.T) {
	f := newConformant()
	must(t, f.Load(t.Context(), sampleRuleset))
	short := hal.Element{Key: hal.ElementKey(uint32(1), netip.MustParseAddr("192.0.2.1")), Timeout: time.Minute}
	long := hal.Element{Key: hal.ElementKey(uint32(2), netip.MustParseAddr("192.0.2.1")), Timeout: time.Hour}
	must(t, f.SetElements(t.Context(), "names4", []hal.Element{short, long}))
	f.Advance(59 * time.Second)
	wantElements(t, f, "names4", short, long)
	f.Advance(time.Second)
	wantElements(t, f, "names4", long)
	must(t, f.SetElements(t.Context(), "names4", []hal.Element{long})) // renewed
	f.Advance(59*time.Minute + 30*time.Second)
	wantElements(t, f, "names4", long)
}

// next waits for a value with a deadline that only a broken fake reaches.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestWatch(t *testing.T) {
	f := newConformant()
	ctx, cancel := context.WithCancel(t.Context())
	events, lost, ended := make(chan hal.Event, 100), make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- f.Watch(ctx, func(e hal.Event) { events <- e }, func() { lost <- struct{}{} })
	}()
	for {
		if n, _, _ := f.Watchers(); n == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	next(t, lost) // as soon as it listens
	f.FlushRules()
	if e := next(t, events); e.Kind != hal.RoutingChanged || !e.Deleted {
		t.Errorf("after a flush of rules: %+v", e)
	}
	must(t, f.Load(t.Context(), sampleRuleset)) // our own transaction is no event
	must(t, f.Nft("delete table inet trenza\n"))
	if e := next(t, events); e.Kind != hal.FirewallChanged {
		t.Errorf("after the deletion of the table: %+v", e)
	}
	f.RemoveInterface(Devices[0])
	if e := next(t, events); e.Kind != hal.InterfaceChanged || !e.Deleted || e.Interface.Name != Devices[0] {
		t.Errorf("after a device went away: %+v", e)
	}
	f.LoseEvents()
	next(t, lost)
	cancel()
	wantError(t, next(t, ended), context.Canceled)
	if n, _, _ := f.Watchers(); n != 0 {
		t.Errorf("%d watchers left", n)
	}
}

func TestConnections(t *testing.T) {
	f := newConformant()
	key := func(port uint16) flow.Key {
		return flow.Key{Proto: flow.ProtoTCP, Src: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), port), Dst: netip.MustParseAddrPort("192.0.2.9:443")}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := make(chan hal.ConnectionEvent, 100)
	go func() { _ = f.WatchConnections(ctx, func(e hal.ConnectionEvent) { events <- e }, func() {}) }()
	for {
		if _, n, _ := f.Watchers(); n == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	f.SetConnection(hal.Connection{Orig: key(1), Mark: flow.LinkID(1).Mark()})
	f.SetConnection(hal.Connection{Orig: key(2), Mark: flow.LinkID(2).Mark()})
	f.SetConnection(hal.Connection{Orig: key(2), Mark: flow.LinkID(2).Mark(), OrigBytes: 9})
	n, err := f.MarkConnections(t.Context(), []hal.MarkChange{
		{Connection: hal.Connection{Orig: key(2)}, Mark: 0xf5, Mask: flow.AppMask}, {Connection: hal.Connection{Orig: key(3)}, Mask: 1},
	})
	must(t, err)
	if n != 1 {
		t.Errorf("%d connections were marked, want 1", n)
	}
	wantError(t, f.FlushConnections(t.Context(), 0, 0), hal.ErrRefused)
	must(t, f.FlushConnections(t.Context(), flow.LinkID(1).Mark(), flow.LinkMask))
	var kinds []hal.ConnectionEventKind
	for range 5 {
		kinds = append(kinds, next(t, events).Kind)
	}
	want := []hal.ConnectionEventKind{hal.ConnectionNew, hal.ConnectionNew, hal.ConnectionUpdated, hal.ConnectionUpdated, hal.ConnectionDestroyed}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
	var left []hal.Connection
	must(t, f.Connections(t.Context(), 0, 0, func(c hal.Connection) { left = append(left, c) }))
	if len(left) != 1 || left[0].Orig != key(2) || left[0].Mark != flow.LinkID(2).Mark()|5 {
		t.Error("left after the flush of link 1:", left)
	}
	wantError(t, f.DeleteConnection(t.Context(), hal.Connection{Orig: key(1)}), hal.ErrNotFound)
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"missing chain":        {"table inet trenza {\n\tchain a {\n\t\tjump b\n\t}\n}\n", 1},
		"missing set":          {"add table inet trenza\nadd chain inet trenza a\nadd rule inet trenza a ip saddr @b drop\n", 3},
		"missing brace":        {"table inet trenza {\n\tchain a {\n\t}\n", 4},
		"deleting no table":    {"delete table inet trenza\n", 1},
		"deleting no element":  {"table inet trenza {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n}\ndelete element inet trenza s { 192.0.2.1 }\n", 6},
		"an unknown command":   {"\nfrob inet trenza x\n", 2},
		"a bad address":        {"table inet trenza {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.256 }\n\t}\n}\n", 4},
		"a set with two forms": {"table inet trenza {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n}\ntable inet trenza {\n\tset s {\n\t\ttype ipv6_addr\n\t}\n}\n", 7},
	} {
		err := New().Load(t.Context(), c.text)
		var refusal *hal.RulesetError
		if !errors.As(err, &refusal) || refusal.Line != c.line {
			t.Errorf("%s: %v; want a refusal of line %d", name, err, c.line)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(sampleRuleset)
	f.Add("table inet trenza {\n set s { type ipv4_addr . mark; elements = { 1.2.3.4 . 5 comment \"x\" } }\n}")
	f.Add("add element inet trenza s { }")
	f.Add("flush ruleset\ndestroy table inet x")
	f.Fuzz(func(t *testing.T, text string) {
		m := New()
		if m.Load(t.Context(), text) == nil {
			_ = m.String()
			_, _ = m.Fingerprint(t.Context())
		}
	})
}
