package linux

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

func FuzzDecodePacketCopy(f *testing.F) {
	packet := make([]byte, 28)
	packet[0] = 0x45
	b := appendNet32(netfilterRequest(2, 0, 77), nfulaMark, 0x2000)
	b = appendAttribute(b, nfulaHardware, []byte{0, 6, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0})
	b = appendAttribute(b, nfulaPrefix, []byte("new\x00"))
	whole := appendAttribute(b, nfulaPayload, packet)
	f.Add(whole)
	f.Add(appendAttribute(b, nfulaPayload, packet[:5]))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _, _, ok := decodePacketCopy(b)
		if !ok {
			return
		}
		least := map[byte]int{4: 20, 6: 40}[c.Packet[0]>>4]
		if least == 0 || len(c.Packet) < least {
			t.Errorf("%d bytes of a packet of version %d", len(c.Packet), c.Packet[0]>>4)
		}
	})
	c, _, _, ok := decodePacketCopy(whole)
	if !ok || c.Mark != 0x2000 || c.Prefix != "new" || c.SrcMAC != (flow.MAC{2, 0, 0, 0, 0, 1}) || len(c.Packet) != 28 {
		f.Errorf("%+v %v", c, ok)
	}
}
