package plan

import (
	"fmt"
	"net/netip"

	"github.com/trenza-router/trenza/router/flow"
)

// CaptureGroup is the NFLOG group of copies for a capture.
const CaptureGroup = 80

// Capture sends up copies of what a device sends and gets, or of its flows to one far end.
type Capture struct {
	Device flow.DeviceID // 0: no capture
	Far    netip.Addr    // invalid: every one
	Port   uint16        // of the far end; 0: every one
	Bytes  int           // of each packet at most
}

// capture stands before the chains that refuse, so that what is refused in forward is seen, too. It sees addresses as the household has them, on both ways.
func (in Input) capture() []Chain {
	c := in.Capture
	if c.Device == 0 {
		return nil
	}
	chain := Chain{Name: "capture", Hook: "type filter hook forward priority filter - 3; policy accept;"}
	for _, side := range []struct{ direction, addr, port string }{{"original", "daddr", "dport"}, {"reply", "saddr", "sport"}} {
		rule := fmt.Sprintf("ct direction %s ct mark & %#x == %#x", side.direction, uint32(flow.DeviceMask), uint32(c.Device.Mark()))
		if c.Far.IsValid() {
			family := "ip"
			if c.Far.Is6() {
				family = "ip6"
			}
			rule += fmt.Sprintf(" %s %s %s", family, side.addr, c.Far)
		}
		if c.Port != 0 {
			rule += fmt.Sprintf(" meta l4proto { tcp, udp } th %s %d", side.port, c.Port)
		}
		chain.Rules = append(chain.Rules, fmt.Sprintf("%s log group %d snaplen %d", rule, CaptureGroup, c.Bytes))
	}
	return []Chain{chain}
}
