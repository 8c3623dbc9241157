package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

const (
	// connectionBuffer holds the end of some ten thousand connections at once, as a flush of a dead link makes them.
	connectionBuffer = 8 << 20

	connectionTable    = unix.NFNL_SUBSYS_CTNETLINK << 8
	connectionNews     = connectionTable | 0 // IPCTNL_MSG_CT_NEW: also updates and the answers to a dump
	connectionGet      = connectionTable | 1 // IPCTNL_MSG_CT_GET
	connectionDelete   = connectionTable | 2 // IPCTNL_MSG_CT_DELETE
	filteredFlush      = 1                   // nfgenmsg version: heed the filter and the family of a flush
	newConnectionFlags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
)

func markFilter(b []byte, mark, mask flow.Mark) []byte {
	b = appendNet32(b, ctaMark, uint32(mark))
	return appendNet32(b, ctaMarkMask, uint32(mask))
}

// Connections implements hal.Connections. The kernel filters; entries are decoded one by one as they arrive, so that a
// table of any size needs one buffer. An entry may come twice, or not at all, when the table changes meanwhile.
func (m *Machine) Connections(ctx context.Context, mark, mask flow.Mark, f func(hal.Connection)) error {
	s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{buffer: connectionBuffer})
	if err != nil {
		return err
	}
	defer s.close()
	request := netfilterRequest(unix.AF_UNSPEC, nfnetlinkVersion, 0)
	if mask != 0 {
		request = markFilter(request, mark, mask)
	}
	err = s.ask(ctx, connectionGet, unix.NLM_F_DUMP, request, func(a message) {
		// Old kernels dump everything, whatever the filter says.
		if c, ok := decodeConnection(a.payload); ok && (mask == 0 || c.Mark&mask == mark) {
			f(c)
		}
	})
	if errors.Is(err, errChangedMeanwhile) {
		return nil
	}
	return kernelError(err, "list the connections")
}

// FlushConnections implements hal.Connections.
func (m *Machine) FlushConnections(ctx context.Context, mark, mask flow.Mark) error {
	doing := fmt.Sprintf("flush the connections of mark %#x/%#x", uint32(mark), uint32(mask))
	if mask == 0 {
		return fmt.Errorf("%s: a mask of 0 would delete every connection of the machine: %w", doing, hal.ErrRefused)
	}
	s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer s.close()
	request := markFilter(netfilterRequest(unix.AF_UNSPEC, filteredFlush, 0), mark, mask)
	return kernelError(s.ask(ctx, connectionDelete, unix.NLM_F_ACK, request, func(message) {}), "%s", doing)
}

// DeleteConnection implements hal.Connections. The kernel compares the ID, so that a new connection with the same
// addresses and ports is safe. Of ICMP only echo is found: its type is not part of a hal.Connection.
func (m *Machine) DeleteConnection(ctx context.Context, c hal.Connection) error {
	s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{})
	if err != nil {
		return fmt.Errorf("delete connection %s: %w", c.Orig, err)
	}
	defer s.close()
	request := appendTuple(netfilterRequest(familyOf(c), nfnetlinkVersion, 0), ctaTupleOrig, c.Orig)
	if c.ID != 0 {
		request = appendNet32(request, ctaID, c.ID)
	}
	err = s.ask(ctx, connectionDelete, unix.NLM_F_ACK, request, func(message) {})
	return kernelError(err, "delete connection %s", c.Orig)
}

// MarkConnections implements hal.Connections. The kernel sets the bits in one store (ctnetlink_change_mark in
// net/netfilter/nf_conntrack_netlink.c); it compares no ID here, so that a new connection with the same addresses and ports is changed as well.
func (m *Machine) MarkConnections(ctx context.Context, changes []hal.MarkChange) (found int, err error) {
	if len(changes) == 0 {
		return 0, nil
	}
	s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{})
	if err != nil {
		return 0, fmt.Errorf("mark connections: %w", err)
	}
	defer s.close()
	for _, c := range changes {
		doing := fmt.Sprintf("give connection %s the mark %#x/%#x", c.Connection.Orig, uint32(c.Mark), uint32(c.Mask))
		if c.Mask == 0 {
			return found, fmt.Errorf("%s: a mask of 0 changes nothing: %w", doing, hal.ErrRefused)
		}
		request := appendTuple(netfilterRequest(familyOf(c.Connection), nfnetlinkVersion, 0), ctaTupleOrig, c.Connection.Orig)
		// Without NLM_F_CREATE a connection that is gone stays so.
		err := s.ask(ctx, connectionNews, unix.NLM_F_ACK, markFilter(request, c.Mark&c.Mask, c.Mask), func(message) {})
		switch {
		case err == nil:
			found++
		case !errors.Is(err, unix.ENOENT):
			return found, kernelError(err, "%s", doing)
		}
	}
	return found, nil
}

func familyOf(c hal.Connection) byte {
	if hal.FamilyOf(c.Orig.Src.Addr()) == hal.IPv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// appendTuple appends a CTA_TUPLE_ORIG or CTA_TUPLE_REPLY.
func appendTuple(b []byte, kind uint16, k flow.Key) []byte {
	src, dst := k.Src.Addr().Unmap(), k.Dst.Addr().Unmap()
	srcKind, dstKind := uint16(ctaIPv4Src), uint16(ctaIPv4Dst)
	if src.Is6() {
		srcKind, dstKind = ctaIPv6Src, ctaIPv6Dst
	}
	ip := appendAttribute(nil, srcKind, src.AsSlice())
	ip = appendAttribute(ip, dstKind, dst.AsSlice())

	port := func(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }
	proto := appendAttribute(nil, ctaProtoNum, []byte{byte(k.Proto)})
	switch k.Proto {
	case flow.ProtoICMP:
		proto = appendAttribute(proto, ctaICMPID, port(k.Src.Port()))
		proto = appendAttribute(proto, ctaICMPType, []byte{echoRequest})
		proto = appendAttribute(proto, ctaICMPCode, []byte{0})
	case flow.ProtoICMPv6:
		proto = appendAttribute(proto, ctaICMPv6ID, port(k.Src.Port()))
		proto = appendAttribute(proto, ctaICMPv6Type, []byte{echoRequest6})
		proto = appendAttribute(proto, ctaICMPv6Code, []byte{0})
	default:
		proto = appendAttribute(proto, ctaSrcPort, port(k.Src.Port()))
		proto = appendAttribute(proto, ctaDstPort, port(k.Dst.Port()))
	}
	tuple := appendAttribute(nil, ctaTupleIP|unix.NLA_F_NESTED, ip)
	tuple = appendAttribute(tuple, ctaTupleProto|unix.NLA_F_NESTED, proto)
	return appendAttribute(b, kind|unix.NLA_F_NESTED, tuple)
}

// WatchConnections implements hal.Connections. The socket reports overruns (no NETLINK_NO_ENOBUFS): the receiver
// could not know otherwise that its picture is wrong.
func (m *Machine) WatchConnections(ctx context.Context, f func(hal.ConnectionEvent), lost func(), kinds ...hal.ConnectionEventKind) error {
	if len(kinds) == 0 {
		kinds = []hal.ConnectionEventKind{hal.ConnectionNew, hal.ConnectionUpdated, hal.ConnectionDestroyed}
	}
	var groups []uint32
	for _, k := range kinds {
		groups = append(groups, connectionGroup(k))
	}
	return m.keepListening(ctx, "connections", func(opened func()) error {
		s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{buffer: connectionBuffer, groups: groups})
		if err != nil {
			return fmt.Errorf("listen to connections: %w", err)
		}
		defer s.close()
		opened()
		lost()
		return s.listen(ctx, func(a message) {
			if e, ok := connectionEvent(a); ok {
				f(e)
			}
		}, lost)
	})
}

// connectionGroup is the kernel's multicast group of a kind of event.
func connectionGroup(k hal.ConnectionEventKind) uint32 {
	switch k {
	case hal.ConnectionNew:
		return unix.NFNLGRP_CONNTRACK_NEW
	case hal.ConnectionUpdated:
		return unix.NFNLGRP_CONNTRACK_UPDATE
	default:
		return unix.NFNLGRP_CONNTRACK_DESTROY
	}
}

func connectionEvent(a message) (e hal.ConnectionEvent, ok bool) {
	switch {
	case a.kind == connectionDelete:
		e.Kind = hal.ConnectionDestroyed
	case a.kind != connectionNews:
		return e, false
	case a.flags&newConnectionFlags != 0:
		e.Kind = hal.ConnectionNew
	default:
		e.Kind = hal.ConnectionUpdated
	}
	e.Connection, ok = decodeConnection(a.payload)
	return e, ok
}

// addrPort is the zero AddrPort unless the address is valid.
func addrPort(a netip.Addr, port uint16) netip.AddrPort {
	if !a.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}
