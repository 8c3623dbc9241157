package bench

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// shape is a kind of large policy. People write none of these by hand: block lists are imported, companies have many devices.
type shape struct {
	name  string
	rules func() policy.Policy
}

const manyRules = 5000

func shapes() []shape {
	return []shape{{"blocklist", blockList}, {"devices", deviceRules}, {"mixed", mixedRules}}
}

// family is the policy of the lab's household.
func family(t testing.TB) policy.Policy {
	t.Helper()
	p, err := policy.Parse("family", []byte(home.Policy()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// crowd is a household of n devices; the first are the family's, so that the load's sender is one of them.
func crowd(n int) policy.Policy {
	p := policy.Policy{TimeZone: "Europe/Madrid", People: []policy.Person{{ID: "ana"}, {ID: "leo"}}}
	for i := range n {
		d := policy.Device{ID: device(i), MACs: []flow.MAC{{2, 0, 0, 0, byte(i >> 8), byte(i)}}, Owner: []string{"ana", "leo", ""}[i%3]}
		p.Devices = append(p.Devices, d)
	}
	p.Devices[0].MACs = []flow.MAC{senderMAC}
	p.Main = []policy.Rule{main("spread", policy.Default, policy.What{}, policy.Rule{Steer: balance()})}
	return p
}

func device(i int) string { return fmt.Sprintf("device-%d", i) }

func main(id string, f policy.Force, w policy.What, r policy.Rule) policy.Rule {
	r.ID, r.Tier, r.Force, r.What = id, policy.Main, f, w
	return r
}

func balance() *policy.Steer {
	return &policy.Steer{Mode: policy.Balance, Use: []policy.LinkShare{{Link: "fiber", Weight: 70}, {Link: "wifi", Weight: 30}}, Sticky: policy.StickySite}
}

func order(links ...string) *policy.Steer {
	s := &policy.Steer{}
	for _, l := range links {
		s.Use = append(s.Use, policy.LinkShare{Link: l})
	}
	return s
}

func domain(format string, i int) []policy.Domain {
	return []policy.Domain{{Name: fmt.Sprintf(format, i)}}
}

// blockList blocks one domain a rule, for everyone.
func blockList() policy.Policy {
	p := crowd(10)
	for i := len(p.Main); i < manyRules; i++ {
		p.Main = append(p.Main, main(fmt.Sprintf("block-%d", i), policy.Must, policy.What{Domains: domain("ads-%d.example", i)},
			policy.Rule{Filter: &policy.Filter{Action: policy.Block}}))
	}
	return p
}

// deviceRules gives each of a hundred devices fifty rules of its own, of all kinds.
func deviceRules() policy.Policy {
	p := crowd(100)
	for i := len(p.Main); i < manyRules; i++ {
		d, n := i%100, i/100
		r := main(fmt.Sprintf("rule-%d", i), force(n), ask(d, n), say(n))
		r.Who = policy.Who{Devices: []string{device(d)}}
		p.Main = append(p.Main, r)
	}
	return p
}

// ask is what rule n of device d is about: names, addresses or ports.
func ask(d, n int) policy.What {
	switch n % 5 {
	case 0, 1:
		return policy.What{Domains: domain("site-%d.example", d*50+n)}
	case 2:
		return policy.What{Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{203, byte(d), byte(n), 0}), 24)}}
	case 3:
		return policy.What{Services: []policy.Service{{Proto: flow.ProtoTCP, First: uint16(1000 + n*10), Last: uint16(1000 + n*10 + d%10)}}}
	default:
		return policy.What{Domains: domain("work-%d.example", d*50+n), Services: []policy.Service{{Proto: flow.ProtoUDP, First: 443, Last: 443}}}
	}
}

// say is what rule n decides.
func say(n int) policy.Rule {
	switch n % 4 {
	case 0:
		return policy.Rule{Steer: order("fiber", "wifi")}
	case 1:
		return policy.Rule{Steer: order("wifi", "lte")}
	case 2:
		return policy.Rule{QoS: &policy.QoS{Class: "interactive"}}
	default:
		return policy.Rule{Filter: &policy.Filter{Action: policy.Block}}
	}
}

// force is how binding rule n is: people block for good.
func force(n int) policy.Force {
	if say(n).Filter != nil {
		return policy.Must
	}
	return policy.Default
}

// mixedRules is a company: a block list, ways for addresses and ports for everyone, and rules of forty devices.
func mixedRules() policy.Policy {
	p := crowd(40)
	for i := len(p.Main); i < manyRules; i++ {
		id := fmt.Sprintf("rule-%d", i)
		switch {
		case i < 2500:
			p.Main = append(p.Main, main(id, policy.Must, policy.What{Domains: domain("ads-%d.example", i)},
				policy.Rule{Filter: &policy.Filter{Action: policy.Block}}))
		case i < 3500:
			p.Main = append(p.Main, main(id, policy.Default, policy.What{Domains: domain("saas-%d.example", i)}, policy.Rule{Steer: order("fiber", "lte")}))
		case i < 4000:
			to := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(65 + i%40), byte(i / 40), 0}), 24)
			p.Main = append(p.Main, main(id, policy.Default, policy.What{Addresses: []netip.Prefix{to}}, policy.Rule{Steer: order("wifi", "fiber")}))
		case i < 4200:
			p.Main = append(p.Main, main(id, policy.Default,
				policy.What{Services: []policy.Service{{Proto: flow.ProtoTCP, First: uint16(10000 + i), Last: uint16(10000 + i)}}},
				policy.Rule{QoS: &policy.QoS{Class: "bulk"}}))
		default:
			d, n := i%40, i/40
			r := main(id, force(n), policy.What{Domains: domain("site-%d.example", i)}, say(n))
			r.Who = policy.Who{Devices: []string{device(d)}}
			p.Main = append(p.Main, r)
		}
	}
	return p
}

func TestShapesAreAccepted(t *testing.T) {
	for _, s := range shapes() {
		p := s.rules()
		if n := len(p.Main) + len(p.User); n != manyRules {
			t.Errorf("%s has %d rules, want %d", s.name, n, manyRules)
		}
		if _, _, err := policy.Compile(p, policy.Known{Links: []string{"fiber", "wifi", "lte"}}); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}
