package carrier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch    = 16      // messages in a call
	largest  = 1 << 16 // bytes of a message: as many datagrams of one sender as the kernel coalesces
	oobSpace = 128
)

// message is the kernel's struct mmsghdr (recvmmsg(2)).
type message struct {
	header unix.Msghdr
	n      uint32
}

// inbox is the memory of one receiving call.
type inbox struct {
	messages [batch]message
	iovecs   [batch]unix.Iovec
	names    [batch]unix.RawSockaddrInet6 // the larger one
	oob      [batch][oobSpace]byte
	data     []byte
}

func (b *inbox) init() {
	b.data = make([]byte, batch*largest)
	for i := range b.messages {
		b.iovecs[i].Base = &b.data[i*largest]
		b.iovecs[i].SetLen(largest)
		h := &b.messages[i].header
		h.Iov = &b.iovecs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Control = &b.oob[i][0]
	}
}

// Arrived is a datagram that came in. Data is valid during the call that it is handed to, which may change it.
type Arrived struct {
	Data []byte
	From netip.AddrPort
	To   netip.Addr    // our address that it was sent to, to answer from
	At   time.Duration // when the kernel took it from the link, by the clock
}

// Receive takes what has arrived, one call to the kernel, and hands over each datagram. more is true when there may be further ones. An
// error is one of the socket, or of an earlier sending over it.
func (s *Socket) Receive(c Clock, f func(Arrived)) (more bool, err error) {
	b := &s.in
	for i := range b.messages {
		h := &b.messages[i].header
		h.Namelen = uint32(unsafe.Sizeof(b.names[i]))
		h.SetControllen(oobSpace)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&b.messages[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return false, nil
	case errno != 0:
		return false, fmt.Errorf("receiving%s: %w", s.place, errno)
	}
	now := c.moment()
	for i := range int(n) {
		m := &b.messages[i]
		from, err := fromName(&b.names[i])
		if err != nil {
			continue // of a family that was not asked for
		}
		note := readNotes(b.oob[i][:m.header.Controllen])
		a := Arrived{From: from, To: note.to, At: now.at(note.stamp)}
		data := b.data[i*largest:][:m.n]
		size := note.segment
		if size <= 0 {
			size = len(data)
		}
		for len(data) > 0 {
			k := min(size, len(data))
			a.Data = data[:k:k]
			data = data[k:]
			f(a)
		}
	}
	return n == batch, nil
}

var errFamily = errors.New("no Internet address")

func fromName(n *unix.RawSockaddrInet6) (netip.AddrPort, error) {
	switch n.Family {
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(n.Addr).Unmap(), portOf(&n.Port)), nil
	case unix.AF_INET:
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), portOf(&four.Port)), nil
	}
	return netip.AddrPort{}, errFamily
}

// portOf reads or, through the pointer, shows the port in network byte order.
func portOf(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// notes is what the kernel says beside a datagram.
type notes struct {
	stamp   time.Duration // of the day; 0: none
	segment int           // size of coalesced datagrams; 0: one alone
	to      netip.Addr
}

// readNotes reads control messages (cmsg(3)), which the kernel wrote.
func readNotes(b []byte) (n notes) {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(h.Len)
		if size < unix.CmsgLen(0) || size > len(b) {
			return n
		}
		data := b[unix.CmsgLen(0):size]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16:
			n.stamp = time.Duration(binary.NativeEndian.Uint64(data))*time.Second + time.Duration(binary.NativeEndian.Uint64(data[8:]))
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			n.segment = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 16:
			n.to = netip.AddrFrom16([16]byte(data)).Unmap()
		case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			n.to = netip.AddrFrom4([4]byte(data[8:])) // ipi_addr: what the sender wrote
		}
		b = b[min(len(b), unix.CmsgSpace(size-unix.CmsgLen(0))):]
	}
	return n
}
