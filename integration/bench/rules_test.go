package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/apply"
	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/classify"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/steer"
)

// house is this process's network namespace with the devices of a house with three links.
type house struct {
	b        *testing.B
	machine  *linux.Machine
	compiler plan.Compiler // remembers, as the daemon's does
	apply    *apply.Applier
	apps     *catalog.Catalog
}

// newHouse makes the devices; everything is taken away again at the benchmark's end.
func newHouse(b *testing.B) *house {
	b.Helper()
	ip(b, "link set lo up")
	for i, d := range houseDevices() {
		ip(b, "link add "+d+" type veth peer name "+d+"-far")
		ip(b, "link set "+d+" up")
		ip(b, "link set "+d+"-far up")
		ip(b, fmt.Sprintf("address add 198.18.%d.100/24 dev %s", i, d))
	}
	m, err := linux.New(linux.Options{})
	if err != nil {
		b.Fatal(err)
	}
	apps, err := catalog.Load("")
	if err != nil {
		b.Fatal(err)
	}
	h := &house{b: b, machine: m, apply: apply.New(m, slog.New(slog.DiscardHandler)), apps: apps}
	b.Cleanup(func() {
		if err := h.apply.Cleanup(context.Background()); err != nil {
			b.Error(err)
		}
		for _, d := range houseDevices() {
			ip(b, "link del "+d)
		}
	})
	return h
}

func houseDevices() []string { return []string{"lan0", "wan1", "wan2", "wan3"} }

func linkNames() []string { return []string{"fiber", "wifi", "lte"} }

func ip(b *testing.B, line string) {
	b.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		b.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

// input checks and compiles a policy, as the daemon does when it is put in force, and gathers what the plan needs.
func (h *house) input(p policy.Policy) plan.Input {
	h.b.Helper()
	compiled, _, err := policy.Compile(p, policy.Known{Links: linkNames()})
	if err != nil {
		h.b.Fatal(err)
	}
	in := plan.Input{
		Now: time.Now(), Policy: compiled, DNS: plan.DNS{Redirect: true, Port: 53},
		LAN: []plan.LAN{{Device: "lan0", Nets: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")}}},
	}
	for i, name := range linkNames() {
		in.Links = append(in.Links, plan.Link{
			LinkCondition: steer.LinkCondition{ID: flow.LinkID(i + 1), Name: name, Role: flow.Role(i), Weight: 10, Usable: true},
			Device:        houseDevices()[i+1], Gateway4: netip.AddrFrom4([4]byte{198, 18, byte(i + 1), 1}),
		})
	}
	for i, d := range p.Devices {
		in.Devices = append(in.Devices, plan.Device{Number: flow.DeviceID(i + 1), ID: d.ID, MACs: d.MACs})
	}
	names := classify.NewInterner(h.apps)
	names.SetSelectors(compiled.Domains())
	for _, c := range names.Classes() {
		in.Names = append(in.Names, plan.NameClass{Class: c.Class, App: c.App, Category: c.Category, Host: c.Host, Domains: c.Domains})
	}
	return in
}

// plan compiles what the kernel shall be.
func (h *house) plan(in plan.Input) plan.State {
	h.b.Helper()
	s, err := h.compiler.Compile(in)
	if err != nil {
		h.b.Fatal(err)
	}
	return s
}

// put makes the kernel so.
func (h *house) put(s plan.State) {
	h.b.Helper()
	if _, err := h.apply.Apply(h.b.Context(), s); err != nil {
		h.b.Fatal(err)
	}
}

// BenchmarkPolicySwap: from the family's policy to one of 5,000 rules. "ms" is the whole: the policy is checked and compiled,
// the plan is made, the kernel takes it in one transaction. "ms-link-failure" is the plan and the transaction when, under that
// policy, the first link dies. Between rounds the family's policy comes back.
func BenchmarkPolicySwap(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			h, rules := newHouse(b), s.rules()
			home := h.plan(h.input(family(b)))
			h.put(home)
			for b.Loop() {
				const rounds = 7
				var check, planning, swap, whole, failure []float64
				for range rounds {
					began := time.Now()
					in := h.input(rules)
					checked := time.Now()
					state := h.plan(in)
					planned := time.Now()
					h.put(state)
					swapped := time.Now()
					in.Links[0].Usable = false
					h.put(h.plan(in))
					failed := time.Now()
					h.put(home)
					check = append(check, milliseconds(checked.Sub(began))...)
					planning = append(planning, milliseconds(planned.Sub(checked))...)
					swap = append(swap, milliseconds(swapped.Sub(planned))...)
					whole = append(whole, milliseconds(swapped.Sub(began))...)
					failure = append(failure, milliseconds(failed.Sub(swapped))...)
				}
				summarize(whole).report(b, "ms")
				b.ReportMetric(summarize(check).median, "ms-check")
				b.ReportMetric(summarize(planning).median, "ms-plan")
				b.ReportMetric(summarize(swap).median, "ms-swap")
				b.ReportMetric(summarize(failure).median, "ms-link-failure")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
