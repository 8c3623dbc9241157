package plan

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
)

// bigRules are shapes of large policies.
func bigRules() map[string]func() Input {
	return map[string]func() Input{
		"domains": func() Input { return bigInput(domainBlocks(5000), nil) },
		"devices": func() Input {
			var rules []policy.Rule
			var devices []policy.Device
			for d := range 100 {
				id := fmt.Sprintf("device-%d", d)
				devices = append(devices, policy.Device{ID: id, MACs: []flow.MAC{{2, 0, 0, 0, 2, byte(d)}}})
				for n, r := range mixedRules(50, policy.Default) {
					if len(r.What.Services) > 0 {
						r.What.Services[0].First -= uint16(d) // each device has rules of its own
					}
					r.ID = fmt.Sprintf("%s-%d", id, n)
					r.Who.Devices = []string{id}
					rules = append(rules, r)
				}
			}
			return bigInput(rules, devices)
		},
		"mixed": func() Input { return bigInput(mixedRules(5000, policy.Default), nil) },
		"mixed-tiers": func() Input {
			must := mixedRules(100, policy.Must)
			for i := range must {
				must[i].ID = "must-" + must[i].ID
			}
			return bigInput(append(must, mixedRules(4900, policy.Default)...), nil)
		},
		"crossing": func() Input { return crossing(2500, 5) },
	}
}

func bigInput(rules []policy.Rule, devices []policy.Device) Input {
	c, _, err := policy.Compile(policy.Policy{Main: rules, Devices: devices}, policy.Known{Links: policytest.Links()})
	if err != nil {
		panic(err)
	}
	in := Input{
		Now: noon, Policy: c, Links: homeLinks(),
		LAN: []LAN{{Device: "lan0", Nets: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}}},
	}
	for n, d := range devices {
		in.Devices = append(in.Devices, Device{Number: flow.DeviceID(n + 1), ID: d.ID, MACs: d.MACs})
	}
	for n := range 20 {
		in.Names = append(in.Names, NameClass{Class: flow.NameClass(n + 1), App: fmt.Sprintf("app-%d", n), Category: "stuff", Host: fmt.Sprintf("app-%d.example", n)})
	}
	for n, d := range c.Domains() {
		in.Names = append(in.Names, NameClass{Class: flow.NameClass(n + 101), Host: d.Name, Domains: []policy.Domain{d}})
	}
	return in
}

func domainBlocks(n int) []policy.Rule {
	var out []policy.Rule
	for i := range n {
		out = append(out, policy.Rule{
			ID: fmt.Sprintf("block-%d", i), Tier: policy.Main, Force: policy.Must,
			What:   policy.What{Domains: []policy.Domain{{Name: fmt.Sprintf("site-%d.example", i)}}},
			Filter: &policy.Filter{Action: policy.Block},
		})
	}
	return out
}

// mixedRules are rules about applications, addresses and ports that steer, set classes and block.
func mixedRules(n int, force policy.Force) []policy.Rule {
	var out []policy.Rule
	for i := range n {
		r := policy.Rule{ID: fmt.Sprintf("mixed-%d", i), Tier: policy.Main, Force: force}
		switch i % 4 {
		case 0:
			r.What.Apps = []string{fmt.Sprintf("app-%d", i/4%20)}
		case 1:
			r.What.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i >> 8), byte(i), 0}), 24)}
		case 2:
			r.What.Services = []policy.Service{{Proto: flow.ProtoTCP, First: uint16(1000 + i), Last: uint16(1000 + i)}}
		case 3:
			r.What.Domains = []policy.Domain{{Name: fmt.Sprintf("site-%d.example", i)}}
		}
		switch i / 4 % 3 {
		case 0:
			r.Steer = &policy.Steer{Use: []policy.LinkShare{{Link: "fiber"}, {Link: "wifi"}}}
		case 1:
			r.QoS = &policy.QoS{Class: "bulk"}
		case 2:
			r.Filter = &policy.Filter{Action: policy.Block}
		}
		out = append(out, r)
	}
	return out
}

// crossing is a policy in which each of n domains can meet each of n ports; so many things are said about the domains.
func crossing(n, effects int) Input {
	var rules []policy.Rule
	for i := range n {
		rules = append(rules, policy.Rule{
			ID: fmt.Sprintf("port-%d", i), Tier: policy.Main, Force: policy.Must,
			What:  policy.What{Services: []policy.Service{{Proto: flow.ProtoTCP, First: uint16(1000 + 2*i), Last: uint16(1000 + 2*i)}}},
			Steer: &policy.Steer{Mode: policy.Fixed, Use: []policy.LinkShare{{Link: policytest.Links()[i%3]}}},
		}, policy.Rule{
			ID: fmt.Sprintf("site-%d", i), Tier: policy.Main, Force: policy.Default,
			What:  policy.What{Domains: []policy.Domain{{Name: fmt.Sprintf("site-%d.example", i)}}},
			Steer: &policy.Steer{Mode: policy.Balance, Use: []policy.LinkShare{{Link: "fiber", Weight: 1 + i%effects}, {Link: "wifi", Weight: 1000}}},
		})
	}
	return bigInput(rules, nil)
}

// A policy that no kernel could hold is refused in words, before it has eaten the memory.
func TestTooEntangled(t *testing.T) {
	if _, err := Compile(crossing(100, 100)); err != nil {
		t.Fatalf("100 domains and 100 ports fit: %v", err)
	}
	if _, err := Compile(crossing(2500, 5)); err != nil {
		t.Fatalf("2500 domains that are treated in five ways fit: %v", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Compile(crossing(1000, 1000))
	runtime.ReadMemStats(&after)
	want := "planning the kernel's state for devices not seen before: the policy's rules cross in too many ways for the kernel " +
		"(more than 200000 map elements): about steer, 1000 rules that name applications or domains, 0 that name addresses, 1000 that name ports " +
		"and 0 that name DSCP values can each meet; give the rules about addresses and ports the same tier, force and priority as those about " +
		"names, or let them name fewer devices"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<30 {
		t.Errorf("it took %d MB to find out", used>>20)
	}
}

// BenchmarkCompile is from the policy's compiled form to the text that nft reads.
func BenchmarkCompile(b *testing.B) {
	for name, input := range bigRules() {
		b.Run(name, func(b *testing.B) {
			in := input()
			size := 0
			for b.Loop() {
				s, err := Compile(in)
				if err != nil {
					b.Fatal(err)
				}
				size = len(s.Ruleset.String())
			}
			b.ReportMetric(float64(size), "bytes/ruleset")
		})
	}
}
