package linux

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// Attributes of a connection: linux/netfilter/nfnetlink_conntrack.h. All numbers are in network order.
const (
	ctaTupleOrig     = 1
	ctaTupleReply    = 2
	ctaStatus        = 3
	ctaProtoInfo     = 4
	ctaTimeout       = 7 // seconds
	ctaMark          = 8
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaID            = 12
	ctaTimestamp     = 20
	ctaMarkMask      = 21

	// in a tuple
	ctaTupleIP    = 1
	ctaTupleProto = 2

	// in CTA_TUPLE_IP
	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	// in CTA_TUPLE_PROTO
	ctaProtoNum   = 1
	ctaSrcPort    = 2
	ctaDstPort    = 3
	ctaICMPID     = 4
	ctaICMPType   = 5
	ctaICMPCode   = 6
	ctaICMPv6ID   = 7
	ctaICMPv6Type = 8
	ctaICMPv6Code = 9

	ctaProtoInfoTCP      = 1 // in CTA_PROTOINFO
	ctaProtoInfoTCPState = 1 // in CTA_PROTOINFO_TCP
	ctaCountersPackets   = 1 // in CTA_COUNTERS_*
	ctaCountersBytes     = 2
	ctaTimestampStart    = 1 // in CTA_TIMESTAMP: nanoseconds since 1970

	// CTA_STATUS: linux/netfilter/nf_conntrack_common.h
	statusSeenReply = 1 << 1
	statusAssured   = 1 << 2
)

// tcpStates are the kernel's names, by number (linux/netfilter/nf_conntrack_tcp.h), as conntrack(8) prints them.
// A function, since Go has no constant arrays.
func tcpState(n byte) string {
	switch n {
	case 0:
		return "NONE"
	case 1:
		return "SYN_SENT"
	case 2:
		return "SYN_RECV"
	case 3:
		return "ESTABLISHED"
	case 4:
		return "FIN_WAIT"
	case 5:
		return "CLOSE_WAIT"
	case 6:
		return "LAST_ACK"
	case 7:
		return "TIME_WAIT"
	case 8:
		return "CLOSE"
	case 9:
		return "SYN_SENT2"
	}
	return ""
}

// decodeConnection reads the payload of a message about a connection: an entry of a dump, or an event. What an
// event leaves out is zero: NEW and UPDATE have no counters. It never panics; false means that there is no whole
// pair of tuples in it.
func decodeConnection(b []byte) (c hal.Connection, ok bool) {
	if len(b) < sizeofGenMsg {
		return c, false
	}
	for kind, data := range attributes(b[sizeofGenMsg:]) {
		switch kind {
		case ctaTupleOrig:
			c.Orig = decodeTuple(data)
		case ctaTupleReply:
			c.Reply = decodeTuple(data)
		case ctaStatus:
			status := net32(data)
			c.Seen, c.Assured = status&statusSeenReply != 0, status&statusAssured != 0
		case ctaProtoInfo:
			for kind, data := range attributes(data) {
				if kind == ctaProtoInfoTCP {
					c.TCPState = decodeTCPState(data)
				}
			}
		case ctaTimeout:
			c.Timeout = time.Duration(net32(data)) * time.Second
		case ctaMark:
			c.Mark = flow.Mark(net32(data))
		case ctaCountersOrig:
			c.OrigPackets, c.OrigBytes = decodeCounters(data)
		case ctaCountersReply:
			c.ReplyPackets, c.ReplyBytes = decodeCounters(data)
		case ctaID:
			c.ID = net32(data)
		case ctaTimestamp:
			for kind, data := range attributes(data) {
				if start := net64(data); kind == ctaTimestampStart && start != 0 {
					c.Start = time.Unix(0, int64(start))
				}
			}
		}
	}
	return c, c.Orig.Src.IsValid() && c.Orig.Dst.IsValid() && c.Reply.Src.IsValid() && c.Reply.Dst.IsValid()
}

func decodeTuple(b []byte) (k flow.Key) {
	var src, dst netip.Addr
	var srcPort, dstPort uint16
	for kind, data := range attributes(b) {
		switch kind {
		case ctaTupleIP:
			for kind, data := range attributes(data) {
				switch kind {
				case ctaIPv4Src, ctaIPv6Src:
					src, _ = netip.AddrFromSlice(data)
				case ctaIPv4Dst, ctaIPv6Dst:
					dst, _ = netip.AddrFromSlice(data)
				}
			}
		case ctaTupleProto:
			for kind, data := range attributes(data) {
				switch kind {
				case ctaProtoNum:
					if len(data) > 0 {
						k.Proto = flow.Proto(data[0])
					}
				case ctaSrcPort:
					srcPort = net16(data)
				case ctaDstPort:
					dstPort = net16(data)
				case ctaICMPID, ctaICMPv6ID:
					srcPort, dstPort = net16(data), net16(data)
				}
			}
		}
	}
	k.Src, k.Dst = addrPort(src, srcPort), addrPort(dst, dstPort)
	return k
}

func decodeTCPState(b []byte) string {
	for kind, data := range attributes(b) {
		if kind == ctaProtoInfoTCPState && len(data) > 0 {
			return tcpState(data[0])
		}
	}
	return ""
}

func decodeCounters(b []byte) (packets, bytes uint64) {
	for kind, data := range attributes(b) {
		switch kind {
		case ctaCountersPackets:
			packets = net64(data)
		case ctaCountersBytes:
			bytes = net64(data)
		}
	}
	return packets, bytes
}
