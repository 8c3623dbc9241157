// Package capturetest builds packets, frames and capture files for tests: of every link type and file format that router/capture reads. What
// it writes is as the standards say, with valid lengths; checksums are left zero, since nobody here reads them.
package capturetest

import (
	"encoding/binary"
	"net/netip"

	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
)

// IP wraps a payload in an IPv4 or IPv6 header, as the addresses are.
func IP(proto flow.Proto, src, dst netip.Addr, payload []byte) []byte {
	if src.Is4() {
		b := make([]byte, 20, 20+len(payload))
		b[0], b[8], b[9] = 0x45, 64, byte(proto)
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		return append(b, payload...)
	}
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 0x60, byte(proto), 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, payload...)
}

// UDP is a whole IP packet.
func UDP(src, dst netip.AddrPort, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return IP(flow.ProtoUDP, src.Addr(), dst.Addr(), append(b, payload...))
}

// TCP is a whole IP packet.
func TCP(src, dst netip.AddrPort, seq uint32, flags dpi.TCPFlags, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint32(b[4:], seq)
	b[12], b[13] = 5<<4, byte(flags)
	return IP(flow.ProtoTCP, src.Addr(), dst.Addr(), append(b, payload...))
}

// Echo is an ICMP echo request, or the reply.
func Echo(src, dst netip.Addr, id uint16, reply bool) []byte {
	kind, proto := byte(8), flow.ProtoICMP
	if src.Is6() {
		kind, proto = 128, flow.ProtoICMPv6
	}
	if reply && src.Is6() {
		kind = 129
	} else if reply {
		kind = 0
	}
	return IP(proto, src, dst, []byte{kind, 0, 0, 0, byte(id >> 8), byte(id), 0, 1})
}

// Fragments cuts an IP packet without extension headers into pieces of at most size bytes of payload, a multiple of 8.
func Fragments(ip []byte, id uint32, size int) [][]byte {
	header := 20
	if ip[0]>>4 == 6 {
		header = 40
	}
	var out [][]byte
	payload := ip[header:]
	for at := 0; at < len(payload); at += size {
		end := min(at+size, len(payload))
		more := uint16(0)
		if end < len(payload) {
			more = 1
		}
		b := append([]byte(nil), ip[:header]...)
		if header == 20 {
			binary.BigEndian.PutUint16(b[4:], uint16(id))
			binary.BigEndian.PutUint16(b[6:], uint16(at/8)|more<<13)
			binary.BigEndian.PutUint16(b[2:], uint16(header+end-at))
		} else {
			binary.BigEndian.PutUint16(b[4:], uint16(8+end-at))
			b = append(b, b[6], 0, 0, 0, 0, 0, 0, 0)
			b[6] = 44
			binary.BigEndian.PutUint16(b[42:], uint16(at)|more)
			binary.BigEndian.PutUint32(b[44:], id)
		}
		out = append(out, append(b, payload[at:end]...))
	}
	return out
}

// Frame wraps an IP packet as captures of that link type have it.
func Frame(link capture.LinkType, ip []byte) []byte {
	v6 := ip[0]>>4 == 6
	ether, ppp, family := []byte{8, 0}, []byte{0, 0x21}, byte(2)
	if v6 {
		ether, ppp, family = []byte{0x86, 0xdd}, []byte{0, 0x57}, 30
	}
	join := func(parts ...[]byte) []byte {
		var b []byte
		for _, p := range append(parts, ip) {
			b = append(b, p...)
		}
		return b
	}
	snap := append([]byte{0xaa, 0xaa, 3, 0, 0, 0}, ether...)
	wifi := append(make([]byte, 26), snap...) // QoS data to the access point
	wifi[0], wifi[1] = 0x88, 1
	switch link {
	case capture.LinkEthernet:
		return join(make([]byte, 12), ether)
	case capture.LinkNull:
		return join([]byte{family, 0, 0, 0})
	case capture.LinkLoop:
		return join([]byte{0, 0, 0, family})
	case capture.LinkPPP:
		return join(ppp[1:]) // compressed
	case capture.LinkPPPHDLC:
		return join([]byte{0xff, 3}, ppp)
	case capture.LinkPPPoE:
		return join([]byte{0x11, 0, 0, 1, 0, 0}, ppp)
	case capture.LinkCHDLC:
		return join([]byte{0x0f, 0}, ether)
	case capture.LinkWiFi:
		return join(wifi)
	case capture.LinkRadiotap:
		return join([]byte{0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0}, wifi)
	case capture.LinkPPI:
		return join([]byte{0, 0, 8, 0, byte(capture.LinkWiFi), 0, 0, 0}, wifi)
	case capture.LinkSLL:
		return join(make([]byte, 14), ether)
	case capture.LinkSLL2:
		return join(ether, make([]byte, 18))
	}
	return join()
}

// Links lists the link types that Frame knows.
func Links() []capture.LinkType {
	return []capture.LinkType{
		capture.LinkNull, capture.LinkEthernet, capture.LinkPPP, capture.LinkRawBSD, capture.LinkRawOpen, capture.LinkPPPHDLC, capture.LinkPPPoE,
		capture.LinkRaw, capture.LinkCHDLC, capture.LinkWiFi, capture.LinkLoop, capture.LinkSLL, capture.LinkRadiotap, capture.LinkPPI,
		capture.LinkIPv4, capture.LinkIPv6, capture.LinkSLL2,
	}
}

// Encapsulated wraps an IP packet in Ethernet with tags, labels or sessions, by the way to say it.
func Encapsulated(ip []byte) map[string][]byte {
	ether, ppp := []byte{8, 0}, []byte{0, 0x21}
	if ip[0]>>4 == 6 {
		ether, ppp = []byte{0x86, 0xdd}, []byte{0, 0x57}
	}
	wrap := func(parts ...[]byte) []byte {
		b := make([]byte, 12)
		for _, p := range append(parts, ip) {
			b = append(b, p...)
		}
		return b
	}
	return map[string][]byte{
		"VLAN":              wrap([]byte{0x81, 0, 0, 7}, ether),
		"QinQ":              wrap([]byte{0x88, 0xa8, 0, 7, 0x81, 0, 0, 9}, ether),
		"PPPoE":             wrap([]byte{0x88, 0x64, 0x11, 0, 0, 1, 0, 0}, ppp),
		"PPPoE in VLAN":     wrap([]byte{0x81, 0, 0, 7, 0x88, 0x64, 0x11, 0, 0, 1, 0, 0}, ppp),
		"MPLS":              wrap([]byte{0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64}),
		"Ethernet in MPLS":  wrap([]byte{0x88, 0x47, 0, 1, 1, 64, 0, 0, 0, 0}, make([]byte, 12), ether),
		"802.3 with SNAP":   wrap([]byte{0, 100, 0xaa, 0xaa, 3, 0, 0, 0}, ether),
		"SNAP in VLAN":      wrap([]byte{0x81, 0, 0, 7, 0, 100, 0xaa, 0xaa, 3, 0, 0, 0}, ether),
		"PPP with HDLC":     wrap([]byte{0x88, 0x64, 0x11, 0, 0, 1, 0, 0, 0xff, 3}, ppp),
		"PPP, short number": wrap([]byte{0x88, 0x64, 0x11, 0, 0, 1, 0, 0}, ppp[1:]),
	}
}
