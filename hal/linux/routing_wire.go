package linux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// The wire forms of rules and routes: rtnetlink(7), linux/fib_rules.h, linux/rtnetlink.h. Both messages open with a header
// of twelve bytes of the same shape: family, destination bits, source bits, tos, table, two bytes that differ, kind, and 32
// bits of flags; attributes follow. Numbers are in host order, addresses in network order.

const (
	headerLength = 12

	actionTable       = 1 // FR_ACT_TO_TBL
	actionUnreachable = 7 // FR_ACT_UNREACHABLE
	ruleFlagsOfKernel = unix.FIB_RULE_PERMANENT | unix.FIB_RULE_UNRESOLVED

	// ipv6DefaultMetric is what the kernel gives an IPv6 route that names no metric (IP6_RT_PRIO_USER).
	ipv6DefaultMetric = 1024
)

// kernelRule is a rule as the kernel lists it. foreign says that it looks at things that a hal.Rule does not express.
type kernelRule struct {
	hal.Rule
	protocol int
	foreign  bool
}

// takenFor tells whether the kernel, asked to delete want, would take k for it (rule_find in net/core/fib_rules.c): what
// a request leaves out matches anything.
func takenFor(k, want kernelRule) bool {
	return (want.protocol == 0 || k.protocol == want.protocol) && k.Unreachable == want.Unreachable &&
		(want.Table == 0 || k.Table == want.Table) && k.Priority == want.Priority &&
		(want.Mark == 0 || k.Mark == want.Mark) && (want.Mask == 0 || k.Mask == want.Mask) &&
		(want.SuppressPrefix < 0 || k.SuppressPrefix == want.SuppressPrefix)
}

// hop is one way of a route, its device still a number.
type hop struct {
	hal.Route
	device int
}

func routeHeader(f hal.Family, dstBits, table, b5, b6, kind int, flags uint32) []byte {
	b := make([]byte, headerLength, 128)
	b[0] = unix.AF_INET
	if f == hal.IPv6 {
		b[0] = unix.AF_INET6
	}
	b[1] = byte(dstBits)
	if table < 256 {
		b[4] = byte(table) // larger numbers stand in the attribute alone
	}
	b[5], b[6], b[7] = byte(b5), byte(b6), byte(kind)
	binary.NativeEndian.PutUint32(b[8:], flags)
	return b
}

func writeRule(r hal.Rule, protocol int) []byte {
	action := actionTable
	if r.Unreachable {
		action = actionUnreachable
	}
	b := routeHeader(r.Family, 0, r.Table, 0, 0, action, 0)
	b = appendUint32(b, unix.FRA_PRIORITY, uint32(r.Priority))
	if r.Mask != 0 {
		b = appendUint32(b, unix.FRA_FWMARK, r.Mark)
		b = appendUint32(b, unix.FRA_FWMASK, r.Mask)
	}
	if r.Table != 0 {
		b = appendUint32(b, unix.FRA_TABLE, uint32(r.Table))
	}
	if r.SuppressPrefix >= 0 {
		b = appendUint32(b, unix.FRA_SUPPRESS_PREFIXLEN, uint32(r.SuppressPrefix))
	}
	if protocol != 0 {
		b = appendAttribute(b, unix.FRA_PROTOCOL, []byte{byte(protocol)})
	}
	return b
}

// readRule reads the payload of an RTM_NEWRULE message. It never panics, whatever the bytes are.
func readRule(b []byte) (kernelRule, error) {
	f, attributes, err := openMessage(b)
	if err != nil {
		return kernelRule{}, fmt.Errorf("rule message: %w", err)
	}
	action := int(b[7])
	r := kernelRule{Rule: hal.Rule{
		Family: f, Table: int(b[4]), SuppressPrefix: -1, Unreachable: action == actionUnreachable,
	}}
	r.foreign = b[1] != 0 || b[2] != 0 || b[3] != 0 || action != actionTable && action != actionUnreachable ||
		binary.NativeEndian.Uint32(b[8:])&^ruleFlagsOfKernel != 0
	for attributes.Next() {
		switch attributes.Type() {
		case unix.FRA_PRIORITY:
			r.Priority = int(attributes.Uint32())
		case unix.FRA_FWMARK:
			r.Mark = attributes.Uint32()
		case unix.FRA_FWMASK:
			r.Mask = attributes.Uint32()
		case unix.FRA_TABLE:
			r.Table = int(attributes.Uint32())
		case unix.FRA_SUPPRESS_PREFIXLEN:
			r.SuppressPrefix = int(int32(attributes.Uint32()))
		case unix.FRA_PROTOCOL:
			r.protocol = int(attributes.Uint8())
		case unix.FRA_SUPPRESS_IFGROUP:
			r.foreign = r.foreign || int32(attributes.Uint32()) >= 0
		case unix.FRA_PAD:
		default:
			r.foreign = true
		}
	}
	if err := attributes.Err(); err != nil {
		return kernelRule{}, fmt.Errorf("rule message: %w", err)
	}
	r.SuppressPrefix = max(r.SuppressPrefix, -1)
	if r.Mark&^r.Mask != 0 {
		r.foreign = true // never matches; not one of ours
	}
	if r.Unreachable {
		r.Table = 0
	}
	return r, nil
}

// encodeRouteFilter is a dump request for one table of one family.
func encodeRouteFilter(f hal.Family, table int) []byte {
	return appendUint32(routeHeader(f, 0, table, 0, 0, 0, 0), unix.RTA_TABLE, uint32(table))
}

func writeRoute(r hal.Route, device int) []byte {
	f := hal.FamilyOf(r.Dst.Addr())
	kind, scope, flags := unix.RTN_UNICAST, unix.RT_SCOPE_UNIVERSE, uint32(0)
	switch {
	case r.Unreachable:
		kind = unix.RTN_UNREACHABLE
	case f == hal.IPv4 && !r.Gateway.IsValid():
		scope = unix.RT_SCOPE_LINK
	}
	if r.OnLink {
		flags |= unix.RTNH_F_ONLINK
	}
	b := routeHeader(f, r.Dst.Bits(), r.Table, r.Protocol, scope, kind, flags)
	b = appendUint32(b, unix.RTA_TABLE, uint32(r.Table))
	if r.Dst.Bits() > 0 {
		b = appendAttribute(b, unix.RTA_DST, r.Dst.Addr().AsSlice())
	}
	if device != 0 {
		b = appendUint32(b, unix.RTA_OIF, uint32(device))
	}
	switch {
	case !r.Gateway.IsValid():
	case hal.FamilyOf(r.Gateway) == f:
		b = appendAttribute(b, unix.RTA_GATEWAY, r.Gateway.AsSlice())
	default: // RFC 8950: an IPv4 route through an IPv6 neighbour
		via := binary.NativeEndian.AppendUint16(nil, unix.AF_INET6)
		b = appendAttribute(b, unix.RTA_VIA, append(via, r.Gateway.AsSlice()...))
	}
	if r.Source.IsValid() {
		b = appendAttribute(b, unix.RTA_PREFSRC, r.Source.AsSlice())
	}
	if metric := r.Metric; metric != 0 {
		b = appendUint32(b, unix.RTA_PRIORITY, uint32(metric))
	} else if f == hal.IPv6 {
		b = appendUint32(b, unix.RTA_PRIORITY, ipv6DefaultMetric)
	}
	if r.MTU != 0 {
		b = appendAttribute(b, unix.RTA_METRICS|unix.NLA_F_NESTED, appendUint32(nil, unix.RTAX_MTU, uint32(r.MTU)))
	}
	return b
}

// readRoute reads the payload of an RTM_NEWROUTE message into one hop for each way it has; none for kinds of
// routes that hal does not list (local, broadcast, multicast, clones made by the cache). It never panics.
func readRoute(b []byte) ([]hop, error) {
	f, attributes, err := openMessage(b)
	if err != nil {
		return nil, fmt.Errorf("route message: %w", err)
	}
	kind, flags := b[7], binary.NativeEndian.Uint32(b[8:])
	if kind != unix.RTN_UNICAST && kind != unix.RTN_UNREACHABLE || flags&unix.RTM_F_CLONED != 0 {
		return nil, nil
	}
	r := hop{Route: hal.Route{
		Table: int(b[4]), Protocol: int(b[5]),
		OnLink: flags&unix.RTNH_F_ONLINK != 0, Unreachable: kind == unix.RTN_UNREACHABLE,
	}}
	dst := netip.IPv4Unspecified()
	if f == hal.IPv6 {
		dst = netip.IPv6Unspecified()
	}
	var hops []hop
	for attributes.Next() {
		switch data := attributes.Bytes(); attributes.Type() {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(data)
		case unix.RTA_TABLE:
			r.Table = int(attributes.Uint32())
		case unix.RTA_PRIORITY:
			r.Metric = int(attributes.Uint32())
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(data)
		case unix.RTA_METRICS:
			attributes.Nested(func(m *netlink.AttributeDecoder) error {
				for m.Next() {
					if m.Type() == unix.RTAX_MTU {
						r.MTU = int(m.Uint32())
					}
				}
				return nil
			})
		case unix.RTA_MULTIPATH:
			if hops, err = readHops(data); err != nil {
				return nil, fmt.Errorf("route message: %w", err)
			}
		default:
			r.nextHop(attributes)
		}
	}
	if err := attributes.Err(); err != nil {
		return nil, fmt.Errorf("route message: %w", err)
	}
	if r.Dst = netip.PrefixFrom(dst, int(b[1])); !r.Dst.IsValid() || hal.FamilyOf(dst) != f {
		return nil, fmt.Errorf("route message: destination %s/%d is not of %s", dst, b[1], f)
	}
	if f == hal.IPv6 && r.Metric == ipv6DefaultMetric {
		r.Metric = 0
	}
	if r.Unreachable {
		r.device = 0 // IPv6 shows the loopback device
	}
	if hops == nil || r.Unreachable { // a route to nowhere has no ways, whatever the message says
		return []hop{r}, nil
	}
	for i, h := range hops {
		hops[i] = r
		hops[i].Gateway, hops[i].device, hops[i].OnLink = h.Gateway, h.device, h.OnLink
	}
	return hops, nil
}

// nextHop takes in the attribute if it is one of those that say where the packets go.
func (h *hop) nextHop(a *netlink.AttributeDecoder) {
	switch a.Type() {
	case unix.RTA_OIF:
		h.device = int(a.Uint32())
	case unix.RTA_GATEWAY:
		h.Gateway, _ = netip.AddrFromSlice(a.Bytes())
	case unix.RTA_VIA:
		if via := a.Bytes(); len(via) > 2 {
			h.Gateway, _ = netip.AddrFromSlice(via[2:])
		}
	}
}

// readHops reads RTA_MULTIPATH: records of length (2 bytes), flags, weight, device (4 bytes) and attributes.
func readHops(b []byte) ([]hop, error) {
	hops := []hop{}
	for len(b) > 0 {
		if len(b) < unix.SizeofRtNexthop {
			return nil, errors.New("next hop cut short")
		}
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > len(b) {
			return nil, fmt.Errorf("next hop of %d bytes in %d", n, len(b))
		}
		h := hop{device: int(binary.NativeEndian.Uint32(b[4:])), Route: hal.Route{OnLink: b[2]&unix.RTNH_F_ONLINK != 0}}
		a, err := netlink.NewAttributeDecoder(b[unix.SizeofRtNexthop:n])
		if err != nil {
			return nil, err
		}
		for a.Next() {
			h.nextHop(a)
		}
		if err := a.Err(); err != nil {
			return nil, err
		}
		hops = append(hops, h)
		b = b[min((n+3)&^3, len(b)):]
	}
	return hops, nil
}

// openMessage checks a message's header and gives its family and attributes.
func openMessage(b []byte) (hal.Family, *netlink.AttributeDecoder, error) {
	if len(b) < headerLength {
		return 0, nil, fmt.Errorf("%d bytes are too few for the header", len(b))
	}
	f := hal.IPv4
	switch b[0] {
	case unix.AF_INET:
	case unix.AF_INET6:
		f = hal.IPv6
	default:
		return 0, nil, fmt.Errorf("address family %d", b[0])
	}
	a, err := netlink.NewAttributeDecoder(b[headerLength:])
	return f, a, err
}
