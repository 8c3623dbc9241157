package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/bond"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// StrandMark is the mark of a bond's sockets on a link: its link's, so that it is routed there whatever the rules say, and the router's own as a
// device's, so that what a bond sends is counted and shaped as the router's traffic on that link.
func StrandMark(link flow.LinkID) flow.Mark { return link.Mark() | flow.RouterDevice.Mark() }

// strands gives the datagrams of bonds the mark of their sockets as that of a connection. Other sockets that choose their link, those of probes, have
// the link's mark alone.
func (in Input) strands() []string {
	for _, l := range in.Links {
		if l.Bond {
			return []string{fmt.Sprintf("meta mark & %#x == %#x ct mark 0 ct mark set meta mark", uint32(flow.DeviceMask), uint32(flow.RouterDevice.Mark()))}
		}
	}
	return nil
}

// urgent are the application classes that mean something beside others in a bond, by its classes. What a rule promises to flows of its own is kept on the
// lines of the house alone: a bond knows no rates.
func urgent(c bond.Class) (out []flow.AppClass) {
	for i, name := range policy.ClassNames() {
		of := bond.Normal
		switch name {
		case "realtime":
			of = bond.Realtime
		case "interactive":
			of = bond.Interactive
		case "bulk", "background":
			of = bond.Background
		}
		if of == c {
			out = append(out, flow.AppClass(i+1))
		}
	}
	return out
}

// delivery tells a bond how to carry a flow: what leaves by its device gets the code of its class and of what its choice asks for, which the bond takes
// away again. Such codes that a device of the house gave are taken away first. A house without bonds has no such chain.
func (in Input) delivery(c *choices) []Chain {
	var devices []string
	for _, l := range in.Links {
		if l.Bond {
			devices = append(devices, l.Device)
		}
	}
	if len(devices) == 0 {
		return nil
	}
	asked := map[policy.Delivery][]string{}
	for id, s := range c.all {
		asked[s.Delivery] = append(asked[s.Delivery], fmt.Sprintf("%#x", uint32(id.Mark())))
	}
	chain := Chain{Name: "delivery", Hook: "type filter hook postrouting priority mangle; policy accept;", Comment: "how a bond carries what leaves by it"}
	chain.Rules = append(chain.Rules, fmt.Sprintf("oifname != %s accept", anyOf(devices)))
	families := func(match string, code uint8, families ...string) {
		for _, family := range families {
			chain.Rules = append(chain.Rules, fmt.Sprintf(match+"%s dscp set %#x", family, code))
		}
	}
	for _, family := range []string{"ip", "ip6"} {
		families(fmt.Sprintf("%s dscp & %#x == %#x ", family, tunnel.PoolMask, tunnel.Pool), 0, family)
	}
	for d := policy.Speed; d <= policy.Saver; d++ {
		choice := ""
		if d != policy.Speed {
			marks := asked[d]
			if len(marks) == 0 {
				continue
			}
			slices.Sort(marks)
			choice = fmt.Sprintf("ct mark & %#x { %s } ", uint32(flow.ChoiceMask), strings.Join(marks, ", "))
			families(choice, tunnel.ServiceDSCP(bond.Service{Mode: bond.Mode(d)}), "ip", "ip6")
		}
		for _, class := range []bond.Class{bond.Realtime, bond.Interactive, bond.Background} {
			var apps []string
			for _, a := range urgent(class) {
				apps = append(apps, fmt.Sprintf("%#x", uint32(a.Mark())))
			}
			families(fmt.Sprintf("%sct mark & %#x { %s } ", choice, uint32(flow.AppMask), strings.Join(apps, ", ")),
				tunnel.ServiceDSCP(bond.Service{Mode: bond.Mode(d), Class: class}), "ip", "ip6")
		}
	}
	return []Chain{chain}
}
