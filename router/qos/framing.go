package qos

import (
	"fmt"

	"github.com/trenza-router/trenza/hal"
)

// Framing is what a line adds to each packet between the router and the place where it is slow.
type Framing uint8

const (
	NoFraming Framing = iota
	Ethernet          // leased at the wire's speed: preamble, check sequence and gap count
	DOCSIS            // cable
	PPPoE             // VDSL2 or fibre
	ATM               // ADSL with PPPoE over LLC
	framings
)

func (f Framing) known() bool { return f < framings }

func (f Framing) String() string {
	if !f.known() {
		return fmt.Sprintf("framing(%d)", uint8(f))
	}
	return [...]string{"none", "ethernet", "docsis", "pppoe", "atm"}[f]
}

// ParseFraming reads a framing as String writes it; the empty string is none.
func ParseFraming(s string) (Framing, error) {
	for f := range framings {
		if s == f.String() {
			return f, nil
		}
	}
	if s == "" {
		return NoFraming, nil
	}
	return 0, fmt.Errorf("framing %q: use none, ethernet, docsis, pppoe or atm", s)
}

// overhead is what the kernel has to add to its own idea of a packet's length, in which header bytes are counted already.
// The figures are those of tc-cake(8), which count from the IP packet.
func (f Framing) overhead(header int) hal.Overhead {
	var o hal.Overhead
	switch f {
	case Ethernet: // header 14, FCS 4, preamble 8, gap 12; no frame is shorter than 64 and what surrounds it
		o = hal.Overhead{Bytes: 38, Min: 84}
	case DOCSIS: // header 14, FCS 4
		o = hal.Overhead{Bytes: 18, Min: 64}
	case PPPoE: // PPP 2, PPPoE 6, header 14, FCS 4, PTM 4
		o = hal.Overhead{Bytes: 30}
	case ATM: // PPP 2, PPPoE 6, header 14, LLC and SNAP 10, AAL5 trailer 8
		o = hal.Overhead{Bytes: 40, Cells: true}
	case NoFraming:
	}
	o.Bytes -= min(o.Bytes, uint16(header))
	return o
}
