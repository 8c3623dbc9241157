package census

import "github.com/trenza-router/trenza/router/flow"

// L4 is what stands above IP: "tcp", "udp", "icmp", "icmpv6", "sctp", another protocol by the keyword of IANA's registry where it is a usual one,
// else its number.
func (f *Flow) L4() string {
	switch f.Key.Proto {
	case 0:
		return "hopopt"
	case 2:
		return "igmp"
	case ipInIP:
		return "ipip"
	case ipv6InIP:
		return "ipv6"
	case 46:
		return "rsvp"
	case 47:
		return "gre"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case 59:
		return "ipv6-nonxt"
	case 88:
		return "eigrp"
	case 89:
		return "ospf"
	case 103:
		return "pim"
	case 112:
		return "vrrp"
	case 115:
		return "l2tp"
	case 136:
		return "udplite"
	case flow.ProtoICMP, flow.ProtoTCP, flow.ProtoUDP, flow.ProtoICMPv6, flow.ProtoSCTP:
	}
	return f.Key.Proto.String()
}
