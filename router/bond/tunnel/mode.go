package tunnel

import (
	"encoding/binary"

	"github.com/trenza-router/trenza/router/bond"
)

// A router's kernel tells the mode of a flow by the DSCP of the packets that it sends into the bond's device: codes of pool 2, which is for
// local use (RFC 2474 section 6), and which no packet has outside of the router.

// ModeDSCP is the code of a mode; 0 for Speed, which needs none and leaves the packet's own.
func ModeDSCP(m bond.Mode) uint8 {
	switch m {
	case bond.Reliable:
		return 0x0b
	case bond.Latency:
		return 0x1b
	case bond.Saver:
		return 0x2b
	case bond.Speed:
	}
	return 0
}

const (
	dscpShift = 2
	ecnMask   = 3
)

// takeMode reads the mode of an IP packet and takes its code away: at the other end it is best effort, and means nothing to anybody else.
func takeMode(p []byte) bond.Mode {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		m := modeOf(p[1] >> dscpShift)
		if m != bond.Speed {
			before := binary.BigEndian.Uint16(p)
			p[1] &= ecnMask
			// RFC 1624, equation 3: the checksum without the difference.
			sum := uint32(^binary.BigEndian.Uint16(p[10:])) + uint32(^before) + uint32(binary.BigEndian.Uint16(p))
			sum = sum&0xffff + sum>>16
			sum = sum&0xffff + sum>>16
			binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
		}
		return m
	case len(p) >= 40 && p[0]>>4 == 6:
		class := p[0]<<4 | p[1]>>4
		m := modeOf(class >> dscpShift)
		if m != bond.Speed {
			class &= ecnMask
			p[0], p[1] = p[0]&0xf0|class>>4, p[1]&0x0f|class<<4
		}
		return m
	}
	return bond.Speed
}

func modeOf(dscp uint8) bond.Mode {
	for _, m := range []bond.Mode{bond.Reliable, bond.Latency, bond.Saver} {
		if dscp == ModeDSCP(m) {
			return m
		}
	}
	return bond.Speed
}
