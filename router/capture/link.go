package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// LinkType says what a captured packet starts with (https://www.tcpdump.org/linktypes.html).
type LinkType uint32

// Link types that can be read.
const (
	LinkNull     LinkType = 0 // BSD loopback, address family in the byte order of the machine
	LinkEthernet LinkType = 1
	LinkPPP      LinkType = 9
	LinkRawBSD   LinkType = 12 // raw IP, by the number that BSD and some tools use
	LinkRawOpen  LinkType = 14 // raw IP of OpenBSD
	LinkPPPHDLC  LinkType = 50
	LinkPPPoE    LinkType = 51
	LinkRaw      LinkType = 101
	LinkCHDLC    LinkType = 104 // Cisco
	LinkWiFi     LinkType = 105
	LinkLoop     LinkType = 108 // OpenBSD loopback, address family in network byte order
	LinkSLL      LinkType = 113 // Linux "cooked"
	LinkRadiotap LinkType = 127
	LinkPPI      LinkType = 192
	LinkIPv4     LinkType = 228
	LinkIPv6     LinkType = 229
	LinkSLL2     LinkType = 276
)

// Errors of Network.
var (
	ErrNotIP    = errors.New("no IP packet in the frame")
	ErrLinkType = errors.New("link type that cannot be read")
)

func (l LinkType) String() string {
	switch l {
	case LinkNull, LinkLoop:
		return "loopback"
	case LinkEthernet:
		return "ethernet"
	case LinkPPP, LinkPPPHDLC:
		return "ppp"
	case LinkPPPoE:
		return "pppoe"
	case LinkRawBSD, LinkRawOpen, LinkRaw, LinkIPv4, LinkIPv6:
		return "raw IP"
	case LinkCHDLC:
		return "cisco hdlc"
	case LinkWiFi:
		return "wi-fi"
	case LinkRadiotap, LinkPPI:
		return "wi-fi with radio header"
	case LinkSLL, LinkSLL2:
		return "linux cooked"
	}
	return fmt.Sprintf("link type %d", uint32(l))
}

// EtherTypes (IANA) and PPP protocols (RFC 1661) on the way to an IP packet.
const (
	etherIPv4    = 0x0800
	etherVLAN    = 0x8100
	etherIPv6    = 0x86dd
	etherMPLS    = 0x8847
	etherMPLSUp  = 0x8848
	etherPPPoE   = 0x8864
	etherQinQ    = 0x88a8
	etherQinQOld = 0x9100

	pppIPv4   = 0x0021
	pppIPv6   = 0x0057
	pppMPLS   = 0x0281
	pppMPLSUp = 0x0283
)

// maxLayers bounds the tags and labels in front of an IP packet.
const maxLayers = 16

// Network finds the IP packet in a captured frame, without allocating. The error is ErrNotIP for a frame of something else
// (ARP, spanning tree, an encrypted or broken one), ErrLinkType when frames of that kind cannot be read at all.
func Network(link LinkType, b []byte) ([]byte, error) {
	switch link {
	case LinkEthernet:
		return ethernet(b)
	case LinkRaw, LinkRawBSD, LinkRawOpen, LinkIPv4, LinkIPv6:
		return rawIP(b)
	case LinkNull, LinkLoop:
		return rawIP(after(b, 4)) // the families' numbers differ from system to system; the IP version does not
	case LinkSLL:
		if len(b) < 16 {
			return nil, ErrNotIP
		}
		return byEtherType(binary.BigEndian.Uint16(b[14:]), b[16:])
	case LinkSLL2:
		if len(b) < 20 {
			return nil, ErrNotIP
		}
		return byEtherType(binary.BigEndian.Uint16(b), b[20:])
	case LinkPPP:
		return ppp(b)
	case LinkPPPHDLC:
		if len(b) >= 4 && (b[0] == 0x0f || b[0] == 0x8f) && b[1] == 0 { // Cisco's variant
			return byEtherType(binary.BigEndian.Uint16(b[2:]), b[4:])
		}
		return ppp(b)
	case LinkPPPoE:
		return ppp(after(b, 6))
	case LinkCHDLC:
		if len(b) < 4 {
			return nil, ErrNotIP
		}
		return byEtherType(binary.BigEndian.Uint16(b[2:]), b[4:])
	case LinkWiFi:
		return wifi(b)
	case LinkRadiotap: // version, pad, length of the header
		if len(b) < 4 || b[0] != 0 {
			return nil, ErrNotIP
		}
		return wifi(after(b, int(binary.LittleEndian.Uint16(b[2:]))))
	case LinkPPI: // version, flags, length of the header, link type
		if len(b) < 8 || binary.LittleEndian.Uint32(b[4:]) == uint32(LinkPPI) {
			return nil, ErrNotIP
		}
		return Network(LinkType(binary.LittleEndian.Uint32(b[4:])), after(b, int(binary.LittleEndian.Uint16(b[2:]))))
	}
	return nil, ErrLinkType
}

// after is b without its first n bytes, or nothing.
func after(b []byte, n int) []byte { return b[min(n, len(b)):] }

func rawIP(b []byte) ([]byte, error) {
	if len(b) == 0 || b[0]>>4 != 4 && b[0]>>4 != 6 {
		return nil, ErrNotIP
	}
	return b, nil
}

// ethernet reads an Ethernet II or an IEEE 802.3 frame.
func ethernet(b []byte) ([]byte, error) {
	if len(b) < 14 {
		return nil, ErrNotIP
	}
	return byEtherType(binary.BigEndian.Uint16(b[12:]), b[14:])
}

// byEtherType goes through tags and labels.
func byEtherType(kind uint16, b []byte) ([]byte, error) {
	for range maxLayers {
		switch kind {
		case etherIPv4, etherIPv6:
			return rawIP(b)
		case etherVLAN, etherQinQ, etherQinQOld:
			if len(b) < 4 {
				return nil, ErrNotIP
			}
			kind, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherPPPoE:
			return ppp(after(b, 6))
		case etherMPLS, etherMPLSUp:
			return mpls(b)
		default:
			if kind >= 0x0600 {
				return nil, ErrNotIP
			}
			if kind, b = llc(b); kind == 0 { // it was a length (IEEE 802.3)
				return nil, ErrNotIP
			}
		}
	}
	return nil, ErrNotIP
}

// llc reads a logical link control header (IEEE 802.2) with the SNAP extension (RFC 1042), or the number that IP once had there,
// and returns the EtherType; 0 for anything else.
func llc(b []byte) (kind uint16, rest []byte) {
	switch {
	case len(b) >= 8 && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 && b[3] == 0 && b[4] == 0:
		if kind = binary.BigEndian.Uint16(b[6:]); kind >= 0x0600 {
			return kind, b[8:]
		}
	case len(b) >= 3 && b[0] == 6 && b[1] == 6 && b[2] == 3:
		return etherIPv4, b[3:]
	}
	return 0, nil
}

// mpls goes through the labels (RFC 3032); what follows the last is IP, or Ethernet behind a control word (RFC 4448).
func mpls(b []byte) ([]byte, error) {
	for range maxLayers {
		if len(b) < 5 {
			return nil, ErrNotIP
		}
		bottom := b[2]&1 != 0
		if b = b[4:]; !bottom {
			continue
		}
		if b[0]>>4 == 0 {
			return plainEthernet(after(b, 4))
		}
		return rawIP(b)
	}
	return nil, ErrNotIP
}

// plainEthernet reads a frame inside of another one, with no tunnel inside again.
func plainEthernet(b []byte) ([]byte, error) {
	if len(b) < 14 {
		return nil, ErrNotIP
	}
	kind, b := binary.BigEndian.Uint16(b[12:]), b[14:]
	if kind == etherVLAN && len(b) >= 4 {
		kind, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	if kind != etherIPv4 && kind != etherIPv6 {
		return nil, ErrNotIP
	}
	return rawIP(b)
}

// ppp reads a PPP frame with or without the address and control fields, and with the protocol in one byte or two (RFC 1661 §2,
// RFC 1662 §3.1).
func ppp(b []byte) ([]byte, error) {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	if len(b) < 2 {
		return nil, ErrNotIP
	}
	kind := binary.BigEndian.Uint16(b)
	if b[0]&1 != 0 {
		kind, b = uint16(b[0]), b[1:]
	} else {
		b = b[2:]
	}
	switch kind {
	case pppIPv4, pppIPv6:
		return rawIP(b)
	case pppMPLS, pppMPLSUp:
		return mpls(b)
	}
	return nil, ErrNotIP
}
