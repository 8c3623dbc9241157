package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// sharedList is a house in which everyone has a long list of blocked names and of names with a way of their own, and each of
// some devices has a few names besides: new ones, and ones of the list that it may see, or that go elsewhere.
func sharedList(t *testing.T, list, devices int) world {
	t.Helper()
	var p policy.Policy
	rule := func(r policy.Rule) { r.Tier = policy.Main; p.Main = append(p.Main, r) }
	for i := range list {
		rule(policy.Rule{ID: fmt.Sprintf("block-%d", i), Force: policy.Default, What: domainOf("ads-%d.example", i), Filter: &policy.Filter{Action: policy.Block}})
		rule(policy.Rule{ID: fmt.Sprintf("way-%d", i), Force: policy.Default, What: domainOf("work-%d.example", i), Steer: wayOf("lte")})
	}
	for d := range devices {
		id := fmt.Sprintf("device-%d", d)
		p.Devices = append(p.Devices, policy.Device{ID: id, MACs: []flow.MAC{{2, 0, 0, 0, 2, byte(d)}}})
		who := policy.Who{Devices: []string{id}}
		rule(policy.Rule{ID: id + "-own", Force: policy.Must, Who: who, What: domainOf("own-%d.example", d), Filter: &policy.Filter{Action: policy.Block}})
		rule(policy.Rule{ID: id + "-free", Force: policy.Must, Who: who, What: domainOf("ads-%d.example", d), Filter: &policy.Filter{Action: policy.Allow}})
		rule(policy.Rule{ID: id + "-way", Force: policy.Must, Who: who, What: domainOf("work-%d.example", d), Steer: wayOf("wifi")})
	}
	c, _, err := policy.Compile(p, policy.Known{Links: []string{"fiber", "wifi", "lte"}})
	if err != nil {
		t.Fatal(err)
	}
	w := world{policy: c, now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	for n, d := range c.Domains() {
		class := flow.NameClass(n + 1)
		w.names = append(w.names, NameClass{Class: class, Host: d.Name, Domains: []policy.Domain{d}})
		w.targets = append(w.targets, policy.Target{Host: d.Name, Addr: netip.MustParseAddr("192.0.2.9"), Proto: flow.ProtoTCP, Port: 443})
		w.classes = append(w.classes, class)
	}
	return w
}

func domainOf(format string, i int) policy.What {
	return policy.What{Domains: []policy.Domain{{Name: fmt.Sprintf(format, i)}}}
}

func wayOf(link string) *policy.Steer {
	return &policy.Steer{Mode: policy.Fixed, Use: []policy.LinkShare{{Link: link}}}
}

// TestLongListsAreShared: devices with names of their own decide by a list for everyone as policy does, without copies of it.
func TestLongListsAreShared(t *testing.T) {
	const list, devices = 2 * worthSharing, 20
	w := sharedList(t, list, devices)
	in := w.input()
	in.Devices = nil
	for n, d := range w.policy.Policy().Devices {
		in.Devices = append(in.Devices, Device{Number: flow.DeviceID(n + 1), ID: d.ID, MACs: d.MACs})
	}
	s, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, s.Ruleset)
	for n := range devices + 1 {
		mark, subject := flow.Mark(0), policy.Subject{}
		if n < devices {
			mark, subject = flow.DeviceID(n+1).Mark(), w.policy.Subject(in.Devices[n].ID)
		}
		for i, x := range w.targets {
			p := packet{daddr: x.Addr, proto: x.Proto, dport: x.Port, ct: uint32(mark), meta: uint32(flow.MakeLabel(w.classes[i], 1))}
			m.run("judge", &p)
			got, err := s.outcome(p)
			if err != nil {
				t.Fatalf("device %d to %s: %v", n, x.Host, err)
			}
			if diff := cmp.Diff(w.decided(subject, x), got); diff != "" {
				t.Fatalf("device %d to %s: policy.Decide (-), the kernel's maps (+)\n%s", n, x.Host, diff)
			}
		}
	}
	elements := 0
	for _, c := range s.Ruleset.Chains {
		if strings.HasPrefix(c.Name, "name_") {
			elements += strings.Count(strings.Join(c.Rules, "\n"), " : goto ")
		}
	}
	if most := 2*2*list + 10*devices; elements > most {
		t.Errorf("%d elements decide by name, want at most %d: each device has its own copy of the list", elements, most)
	}
}
