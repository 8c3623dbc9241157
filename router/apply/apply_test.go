package apply_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/apply"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/steer"
)

// state is the plan of a small house.
func state(t *testing.T, change func(*plan.Input)) plan.State {
	t.Helper()
	p, err := policy.Parse("test", []byte(`
devices: [{id: tv, name: TV, macs: ["02:00:00:00:00:02"]}]
house:
  - {id: tv, name: TV, force: must, who: {devices: [tv]}, what: {services: [tcp/443]}, steer: {use: [wifi], mode: fixed}}
`))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := policy.Compile(p, policy.Known{Links: []string{"fiber", "wifi"}})
	if err != nil {
		t.Fatal(err)
	}
	link := func(id flow.LinkID, name, device, gw4, gw6 string) plan.Link {
		return plan.Link{
			LinkCondition: steer.LinkCondition{ID: id, Name: name, Usable: true, Weight: 1}, Device: device,
			Gateway4: netip.MustParseAddr(gw4), Gateway6: netip.MustParseAddr(gw6), AcceptRA: true,
		}
	}
	in := plan.Input{
		Now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), Policy: c,
		LAN:     []plan.LAN{{Device: "lan0", Nets: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("fd00:77::/64")}}},
		Links:   []plan.Link{link(1, "fiber", "wan1", "198.18.1.1", "fe80::1"), link(2, "wifi", "wan2", "198.18.2.1", "fe80::2")},
		Devices: []plan.Device{{Number: 1, ID: "tv", MACs: []flow.MAC{{2, 0, 0, 0, 0, 2}}}},
		DNS:     plan.DNS{Redirect: true, Port: 53},
	}
	change(&in)
	s, err := plan.Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func house(*plan.Input) {}

// fiberGone has less of everything: a link, rules, routes, and other addresses.
func fiberGone(in *plan.Input) {
	in.Links = in.Links[1:]
	in.Links[0].Gateway4 = netip.MustParseAddr("198.18.2.254")
	in.DNS.Port = 5353
}

// machine is a fake with the house's devices, and things of others that must stay as they are.
func machine(t *testing.T) *haltest.Fake {
	t.Helper()
	m := haltest.New()
	for _, name := range []string{"lan0", "wan1", "wan2"} {
		m.SetInterface(hal.Interface{Name: name, Kind: "veth", Up: true, Carrier: true, MTU: 1500})
		for _, key := range []string{"net/ipv4/conf/" + name + "/rp_filter", "net/ipv6/conf/" + name + "/accept_ra"} {
			m.PutSysctl(key, "1")
		}
		m.PutSysctl("net/ipv4/conf/"+name+"/send_redirects", "1")
	}
	ctx := t.Context()
	if err := m.AddRule(ctx, hal.Rule{Family: hal.IPv4, Priority: 100, Mark: 1, Mask: 1, Table: 77, SuppressPrefix: -1}); err != nil {
		t.Fatal(err)
	}
	if err := m.ReplaceRoute(ctx, hal.Route{Table: hal.MainTable, Dst: netip.MustParsePrefix("192.0.2.0/24"), Dev: "lan0", Protocol: 4}); err != nil {
		t.Fatal(err)
	}
	if err := m.Nft("table ip others {\n\tchain c {\n\t\taccept\n\t}\n}\n"); err != nil {
		t.Fatal(err)
	}
	return m
}

func newApplier(m apply.Machine) *apply.Applier { return apply.New(m, slog.New(slog.DiscardHandler)) }

func mustApply(t *testing.T, a *apply.Applier, s plan.State) apply.Report {
	t.Helper()
	r, err := a.Apply(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func equal(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s:\n%s", what, diff)
	}
}

func TestApplyIsIdempotent(t *testing.T) {
	m := machine(t)
	a := newApplier(m)
	s := state(t, house)
	if r := mustApply(t, a, s); len(r.Changed) == 0 || !r.Ruleset {
		t.Fatalf("the first Apply changed nothing: %+v", r)
	}
	before := m.String()
	m.Calls()
	if r := mustApply(t, a, s); len(r.Changed) > 0 || r.Ruleset {
		t.Errorf("the second Apply changed %q", r.Changed)
	}
	if calls := m.Calls(); len(calls) > 0 {
		t.Errorf("the second Apply called %q", calls)
	}
	equal(t, "after the second Apply", before, m.String())
	if diff, err := a.Verify(t.Context(), s); err != nil || len(diff) > 0 {
		t.Errorf("Verify finds %q, %v", diff, err)
	}
}

// A plan leads to the same state whatever stood before: nothing, another plan, or what an earlier run left.
func TestApplyEndsInThePlan(t *testing.T) {
	direct := machine(t)
	mustApply(t, newApplier(direct), state(t, fiberGone))
	// Sysctls of a link that is no more stay until Cleanup: they were changed for good reason and harm nobody.
	want := standing(direct)

	over := machine(t)
	a := newApplier(over)
	mustApply(t, a, state(t, house))
	mustApply(t, a, state(t, fiberGone))
	equal(t, "over another plan", want, standing(over))

	restarted := machine(t)
	mustApply(t, newApplier(restarted), state(t, house))
	mustApply(t, newApplier(restarted), state(t, fiberGone))
	equal(t, "by a new process", want, standing(restarted))
}

// standing is rules, routes and ruleset; the order in which objects of a table were made does not matter.
func standing(m *haltest.Fake) string {
	lines := strings.Split(m.RulesetText(), "\n")
	slices.Sort(lines)
	return m.RuleText() + m.RouteText() + strings.Join(lines, "\n")
}

// TestFailuresChangeNothing lets each call of each operation fail once, on an empty machine and on one with another plan.
func TestFailuresChangeNothing(t *testing.T) {
	boom := errors.New("boom")
	injected := 0
	for _, from := range []string{"nothing", "another plan"} {
		for _, method := range []string{"Sysctl", "SetSysctl", "Rules", "AddRule", "Routes", "ReplaceRoute", "Objects", "Load", "Fingerprint"} {
			for n := 0; ; n++ {
				m := machine(t)
				a := newApplier(m)
				target := state(t, house)
				if from == "another plan" {
					mustApply(t, a, state(t, fiberGone))
				}
				before := m.String()
				for range n {
					m.FailNext(method, nil)
				}
				m.FailNext(method, boom)
				_, err := a.Apply(t.Context(), target)
				if err == nil {
					break // fewer calls than n, or one whose failure does no harm
				}
				injected++
				at := fmt.Sprintf("from %s, call %d of %s", from, n, method)
				if !errors.Is(err, boom) || errors.Is(err, apply.ErrHalfway) {
					t.Fatalf("%s: %v", at, err)
				}
				if text := err.Error(); !strings.HasPrefix(text, "applying ") && !strings.HasPrefix(text, "reading ") {
					t.Errorf("%s: %q does not say what was being done", at, text)
				}
				equal(t, at, before, m.String())
				mustApply(t, a, target)
				if diff, err := a.Verify(t.Context(), target); err != nil || len(diff) > 0 {
					t.Fatalf("%s, then again: %q, %v", at, diff, err)
				}
			}
		}
	}
	if injected < 50 {
		t.Errorf("only %d failures reached Apply", injected)
	}
}

// What the kernel will not let go of is no reason to give up the new plan; it goes next time.
func TestLeftovers(t *testing.T) {
	for _, method := range []string{"DeleteRule", "DeleteRoute"} {
		m := machine(t)
		a := newApplier(m)
		mustApply(t, a, state(t, house))
		m.FailNext(method, errors.New("boom"))
		s := state(t, fiberGone)
		r := mustApply(t, a, s)
		if len(r.Left) != 1 || !strings.Contains(r.Left[0], "boom") {
			t.Errorf("%s: left over: %q", method, r.Left)
		}
		if diff, err := a.Verify(t.Context(), s); err != nil || len(diff) != 1 {
			t.Errorf("%s: Verify finds %q, %v", method, diff, err)
		}
		if r := mustApply(t, a, s); len(r.Changed) != 1 || len(r.Left) > 0 {
			t.Errorf("%s: the next Apply did %+v", method, r)
		}
	}
}

// When taking back fails too, the rest is still taken back, and the error says what stays.
func TestHalfway(t *testing.T) {
	m := machine(t)
	before := m.RouteText()
	m.FailNext("Load", errors.New("no memory"))
	m.FailNext("DeleteRule", errors.New("boom"))
	_, err := newApplier(m).Apply(t.Context(), state(t, house))
	if !errors.Is(err, apply.ErrHalfway) || !strings.Contains(err.Error(), "no memory") || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("got %v", err)
	}
	equal(t, "routes", before, m.RouteText())
	if n := strings.Count(m.RuleText(), "lookup 100"); n != 1 {
		t.Errorf("%d rules are left, want the one that could not be deleted:\n%s", n, m.RuleText())
	}
}

// A context that ends in the middle takes everything back all the same.
func TestCancelled(t *testing.T) {
	m := machine(t)
	before := m.String()
	ctx, cancel := context.WithCancel(t.Context())
	stop := &stopper{Fake: m, cancel: cancel}
	_, err := newApplier(stop).Apply(ctx, state(t, house))
	if !errors.Is(err, context.Canceled) || errors.Is(err, apply.ErrHalfway) {
		t.Fatalf("got %v", err)
	}
	equal(t, "after the end of the context", before, m.String())
}

// stopper ends the context just before the ruleset is loaded.
type stopper struct {
	*haltest.Fake
	cancel context.CancelFunc
}

func (s *stopper) Load(ctx context.Context, text string) error {
	s.cancel()
	return s.Fake.Load(ctx, text)
}

func TestHealing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		harm  func(t *testing.T, m *haltest.Fake)
		finds string
	}{
		{"ip rule flush", func(_ *testing.T, m *haltest.Fake) { m.FlushRules() }, "rule IPv4 9001"},
		{"ip route flush table 1001", func(_ *testing.T, m *haltest.Fake) { m.FlushRoutes(1001) }, "route default via 198.18.1.1 dev wan1 table 1001"},
		{"a foreign route in our table", func(_ *testing.T, m *haltest.Fake) {
			m.PutRoute(hal.Route{Table: 1001, Dst: netip.MustParsePrefix("203.0.113.0/24"), Dev: "lan0", Protocol: 4})
		}, "removal of route 203.0.113.0/24"},
		{"nft delete table", func(t *testing.T, m *haltest.Fake) { nft(t, m, "delete table inet trenza\n") }, "table inet trenza"},
		{"nft flush ruleset", func(t *testing.T, m *haltest.Fake) { nft(t, m, "flush ruleset\n") }, "table inet trenza"},
		{"a deleted rule", func(t *testing.T, m *haltest.Fake) { nft(t, m, "flush chain inet trenza forward\n") }, "table inet trenza"},
		{"a sysctl", func(_ *testing.T, m *haltest.Fake) { m.PutSysctl("net/ipv4/ip_forward", "0") }, "sysctl net/ipv4/ip_forward = 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine(t)
			a := newApplier(m)
			s := state(t, house)
			mustApply(t, a, s)
			wantRules, wantRoutes := m.RuleText(), m.RouteText()
			tt.harm(t, m)
			found, err := a.Verify(t.Context(), s)
			if err != nil || !strings.Contains(strings.Join(found, "\n"), tt.finds) {
				t.Fatalf("Verify finds %q, %v; want %s", found, err, tt.finds)
			}
			mustApply(t, a, s)
			if found, err := a.Verify(t.Context(), s); err != nil || len(found) > 0 {
				t.Fatalf("not healed: %q, %v", found, err)
			}
			if tt.name != "ip rule flush" { // which takes others' rules too
				equal(t, "rules", wantRules, m.RuleText())
			}
			equal(t, "routes", wantRoutes, m.RouteText())
		})
	}
}

func nft(t *testing.T, m *haltest.Fake, text string) {
	t.Helper()
	if err := m.Nft(text); err != nil {
		t.Fatal(err)
	}
}

func TestCleanupLeavesNothing(t *testing.T) {
	for _, who := range []string{"same process", "another process"} {
		t.Run(who, func(t *testing.T) {
			m := machine(t)
			before, ruleset := m.RuleText()+m.RouteText(), m.RulesetText()
			all := m.String()
			a := newApplier(m)
			mustApply(t, a, state(t, house))
			if who == "another process" {
				a = newApplier(m)
			}
			for range 2 { // the second time there is nothing
				if err := a.Cleanup(t.Context()); err != nil {
					t.Fatal(err)
				}
				equal(t, "rules and routes", before, m.RuleText()+m.RouteText())
				equal(t, "ruleset", ruleset, m.RulesetText())
				if who == "same process" {
					equal(t, "everything", all, m.String())
				}
			}
		})
	}
}

func TestCleanupGoesOnAfterErrors(t *testing.T) {
	m := machine(t)
	a := newApplier(m)
	mustApply(t, a, state(t, house))
	m.FailNext("DeleteRule", errors.New("no rule"))
	m.FailNext("DeleteRoute", errors.New("no route"))
	m.FailNext("Load", errors.New("no nft"))
	err := a.Cleanup(t.Context())
	for _, part := range []string{"removing rule 9000", "no rule", "removing route", "no route", "removing table inet trenza: no nft"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
	if n := strings.Count(m.RuleText(), "lookup 100"); n != 0 {
		t.Errorf("rules are left:\n%s", m.RuleText())
	}
}
