package linux

import (
	"context"
	"fmt"
	"strings"

	"github.com/trenza-router/trenza/hal"
)

// Other programs that steer by marks. Trenza uses the whole mark of a connection, so two of them at work would send each
// other's packets anywhere; they are known by the masks of their rules.
const (
	mwan3Mask = 0x3f00     // option mmx_mask of mwan3
	pbrMask   = 0x00ff0000 // option fw_mask of pbr; tailscale uses it too

	tailscaleFirst, tailscaleLast = 5200, 5299 // the priorities of tailscale's rules
)

// conflicts looks for them in this network namespace. The answer is a list of things that the router needs absent, in the
// shape of capabilities: Present says that all is well.
func (m *Machine) conflicts(ctx context.Context) ([]hal.Capability, error) {
	c, err := dialRoute()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var all []kernelRule
	for _, f := range families {
		l, err := dumpRules(ctx, c, f)
		if err != nil {
			return nil, err
		}
		all = append(all, l...)
	}
	return findConflicts(all), nil
}

func findConflicts(all []kernelRule) []hal.Capability {
	var mwan3, pbr, others []string
	for _, r := range all {
		text := fmt.Sprintf("%s rule %q", r.Family, r.Rule)
		switch {
		case r.Mask == 0 || r.protocol == hal.RouteProtocol:
		case r.Mask == mwan3Mask:
			mwan3 = append(mwan3, text)
		case r.Mask == pbrMask && (r.Priority < tailscaleFirst || r.Priority > tailscaleLast):
			pbr = append(pbr, text)
		default:
			others = append(others, text)
		}
	}
	finding := func(name, what, fix string, required bool, found []string) hal.Capability {
		c := capability{Capability: hal.Capability{Name: name, What: what, Required: required, Fix: fix}}
		if len(found) == 0 {
			return c.settle(nil)
		}
		return c.settle(fmt.Errorf("%s", strings.Join(found, "; ")))
	}
	return []hal.Capability{
		finding("no-mwan3", "mwan3 does not steer the same packets by mark 0x3f00",
			"stop it: /etc/init.d/mwan3 stop && /etc/init.d/mwan3 disable", true, mwan3),
		finding("no-pbr", "pbr does not steer the same packets by mark 0x00ff0000",
			"stop it: /etc/init.d/pbr stop && /etc/init.d/pbr disable", true, pbr),
		finding("no-other-marks", "no other program steers packets by marks",
			"if traffic of that program (a VPN, for instance) goes astray, stop it or give it another mark", false, others),
	}
}
