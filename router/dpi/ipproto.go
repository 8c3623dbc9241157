package dpi

import "github.com/trenza-router/trenza/router/flow"

// ByIPProtocol names a protocol that is carried by IP itself (IANA, "Protocol Numbers"), or Unknown for TCP, UDP and what has no name here.
func ByIPProtocol(p flow.Proto) Protocol {
	switch p {
	case flow.ProtoICMP:
		return ICMP
	case flow.ProtoICMPv6:
		return ICMPv6
	case flow.ProtoSCTP:
		return SCTP
	case 2:
		return IGMP
	case 47:
		return GRE
	case 50:
		return ESP
	case 51:
		return AH
	case 88:
		return EIGRP
	case 89:
		return OSPF
	case 103:
		return PIM
	case 112:
		return VRRP
	case 115:
		return L2TP
	}
	return Unknown
}
