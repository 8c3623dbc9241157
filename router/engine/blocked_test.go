package engine_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/store"
)

// tcpPacket is an IPv4 packet with a TCP segment; checksums are left out, as in a copy of what the card will complete.
func tcpPacket(src, dst netip.AddrPort, flags byte, payload string) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[8], b[9] = 0x45, 64, byte(flow.ProtoTCP)
	binary.BigEndian.PutUint16(b[2:], uint16(40+len(payload)))
	s, d := src.Addr().As4(), dst.Addr().As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	binary.BigEndian.PutUint16(b[20:], src.Port())
	binary.BigEndian.PutUint16(b[22:], dst.Port())
	b[32], b[33] = 5<<4, flags
	return append(b, payload...)
}

// nameMark is a packet's mark while rules are gone through: the number of a name, whose bits are no device's.
const nameMark = 0x80000123

// TestBlockedFlowIsLogged: a refusal that the kernel tells of comes into the log with the rule, its tier and its words.
func TestBlockedFlowIsLogged(t *testing.T) {
	h := enginetest.Start(t, `
people: [{id: ana, name: Ana}]
devices: [{id: laptop, name: Laptop, owner: ana, macs: ["02:00:00:00:77:01"]}]
personal:
  ana: [{id: no-far, name: Nothing far away, what: {addresses: [203.0.113.0/24]}, filter: {block: true}}]
`, nil)
	enginetest.Eventually(t, "the device", func() bool { return len(h.Devices()) > 0 })
	packet := tcpPacket(netip.MustParseAddrPort("10.77.0.20:50000"), netip.MustParseAddrPort("203.0.113.9:443"), 2, "")
	enginetest.Eventually(t, "the block in the log", func() bool {
		h.Machine.LogPacket(plan.VerdictGroup, hal.PacketCopy{Packet: packet, Mark: nameMark, Prefix: "refuse"})
		list, err := h.Blocked(t.Context(), store.BlockQuery{Rule: "no-far"})
		if err != nil || len(list) != 1 {
			return false
		}
		b := list[0]
		if b.How != store.BlockedFlow || b.Device != "laptop" || b.Person != "ana" || b.Tier != "user" || b.Name != "Nothing far away" ||
			b.Proto != "tcp" || b.To != "203.0.113.9:443" || b.Text == "" {
			t.Fatalf("%+v", b)
		}
		return true
	})
}
