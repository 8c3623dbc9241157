package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// codePoints is what packets of the household carry in their DSCP field (RFC 2474) when they leave by a link: what a rule sets, what the device
// set where a rule trusts it, else 0, since providers go by code points in ways of their own. The router's own packets keep theirs. The
// chain stands before the one that tells a bond how to carry a flow, which has the last word on a bond's device.
func (in Input) codePoints() []Chain {
	base := Chain{Name: "dscp", Hook: "type filter hook postrouting priority -151; policy accept;", Comment: "code points of what leaves the house: set, kept or washed"}
	way := in.outward()
	var out []Chain
	if in.Policy.SetsDSCP() {
		classes, devices, set := in.askedCodePoints()
		for _, level := range []struct {
			mask     flow.Mark
			elements []string
		}{{flow.DeviceMask | flow.AppMask, classes}, {flow.DeviceMask, devices}} {
			if len(level.elements) > 0 {
				base.Rules = append(base.Rules, fmt.Sprintf("%sct mark & %#x vmap { %s }", way, uint32(level.mask), strings.Join(level.elements, ", ")))
			}
		}
		for _, v := range set {
			out = append(out, Chain{Name: dscpChain(v), Rules: []string{fmt.Sprintf("ip dscp set %#x", v), fmt.Sprintf("ip6 dscp set %#x", v)}})
		}
	}
	// The field is looked at first: nearly all packets leave each rule there.
	for _, family := range []string{"ip", "ip6"} {
		base.Rules = append(base.Rules, fmt.Sprintf("%s dscp != 0x0 %s%s dscp set 0x0", family, way, family))
	}
	return append(out, base)
}

func dscpChain(v int) string { return fmt.Sprintf("dscp_%d", v) }

// askedCodePoints are the verdicts by class of a device and by device as a whole, and the code points that are set, in order.
func (in Input) askedCodePoints() (classes, devices []string, set []int) {
	ask := func(n flow.DeviceID, s policy.Subject) {
		for _, p := range in.Policy.Promises(s, in.Now) {
			v := p.Decision.QoS.DSCP
			if v == nil {
				continue
			}
			verdict := "accept"
			if *v != policy.KeepDSCP {
				verdict = "goto " + dscpChain(*v)
				set = append(set, *v)
			}
			element := fmt.Sprintf("%#x : %s", uint32(n.Mark()|p.Class.Mark()), verdict)
			if p.Rule == nil {
				devices = append(devices, element)
			} else {
				classes = append(classes, element)
			}
		}
	}
	ask(0, policy.Subject{})
	for _, d := range in.Devices {
		ask(d.Number, in.Policy.Subject(d.ID))
	}
	slices.Sort(set)
	slices.Sort(classes)
	slices.Sort(devices)
	return classes, devices, slices.Compact(set)
}
