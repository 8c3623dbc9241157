package dpi

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/trenza-router/trenza/router/flow"
)

// Packet is one decoded IP packet. Payload points into the bytes that were decoded.
type Packet struct {
	Key      flow.Key // as on the wire: Src is the sender. ICMP echo has its identifier in both ports
	Payload  []byte   // of the transport; for fragments after the first, and for other protocols, of the IP packet
	Seq      uint32   // TCP: sequence number of the first payload byte (of SYN: plus one)
	Flags    TCPFlags
	DSCP     uint8
	Fragment Fragment
	Cut      bool // the copy is shorter than the packet was
}

// TCPFlags are the flags byte of a TCP header.
type TCPFlags uint8

const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Fragment tells whether a packet is part of a larger one.
type Fragment uint8

const (
	Whole         Fragment = iota
	FirstFragment          // has the transport header, not all of the payload
	LaterFragment          // has no ports
)

// Errors of Decode. They are plain values: a stranger's packet must not cost an allocation.
var (
	ErrShort    = errors.New("packet shorter than its header says")
	ErrNotIP    = errors.New("not an IPv4 or IPv6 packet")
	ErrMangled  = errors.New("header lengths contradict each other")
	ErrTooDeep  = errors.New("too many IPv6 extension headers")
	ErrNoHeader = errors.New("no transport header")
)

// maxExtensions bounds the IPv6 extension headers that are walked through.
const maxExtensions = 8

// IP protocol numbers of IPv6 extension headers (IANA).
const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	authHeader  = 51
	noNext      = 59
	destOptions = 60
	mobility    = 135
	hip         = 139
	shim6       = 140
)

// Decode reads an IP packet that starts at its IP header into p, without allocating. When the IP header is good but the transport
// header is not, the error is ErrNoHeader and p still has protocol and addresses.
func Decode(b []byte, p *Packet) error {
	*p = Packet{}
	if len(b) == 0 {
		return ErrShort
	}
	switch b[0] >> 4 {
	case 4:
		return decode4(b, p)
	case 6:
		return decode6(b, p)
	}
	return ErrNotIP
}

// decode4 follows RFC 791 §3.1.
func decode4(b []byte, p *Packet) error {
	if len(b) < 20 {
		return ErrShort
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total != 0 && total < header {
		return ErrMangled
	}
	if len(b) < header {
		return ErrShort
	}
	if total == 0 { // left to the network card (segmentation offload)
		total = len(b)
	}
	p.Cut = len(b) < total
	b = b[:min(len(b), total)]
	p.DSCP = b[1] >> 2
	where := binary.BigEndian.Uint16(b[6:])
	switch offset, more := where&0x1fff, where&0x2000 != 0; {
	case offset != 0:
		p.Fragment = LaterFragment
	case more:
		p.Fragment = FirstFragment
	}
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return decodeTransport(flow.Proto(b[9]), src, dst, b[header:], p)
}

// decode6 follows RFC 8200 §3 and §4.
func decode6(b []byte, p *Packet) error {
	if len(b) < 40 {
		return ErrShort
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total == 40 {
		total = len(b) // jumbogram, or left to the network card
	}
	p.Cut = len(b) < total
	p.DSCP = (b[0]<<4 | b[1]>>4) >> 2
	src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next := b[6]
	b = b[40:min(len(b), total)]
	for range maxExtensions {
		var size int
		switch next {
		case hopByHop, routing, destOptions, mobility, hip, shim6:
			if len(b) < 8 {
				return ErrShort
			}
			size = 8 + int(b[1])*8
		case authHeader:
			if len(b) < 8 {
				return ErrShort
			}
			size = 8 + int(b[1])*4
		case fragment:
			if len(b) < 8 {
				return ErrShort
			}
			size = 8
			switch where := binary.BigEndian.Uint16(b[2:]); {
			case where&^7 != 0:
				p.Fragment = LaterFragment
				return decodeTransport(flow.Proto(b[0]), src, dst, b[size:], p)
			case where&1 != 0:
				p.Fragment = FirstFragment
			}
		default:
			return decodeTransport(flow.Proto(next), src, dst, b, p)
		}
		if len(b) < size {
			return ErrShort
		}
		next, b = b[0], b[size:]
	}
	return ErrTooDeep
}

// decodeTransport fills ports, TCP fields and the payload. b starts at the transport header.
func decodeTransport(proto flow.Proto, src, dst netip.Addr, b []byte, p *Packet) error {
	p.Key.Proto = proto
	var sport, dport uint16
	var err error
	switch {
	case p.Fragment == LaterFragment || proto == noNext:
		p.Payload = b
	case proto == flow.ProtoTCP:
		sport, dport, err = decodeTCP(b, p)
	case proto == flow.ProtoUDP:
		sport, dport, err = decodeUDP(b, p)
	case proto == flow.ProtoSCTP && len(b) >= 12: // RFC 9260 §3.1
		sport, dport, p.Payload = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[12:]
	case (proto == flow.ProtoICMP || proto == flow.ProtoICMPv6) && len(b) >= 8:
		if isEcho(proto, b[0]) {
			sport = binary.BigEndian.Uint16(b[4:])
			dport = sport
		}
		p.Payload = b[8:]
	case proto == flow.ProtoSCTP || proto == flow.ProtoICMP || proto == flow.ProtoICMPv6:
		err = ErrNoHeader
	default:
		p.Payload = b
	}
	p.Key.Src, p.Key.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return err
}

func isEcho(proto flow.Proto, kind byte) bool {
	if proto == flow.ProtoICMP {
		return kind == 8 || kind == 0
	}
	return kind == 128 || kind == 129
}

// decodeTCP follows RFC 9293 §3.1.
func decodeTCP(b []byte, p *Packet) (sport, dport uint16, err error) {
	if len(b) < 20 {
		return 0, 0, ErrNoHeader
	}
	header := int(b[12]>>4) * 4
	if header < 20 || header > len(b) {
		return 0, 0, ErrNoHeader
	}
	p.Seq, p.Flags, p.Payload = binary.BigEndian.Uint32(b[4:]), TCPFlags(b[13]), b[header:]
	if p.Flags&SYN != 0 {
		p.Seq++ // SYN takes a number of its own; data in it (Fast Open) follows
	}
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), nil
}

// decodeUDP follows RFC 768.
func decodeUDP(b []byte, p *Packet) (sport, dport uint16, err error) {
	if len(b) < 8 {
		return 0, 0, ErrNoHeader
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case length == 0: // jumbogram, or left to the network card
		length = len(b)
	case length < 8:
		return 0, 0, ErrNoHeader
	case length > len(b) && p.Fragment == Whole:
		p.Cut = true
	}
	p.Payload = b[8:min(length, len(b))]
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), nil
}
