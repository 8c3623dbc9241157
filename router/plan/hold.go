package plan

import (
	"fmt"

	"github.com/trenza-router/trenza/router/flow"
)

// HoldQueue is the number of the nft queue in which the first packets of QUIC flows wait for their name.
const HoldQueue = 81

// hold makes the first packets of QUIC flows to an address of which nothing is known for the device wait until the daemon has read their name and put it
// into the maps; nothing where the kernel cannot hold packets. It stands before connection tracking: a second packet that is held beside the first one would else
// be tracked as another connection, and could leave by another port.
//
// Long headers of QUIC with the types of Initial and 0-RTT (RFC 9000 section 17.2, RFC 9369 section 3.2) stand at the begin of a connection only. With "bypass" nothing
// waits when no daemon is there.
func (in Input) hold() []Chain {
	if !in.Queue {
		return nil
	}
	known := fmt.Sprintf("meta mark >= %#x meta mark set 0 accept", uint32(flow.LabelBit))
	return []Chain{{Name: "hold", Hook: "type filter hook prerouting priority raw; policy accept;",
		Comment: "QUIC to hosts not known yet waits for its name", Rules: []string{
			"udp dport != 443 accept",
			"meta l4proto != udp accept",
			fmt.Sprintf("iifname != %s accept", quoted(in.lanDevices())),
			"meta l4proto udp @th,64,8 & 0xe0 != 0xc0 accept",
			"ip daddr @near4 accept",
			"ip6 daddr @near6 accept",
			"meta mark set ether saddr map @macs",
			"meta mark == 0 meta mark set ip saddr map @hosts4",
			"meta mark == 0 meta mark set ip6 saddr map @hosts6",
			"meta mark == 0 accept",
			"meta mark set meta mark . ip daddr map @" + MapNames4,
			"meta mark set meta mark . ip6 daddr map @" + MapNames6,
			known,
			"ip daddr . meta l4proto . th dport @" + MapLearned4 + " accept",
			"ip6 daddr . meta l4proto . th dport @" + MapLearned6 + " accept",
			fmt.Sprintf("counter queue flags bypass to %d", HoldQueue),
		}}}
}
