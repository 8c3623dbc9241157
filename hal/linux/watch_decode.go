package linux

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// The decoders below read messages of rtnetlink(7), laid out in linux/if_link.h, if_addr.h, neighbour.h and
// rtnetlink.h. Each returns false for a message that is cut short or that is not about what its name says.

// decodeLink reads an RTM_NEWLINK or RTM_DELLINK. The interface has no addresses.
func decodeLink(b []byte) (i hal.Interface, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return i, false // AF_BRIDGE: about a port of a bridge, and "deleted" there means that it left the bridge
	}
	i.Index = int(int32(host32(b[4:])))
	i.Up = host32(b[8:])&unix.IFF_UP != 0
	i.Kind = "device"
	var hasMTU bool
	for kind, data := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			i.Name = text(data)
		case unix.IFLA_ADDRESS:
			if len(data) == len(i.MAC) {
				i.MAC = flow.MAC(data)
			}
		case unix.IFLA_MTU:
			i.MTU, hasMTU = int(host32(data)), true
		case unix.IFLA_CARRIER:
			i.Carrier = len(data) > 0 && data[0] != 0
		case unix.IFLA_LINKINFO:
			for kind, data := range attributes(data) {
				if kind == unix.IFLA_INFO_KIND {
					i.Kind = text(data)
				}
			}
		}
	}
	// What the driver says of the cable of a device that is switched off is nothing to rely on.
	i.Carrier = i.Carrier && i.Up
	// Wireless drivers announce scans and associations in the guise of RTM_NEWLINK, with the name and little else.
	return i, i.Name != "" && hasMTU
}

// decodeCounts reads the counts of an RTM_NEWLINK: struct rtnl_link_stats64 begins with packets received and sent, and bytes
// received and sent.
func decodeCounts(b []byte) (c deviceCount, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return deviceCount{}, false
	}
	for kind, data := range attributes(b[unix.SizeofIfInfomsg:]) {
		if kind == unix.IFLA_STATS64 && len(data) >= 32 {
			n := binary.NativeEndian
			return deviceCount{packets: n.Uint64(data), received: n.Uint64(data[16:]), sent: n.Uint64(data[24:])}, true
		}
	}
	return deviceCount{}, false
}

// decodeAddress reads an RTM_NEWADDR or RTM_DELADDR. usable is false while IPv6 still asks the network whether
// the address is free, and when it is not free.
func decodeAddress(b []byte) (index int, p netip.Prefix, usable, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return 0, p, false, false
	}
	bits, flags := int(b[1]), uint32(b[2])
	index = int(host32(b[4:]))
	var addr, local netip.Addr
	for kind, data := range attributes(b[unix.SizeofIfAddrmsg:]) {
		switch kind {
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(data)
		case unix.IFA_LOCAL: // on a point-to-point device IFA_ADDRESS is the peer's
			local, _ = netip.AddrFromSlice(data)
		case unix.IFA_FLAGS:
			flags = host32(data)
		}
	}
	if local.IsValid() {
		addr = local
	}
	p = netip.PrefixFrom(addr, bits)
	usable = flags&unix.IFA_F_DADFAILED == 0 && (flags&unix.IFA_F_TENTATIVE == 0 || flags&unix.IFA_F_OPTIMISTIC != 0)
	return index, p, usable, p.IsValid()
}

// decodeNeighbour reads an RTM_NEWNEIGH or RTM_DELNEIGH of IPv4 or IPv6; the interface's name is the caller's to add.
func decodeNeighbour(b []byte) (index int, n hal.Neighbour, ok bool) {
	if len(b) < unix.SizeofNdMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return 0, n, false
	}
	index = int(int32(host32(b[4:])))
	switch state := binary.NativeEndian.Uint16(b[8:]); {
	case state&(unix.NUD_REACHABLE|unix.NUD_PERMANENT|unix.NUD_NOARP) != 0:
		n.State = hal.NeighbourReachable
	case state&(unix.NUD_STALE|unix.NUD_DELAY|unix.NUD_PROBE) != 0:
		n.State = hal.NeighbourStale
	}
	for kind, data := range attributes(b[unix.SizeofNdMsg:]) {
		switch kind {
		case unix.NDA_DST:
			n.Addr, _ = netip.AddrFromSlice(data)
		case unix.NDA_LLADDR:
			if len(data) == len(n.MAC) {
				n.MAC = flow.MAC(data)
			}
		}
	}
	// The kernel keeps entries for multicast and broadcast, which are nobody.
	a := n.Addr
	return index, n, a.IsValid() && !a.IsMulticast() && !a.IsUnspecified() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// decodeRouteTable reads the table of an RTM_NEWROUTE or RTM_DELROUTE.
func decodeRouteTable(b []byte) (table int, ok bool) {
	if len(b) < unix.SizeofRtMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 ||
		host32(b[8:])&unix.RTM_F_CLONED != 0 { // cloned: a cache entry, for instance of a path MTU
		return 0, false
	}
	table = int(b[4])
	for kind, data := range attributes(b[unix.SizeofRtMsg:]) {
		if kind == unix.RTA_TABLE {
			table = int(host32(data))
		}
	}
	return table, true
}

// decodeGeneration reads the process from an NFT_MSG_NEWGEN (linux/netfilter/nf_tables.h). The number is that of
// the thread that committed the transaction, as the first pid namespace counts; 0 when the kernel did not say.
func decodeGeneration(b []byte) (thread int) {
	if len(b) < sizeofGenMsg {
		return 0
	}
	for kind, data := range attributes(b[sizeofGenMsg:]) {
		if kind == unix.NFTA_GEN_PROC_PID {
			thread = int(int32(net32(data)))
		}
	}
	return thread
}
