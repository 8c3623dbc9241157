package flow

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Proto is an IP protocol number (IANA). ICMP and ICMPv6 are one thing to a rule: see Proto.Matches.
type Proto uint8

const (
	ProtoAny    Proto = 0
	ProtoICMP   Proto = 1
	ProtoTCP    Proto = 6
	ProtoUDP    Proto = 17
	ProtoICMPv6 Proto = 58
	ProtoSCTP   Proto = 132
)

func (p Proto) String() string {
	switch p {
	case ProtoAny:
		return "any"
	case ProtoICMP:
		return "icmp"
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoICMPv6:
		return "icmpv6"
	case ProtoSCTP:
		return "sctp"
	}
	return fmt.Sprintf("%d", uint8(p))
}

// ParseProto reads a protocol as String writes it, or a number from 1 to 255.
func ParseProto(s string) (Proto, error) {
	switch strings.ToLower(s) {
	case "any", "":
		return ProtoAny, nil
	case "icmp":
		return ProtoICMP, nil
	case "tcp":
		return ProtoTCP, nil
	case "udp":
		return ProtoUDP, nil
	case "icmpv6":
		return ProtoICMPv6, nil
	case "sctp":
		return ProtoSCTP, nil
	}
	var n int
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil || n < 1 || n > 255 || fmt.Sprint(n) != s {
		return 0, fmt.Errorf("protocol %q: use tcp, udp, icmp, sctp or a number from 1 to 255", s)
	}
	return Proto(n), nil
}

// HasPorts tells whether the protocol's header starts with source and destination ports.
func (p Proto) HasPorts() bool { return p == ProtoTCP || p == ProtoUDP || p == ProtoSCTP }

// Matches tells whether a packet of protocol q is meant by p in a rule: any means all, and icmp means both ICMPs.
func (p Proto) Matches(q Proto) bool {
	return p == ProtoAny || p == q || p == ProtoICMP && q == ProtoICMPv6
}

// Key is a flow's five-tuple as its client sees it: Src is the LAN side before any translation.
type Key struct {
	Proto Proto
	Src   netip.AddrPort
	Dst   netip.AddrPort
}

func (k Key) String() string { return fmt.Sprintf("%s %s -> %s", k.Proto, k.Src, k.Dst) }

// MAC is an Ethernet address as a comparable value. The zero value is "unknown".
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }
func (m MAC) IsZero() bool   { return m == MAC{} }

// Local tells whether the address is locally administered: made up by the device (privacy) or by a hypervisor.
func (m MAC) Local() bool { return m[0]&2 != 0 }

// MarshalText and UnmarshalText let a MAC stand in YAML and JSON as "02:00:00:00:00:01".
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m *MAC) UnmarshalText(b []byte) error {
	v, err := ParseMAC(string(b))
	if err == nil {
		*m = v
	}
	return err
}

// ParseMAC reads a 48-bit Ethernet address in any of the usual forms.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(strings.TrimSpace(s))
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("device address %q: use six pairs of hex digits like 02:00:00:00:00:01", s)
	}
	return MAC(hw), nil
}
