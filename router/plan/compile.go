package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// State is all kernel state that is ours, as one value.
type State struct {
	Ruleset Ruleset
	Rules   []hal.Rule
	Routes  []hal.Route
	Sysctls []Sysctl
	// Shapings are the class trees, one a device, sorted by it; Detour leads to the one of downloads. Both are empty in a house that is not shaped.
	Shapings []hal.Shaping
	Detour   hal.Detour
	// Choices tells what the choice bits of a flow's mark mean under this plan.
	Choices map[flow.ChoiceID]Choice
	// Until is when a schedule makes this plan out of date; zero: never.
	Until time.Time
}

// Sysctl is a kernel parameter: the path under /proc/sys and its value.
type Sysctl struct{ Key, Value string }

// Tables lists the routing tables in which every route is ours.
func (s State) Tables() []int {
	seen := map[int]bool{LinkTable: true}
	for _, r := range s.Rules {
		if r.Table >= LinkTable && r.Table <= LinkTable+int(flow.MaxLink) {
			seen[r.Table] = true
		}
	}
	var out []int
	for t := range seen {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// String is the whole state as nft, ip and sysctl would show it.
func (s State) String() string {
	var b strings.Builder
	b.WriteString(s.Ruleset.String())
	for _, r := range s.Rules {
		fmt.Fprintf(&b, "rule %s %s\n", r.Family, r)
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "route %s\n", r)
	}
	for _, c := range s.Sysctls {
		fmt.Fprintf(&b, "sysctl %s = %s\n", c.Key, c.Value)
	}
	b.WriteString(s.Detour.String())
	for _, t := range s.Shapings {
		b.WriteString(t.String())
	}
	for _, id := range s.Classes() {
		fmt.Fprintf(&b, "element %s %#x : %x:%x\n", MapClass, id, hal.ShapingMajor, id)
	}
	return b.String()
}

// Compile turns what is known and wanted into the state of the kernel. Errors are bad input that no kernel could hold:
// two devices of one number, a forward to nowhere, no LAN, no link.
func Compile(in Input) (State, error) { return new(Compiler).Compile(in) }

// Compiler makes plans one after the other. It remembers what the last one said about devices, so that a link's death in
// a house of thousands of rules does not wait for a plan made whole. It is not safe for concurrent use.
type Compiler struct {
	last *judgement
}

// Compile is the function of that name.
func (c *Compiler) Compile(in Input) (State, error) {
	if err := in.check(); err != nil {
		return State{}, fmt.Errorf("planning the kernel's state: %w", err)
	}
	asked := in.subjects()
	if !c.last.answers(in, asked) {
		j, err := judge(in, asked)
		if err != nil {
			return State{}, err
		}
		c.last = j
	}
	j := c.last
	s := State{
		Rules: rules(in.Links), Routes: routes(in.Links), Sysctls: sysctls(in),
		Choices: j.choices.resolve(in.Links), Until: in.Policy.NextChange(in.Now),
	}
	s.Ruleset.Maps = in.maps()
	add := func(c ...Chain) { s.Ruleset.Chains = append(s.Ruleset.Chains, c...) }
	add(choiceChains(s.Choices)...)
	add(j.chains...)
	add(dispatch(j.profiles, j.fallback), label(), identify(), ownFlow(j.own), in.fromLAN())
	add(in.fromLink()...)
	add(in.fromArm()...)
	add(refuse(), in.toLink(), in.toLAN(), fromInternet())
	add(in.prerouting(), in.output(), in.dstnat())
	add(in.hold()...)
	add(in.deep()...)
	add(in.capture()...)
	add(in.guests()...)
	add(in.forward(), in.input(), in.srcnat())
	add(in.stayPut()...)
	add(in.codePoints()...)
	add(in.delivery(j.choices)...)
	s.addShaping(in)
	return s, nil
}

func (in Input) check() error {
	if len(in.LAN) == 0 {
		return fmt.Errorf("no LAN interface: name at least one under lan: in the configuration")
	}
	if len(in.Links) == 0 {
		return fmt.Errorf("no link: name at least one under links: in the configuration")
	}
	device := map[string]string{}
	for _, l := range in.LAN {
		device[l.Device] = "the LAN"
	}
	ids := map[flow.LinkID]string{}
	for _, l := range in.Links {
		if l.ID == 0 || l.ID > flow.MaxLink {
			return fmt.Errorf("link %q has number %d: use 1 to %d", l.Name, l.ID, flow.MaxLink)
		}
		if other, ok := ids[l.ID]; ok {
			return fmt.Errorf("links %q and %q have the same number %d", other, l.Name, l.ID)
		}
		if other, ok := device[l.Device]; ok && other != "the LAN" { // else it is an arm
			return fmt.Errorf("device %s of link %q is also of %s", l.Device, l.Name, other)
		}
		ids[l.ID], device[l.Device] = l.Name, fmt.Sprintf("link %q", l.Name)
	}
	numbers := map[flow.DeviceID]string{}
	addresses := map[string]string{}
	for _, d := range in.Devices {
		if d.Number == 0 || d.Number > flow.MaxDevice {
			return fmt.Errorf("device %q has number %d: use 1 to %d", d.ID, d.Number, flow.MaxDevice)
		}
		if other, ok := numbers[d.Number]; ok {
			return fmt.Errorf("devices %q and %q have the same number %d", other, d.ID, d.Number)
		}
		numbers[d.Number] = d.ID
		for _, m := range d.MACs {
			if other, ok := addresses[m.String()]; ok {
				return fmt.Errorf("devices %q and %q have the same Ethernet address %s", other, d.ID, m)
			}
			addresses[m.String()] = d.ID
		}
		for _, a := range d.Addrs {
			if other, ok := addresses[a.String()]; ok {
				return fmt.Errorf("devices %q and %q have the same address %s", other, d.ID, a)
			}
			addresses[a.String()] = d.ID
		}
	}
	for _, p := range in.Prefixes {
		if !p.Prefix.IsValid() || p.Class == 0 {
			return fmt.Errorf("address range %v of class %d is not usable", p.Prefix, p.Class)
		}
	}
	if err := in.checkShapings(); err != nil {
		return err
	}
	for _, f := range in.Forwards {
		if f.Proto != flow.ProtoTCP && f.Proto != flow.ProtoUDP || f.Port == 0 || !f.To.IsValid() || f.To.Port() == 0 || f.To.Addr() == (netip.Addr{}) {
			return fmt.Errorf("forward %q: needs tcp or udp, a port from 1 to 65535 and a target address with its port", f.Name)
		}
	}
	return nil
}
