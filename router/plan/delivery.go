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

// delivery tells a bond how to carry a flow: what leaves by its device gets the code of what the flow's choice asks for, which the bond takes
// away again. A house without bonds, or whose rules ask for nothing of the kind, has no such chain.
func (in Input) delivery(c *choices) []Chain {
	var devices []string
	for _, l := range in.Links {
		if l.Bond {
			devices = append(devices, l.Device)
		}
	}
	asked := map[policy.Delivery][]string{}
	for id, s := range c.all {
		asked[s.Delivery] = append(asked[s.Delivery], fmt.Sprintf("%#x", uint32(id.Mark())))
	}
	chain := Chain{Name: "delivery", Hook: "type filter hook postrouting priority mangle; policy accept;", Comment: "how a bond carries what leaves by it"}
	for d := policy.Reliable; d <= policy.Saver; d++ {
		marks := asked[d]
		if len(marks) == 0 {
			continue
		}
		slices.Sort(marks)
		for _, family := range []string{"ip", "ip6"} {
			chain.Rules = append(chain.Rules, fmt.Sprintf("oifname %s ct mark & %#x { %s } %s dscp set %#x",
				anyOf(devices), uint32(flow.ChoiceMask), strings.Join(marks, ", "), family, tunnel.ModeDSCP(bond.Mode(d))))
		}
	}
	if len(devices) == 0 || len(chain.Rules) == 0 {
		return nil
	}
	return []Chain{chain}
}
