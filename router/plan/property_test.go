package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
	"github.com/trenza-router/trenza/router/steer"
)

// world is a random house: a compiled policy at a moment and the targets that its flows go to.
type world struct {
	policy  *policy.Compiled
	now     time.Time
	targets []policy.Target
	classes []flow.NameClass // of each target
	names   []NameClass
}

// drawWorld draws a policy of the generators with selectors made sharper, and targets at and beside the borders of what it
// selects.
func drawWorld(t *rapid.T, rules, targets int) world {
	p := policytest.Policy(rules, rules).Draw(t, "policy")
	for _, tier := range [][]policy.Rule{p.Main, p.User} {
		for i := range tier {
			sharpen(t, &tier[i].What)
		}
	}
	c, _, err := policy.Compile(p, policytest.Known())
	if err != nil {
		t.Fatalf("%v", err)
	}
	w := world{policy: c, now: policytest.Time().Draw(t, "time")}
	addrs, ports := borders(c)
	type name struct{ app, host string }
	seen := map[name]flow.NameClass{{}: 0}
	for range targets {
		x := policytest.Target().Draw(t, "target")
		x.Content = nil // the kernel judges first packets
		if !x.Addr.IsValid() || rapid.IntRange(0, 2).Draw(t, "addr at a border") > 0 {
			x.Addr = rapid.SampledFrom(addrs).Draw(t, "border")
		}
		x.Proto = rapid.SampledFrom([]flow.Proto{flow.ProtoTCP, flow.ProtoTCP, flow.ProtoUDP, flow.ProtoSCTP, 47, 255}).Draw(t, "proto")
		if rapid.IntRange(0, 5).Draw(t, "icmp") == 0 {
			x.Proto = flow.ProtoICMP
			if x.Addr.Is6() {
				x.Proto = flow.ProtoICMPv6
			}
		}
		x.Port = 0
		if x.Proto.HasPorts() {
			x.Port = rapid.SampledFrom(ports).Draw(t, "port")
		}
		key := name{x.App, x.Host}
		if _, ok := seen[key]; !ok {
			n := NameClass{Class: flow.NameClass(len(seen)), App: x.App, Category: x.Category, Host: x.Host}
			for _, d := range c.Domains() {
				if d.Matches(x.Host) {
					n.Domains = append(n.Domains, d)
				}
			}
			seen[key] = n.Class
			w.names = append(w.names, n)
		}
		w.targets, w.classes = append(w.targets, x), append(w.classes, seen[key])
	}
	return w
}

// sharpen replaces some selectors by ones with awkward borders.
func sharpen(t *rapid.T, w *policy.What) {
	if len(w.Addresses) > 0 && rapid.Bool().Draw(t, "other addresses") {
		w.Addresses = rapid.SliceOfNDistinct(rapid.SampledFrom([]netip.Prefix{
			netip.MustParsePrefix("255.255.255.255/32"), netip.MustParsePrefix("128.0.0.0/1"), netip.MustParsePrefix("203.0.113.6/31"),
			netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::/128"),
			netip.MustParsePrefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), netip.MustParsePrefix("2001:db8:7::/49"),
		}), 1, 4, rapid.ID[netip.Prefix]).Draw(t, "addresses")
	}
	if len(w.Services) > 0 && rapid.Bool().Draw(t, "other services") {
		w.Services = rapid.SliceOfNDistinct(rapid.SampledFrom([]policy.Service{
			{Proto: flow.ProtoTCP, First: 65535, Last: 65535}, {Proto: flow.ProtoTCP, First: 1, Last: 65535}, {Proto: flow.ProtoTCP, First: 0, Last: 443},
			{Proto: flow.ProtoSCTP}, {Proto: flow.ProtoUDP, First: 444, Last: 444}, {Proto: flow.ProtoUDP, First: 400, Last: 444},
			{Proto: flow.ProtoICMP}, {Proto: flow.ProtoICMPv6}, {Proto: 255},
		}), 1, 4, rapid.ID[policy.Service]).Draw(t, "services")
	}
}

// borders lists the addresses and ports where the policy's selectors begin and end, and their neighbours.
func borders(c *policy.Compiled) (addrs []netip.Addr, ports []uint16) {
	addrs = []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8:9::9")}
	ports = []uint16{0, 443, 65535}
	for i := range c.Len() {
		for _, p := range c.Rule(i).What.Addresses {
			first, last := p.Masked().Addr(), lastAddr(p)
			for _, a := range []netip.Addr{first.Prev(), first, last, last.Next()} {
				if a.IsValid() {
					addrs = append(addrs, a)
				}
			}
		}
		for _, s := range c.Rule(i).What.Services {
			ports = append(ports, s.First-1, s.First, s.Last, s.Last+1)
		}
	}
	return addrs, ports
}

// input is the world as a plan's input; every device that the policy can tell apart has a number, the last is a stranger.
func (w world) input() Input {
	in := Input{
		Now: w.now, Policy: w.policy, Links: homeLinks(), Names: w.names,
		LAN: []LAN{{Device: "lan0", Nets: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("fd00:77::/64")}}},
	}
	for n, id := range policytest.Devices() {
		in.Devices = append(in.Devices, Device{Number: flow.DeviceID(n + 1), ID: id, MACs: []flow.MAC{{2, 0, 0, 0, 1, byte(n + 1)}}})
	}
	return in
}

// outcome is what happens to a flow, in words that policy and kernel share.
type outcome struct {
	Blocked, Silent, Log bool
	Class                flow.AppClass
	Steer                string // key of the choice; "" for a blocked flow
}

func (w world) decided(s policy.Subject, x policy.Target) outcome {
	v := w.policy.Decide(policy.Query{Subject: s, Target: x, Time: w.now}).Verdict()
	if v.Blocked {
		return outcome{Blocked: true, Silent: v.Silent}
	}
	return outcome{Log: v.Log, Class: v.Class, Steer: steer.Key(v.Steer)}
}

// outcome of a packet after its walk.
func (s State) outcome(p packet) (outcome, error) {
	o := outcome{
		Blocked: p.dropped || flow.Mark(p.ct).Blocked(), Silent: p.dropped,
		Log: slices.Contains(p.logs, "log"),
	}
	if o.Blocked {
		if len(p.logs) != 1 || p.choice != "" {
			return o, fmt.Errorf("a blocked flow must be logged once and reach no choice: logs %v, choice %q", p.logs, p.choice)
		}
		return o, nil
	}
	o.Class = flow.Mark(p.ct).App()
	id := flow.Mark(p.ct).Choice()
	c, ok := s.Choices[id]
	if !ok || p.choice != choiceChain(id) || !flow.Mark(p.ct).Judged() {
		return o, fmt.Errorf("the mark %v says choice %d, the walk ended in %q", flow.Mark(p.ct), id, p.choice)
	}
	o.Steer = steer.Key(c.Steer)
	return o, nil
}

// TestKernelDecidesAsPolicy walks the compiled chains for random flows of every device, and of the router itself.
func TestKernelDecidesAsPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, 10, 25)
		s, err := Compile(w.input())
		if err != nil {
			t.Fatalf("%v", err)
		}
		m := newMachine(t, s.Ruleset)
		check := func(who, entry string, mark flow.Mark, subject policy.Subject) {
			for n, x := range w.targets {
				p := packet{
					daddr: x.Addr, proto: x.Proto, dport: x.Port, dscp: x.DSCP,
					ct: uint32(mark), meta: uint32(flow.MakeLabel(w.classes[n], 77)),
				}
				if w.classes[n] == 0 {
					p.meta = 0
				}
				if !x.Proto.HasPorts() {
					p.dport = uint16(rapid.SampledFrom([]int{0, 443, 65535}).Draw(t, "bytes where a port would be"))
				}
				m.run(entry, &p)
				got, err := s.outcome(p)
				if err != nil {
					t.Fatalf("%s to %+v: %v", who, x, err)
				}
				if diff := cmp.Diff(w.decided(subject, x), got); diff != "" {
					t.Fatalf("%s to %+v: policy.Decide (-), the kernel's maps (+)\n%s", who, x, diff)
				}
				if flow.Mark(p.ct).Device() != mark.Device() {
					t.Fatalf("%s: the walk changed the device in the mark to %d", who, flow.Mark(p.ct).Device())
				}
			}
		}
		for n, id := range policytest.Devices() {
			check(id, "judge", flow.DeviceID(n+1).Mark(), w.policy.Subject(id))
		}
		check("a device not seen before", "judge", 0, policy.Subject{})
		own := m.chains["own_flow"]
		check("the router", strings.TrimPrefix(own[len(own)-1], "goto "), flow.RouterDevice.Mark(), policy.Subject{Router: true})
	})
}
