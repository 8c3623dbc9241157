package tunnel

import (
	"encoding/binary"

	"github.com/trenza-router/trenza/router/bond"
)

// A router's kernel tells how a flow is to be carried by the DSCP of the packets that it sends into the bond's device: codes of pool 2, which is for
// local use (RFC 2474 section 6). The two highest bits are the mode, the next two the class. It takes such codes away that devices gave.

// PoolMask and Pool tell the codes of the pool: DSCP & PoolMask == Pool.
const (
	PoolMask = 3
	Pool     = 3
)

// ServiceDSCP is the code of a service; 0 for the plain one, which needs none and leaves the packet's own.
func ServiceDSCP(s bond.Service) uint8 {
	if s == (bond.Service{}) {
		return 0
	}
	return uint8(s.Mode)<<4 | uint8(s.Class)<<2 | Pool
}

const (
	dscpShift = 2
	ecnMask   = 3
)

// takeService reads how an IP packet is to be carried and takes the code away: at the other end it is best effort, and means nothing to anybody else.
func takeService(p []byte) bond.Service {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		s := serviceOf(p[1] >> dscpShift)
		if s != (bond.Service{}) {
			before := binary.BigEndian.Uint16(p)
			p[1] &= ecnMask
			// RFC 1624, equation 3: the checksum without the difference.
			sum := uint32(^binary.BigEndian.Uint16(p[10:])) + uint32(^before) + uint32(binary.BigEndian.Uint16(p))
			sum = sum&0xffff + sum>>16
			sum = sum&0xffff + sum>>16
			binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
		}
		return s
	case len(p) >= 40 && p[0]>>4 == 6:
		class := p[0]<<4 | p[1]>>4
		s := serviceOf(class >> dscpShift)
		if s != (bond.Service{}) {
			class &= ecnMask
			p[0], p[1] = p[0]&0xf0|class>>4, p[1]&0x0f|class<<4
		}
		return s
	}
	return bond.Service{}
}

func serviceOf(dscp uint8) bond.Service {
	if dscp&PoolMask != Pool {
		return bond.Service{}
	}
	return bond.Service{Mode: bond.Mode(dscp >> 4), Class: bond.Class(dscp >> 2 & 3)}
}
