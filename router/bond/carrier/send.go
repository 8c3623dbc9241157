package carrier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// Datagram is the size in bytes of the largest datagram that is sent.
	Datagram = 2048

	outMessages = 64
	outBytes    = 512 << 10
	// What one call may hand over for the kernel to cut into datagrams: UDP_MAX_SEGMENTS of the older kernels, and IPv4's longest packet.
	mostSegments = 64
	mostBytes    = 65000
)

// outbox collects datagrams for one sending call. Those of one size to one place that follow each other become one message.
type outbox struct {
	six      bool
	segments bool // the kernel cuts
	lost     uint64
	data     []byte
	queue    []outgoing
	messages [outMessages]message
	iovecs   [outMessages]unix.Iovec
	names    [outMessages]unix.RawSockaddrInet6
	oob      [outMessages][oobSpace]byte
}

// outgoing is a message: datagrams of one size but for the last, which may be shorter.
type outgoing struct {
	start, bytes  int
	segment, last int // bytes of the first and of the last datagram
	count         int
	to            netip.AddrPort
	from          netip.Addr
}

func (o *outbox) init(six bool) {
	o.six = six
	o.data = make([]byte, 0, outBytes)
	o.queue = make([]outgoing, 0, outMessages)
}

// Room is memory for the next datagram, to append to it up to Datagram bytes; Queue takes it over.
func (s *Socket) Room() []byte {
	end := len(s.out.data)
	return s.out.data[end : end : end+Datagram]
}

// Queue takes a datagram that was written to Room. from is our address to send it from; the zero value: the kernel's choice. It leaves at
// the next Flush; Full tells when that is due.
func (s *Socket) Queue(datagram []byte, to netip.AddrPort, from netip.Addr) {
	o := &s.out
	start := len(o.data)
	o.data = o.data[:start+len(datagram)]
	if n := len(o.queue); n > 0 && o.segments {
		l := &o.queue[n-1]
		if l.to == to && l.from == from && l.last == l.segment && len(datagram) <= l.segment && l.count < mostSegments && l.bytes+len(datagram) <= mostBytes {
			l.bytes += len(datagram)
			l.last = len(datagram)
			l.count++
			return
		}
	}
	o.queue = append(o.queue, outgoing{start, len(datagram), len(datagram), len(datagram), 1, to, from})
}

// Full tells that Flush comes before the next Room.
func (s *Socket) Full() bool {
	return len(s.out.queue) == outMessages || len(s.out.data)+Datagram > outBytes
}

// Flush sends what was queued. What the kernel refuses is lost, as on the wire, and the error says why; the rest is sent.
func (s *Socket) Flush() (err error) {
	o := &s.out
	if len(o.queue) == 0 {
		return nil
	}
	for i := range o.queue {
		o.build(i)
	}
	for done := 0; done < len(o.queue); {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&o.messages[done])), uintptr(len(o.queue)-done), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EIO && o.queue[done].count > 1 && o.segments:
			// The device cannot check-sum what the kernel would cut: datagrams go one by one from now on.
			o.segments = false
			return errors.Join(err, s.singly(done))
		case errno == unix.EAGAIN, errno == unix.ENOBUFS, errno == unix.ENOMEM, errno == unix.EMSGSIZE:
			o.lost++ // the machine's own queue is full, or the datagram too long: the path lives
			done++
		case errno != 0:
			err = fmt.Errorf("sending%s to %v: %w", s.place, o.queue[done].to, errno)
			done++ // sendmmsg says so for the first one that it tries
		default:
			done += int(n)
		}
	}
	o.data, o.queue = o.data[:0], o.queue[:0]
	return err
}

// singly sends the messages from the given one on as single datagrams.
func (s *Socket) singly(from int) (err error) {
	rest := append([]outgoing(nil), s.out.queue[from:]...)
	s.out.queue = s.out.queue[:0]
	for _, m := range rest {
		for at := 0; at < m.bytes; at += m.segment {
			size := min(m.segment, m.bytes-at)
			s.out.queue = append(s.out.queue, outgoing{m.start + at, size, size, size, 1, m.to, m.from})
			if len(s.out.queue) == outMessages {
				err = errors.Join(err, s.flushKept())
			}
		}
	}
	return errors.Join(err, s.Flush())
}

// flushKept sends the queue and keeps the memory of what is not in it yet.
func (s *Socket) flushKept() error {
	kept := s.out.data
	err := s.Flush()
	s.out.data = kept
	return err
}

// build writes message i for the kernel.
func (o *outbox) build(i int) {
	q := &o.queue[i]
	o.iovecs[i].Base = &o.data[q.start]
	o.iovecs[i].SetLen(q.bytes)
	h := &o.messages[i].header
	h.Iov = &o.iovecs[i]
	h.SetIovlen(1)
	n := &o.names[i]
	h.Name = (*byte)(unsafe.Pointer(n))
	if o.six {
		*n = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: q.to.Addr().As16()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], q.to.Port())
		h.Namelen = unix.SizeofSockaddrInet6
	} else {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		*four = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: q.to.Addr().Unmap().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&four.Port))[:], q.to.Port())
		h.Namelen = unix.SizeofSockaddrInet4
	}
	b := o.oob[i][:0]
	if q.count > 1 {
		b = appendNote(b, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(q.segment))
	}
	if q.from.IsValid() {
		at := len(b) + unix.CmsgLen(0)
		if o.six {
			b = appendNote(b, unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
			addr := q.from.As16()
			copy(b[at:], addr[:])
		} else {
			b = appendNote(b, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
			addr := q.from.Unmap().As4()
			copy(b[at+4:], addr[:]) // ipi_spec_dst: what to send from
		}
	}
	h.Control = &o.oob[i][0]
	h.SetControllen(len(b))
}

// appendNote appends a control message with room for its data, zeroed.
func appendNote(b []byte, level, kind int32, size int) []byte {
	start := len(b)
	b = b[:start+unix.CmsgSpace(size)]
	clear(b[start:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[start]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
	return b
}
