package linux

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// datagramSize is above everything that the kernel puts into one netlink datagram: dumps use at most 32 KiB,
	// a packet copy its copy range and some attributes.
	datagramSize = 64 << 10
	// lostEvery is the least time between two calls of lost: a reader that falls behind is not helped by being
	// asked to read everything anew without a pause.
	lostEvery = time.Second
)

// kernelSocket is a netlink socket with one fixed buffer. mdlayher/netlink opens it; reading is done here, because
// the library asks the kernel for the size of each datagram first and allocates for each.
//
// One goroutine at a time uses it. Messages and attributes handed out point into the buffer: valid until the next read.
type kernelSocket struct {
	conn     *netlink.Conn
	raw      syscall.RawConn
	buf      []byte
	sequence uint32 // of the last message that was sent; the answers to it carry it too
}

// kernelSocketOptions say what to listen to. The zero value is a socket for requests.
type kernelSocketOptions struct {
	groups   []uint32             // multicast groups to join
	buffer   int                  // bytes of receive buffer; 0 is the system's default
	filter   []bpf.RawInstruction // runs in the kernel on each datagram
	lossless bool                 // false: the kernel says when it drops (ENOBUFS); true: it drops silently
}

// openKernelSocket opens a socket of a netlink family (unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER) in the network
// namespace of the calling thread.
func openKernelSocket(family int, o kernelSocketOptions) (*kernelSocket, error) {
	conn, err := netlink.Dial(family, nil)
	if err != nil {
		return nil, kernelError(err, "open a netlink socket")
	}
	// Any number to start from: news from the kernel carry the number of the request that caused it, another's too.
	s := &kernelSocket{conn: conn, buf: make([]byte, datagramSize), sequence: rand.Uint32()}
	if err := s.configure(o); err != nil {
		conn.Close()
		return nil, kernelError(err, "set up a netlink socket")
	}
	return s, nil
}

func (s *kernelSocket) configure(o kernelSocketOptions) (err error) {
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		return err
	}
	if len(o.filter) > 0 {
		if err := s.conn.SetBPF(o.filter); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	}
	if o.buffer > 0 {
		if err := s.conn.SetReadBuffer(o.buffer); err != nil {
			return fmt.Errorf("receive buffer of %d bytes: %w", o.buffer, err)
		}
	}
	if o.lossless {
		if err := s.conn.SetOption(netlink.NoENOBUFS, true); err != nil {
			return fmt.Errorf("NETLINK_NO_ENOBUFS: %w", err)
		}
	}
	// Both only make refusals readable; kernels before 4.12 lack them and serve as well.
	_ = s.conn.SetOption(netlink.CapAcknowledge, true)
	_ = s.conn.SetOption(netlink.ExtendedAcknowledge, true)
	for _, g := range o.groups {
		if err := s.conn.JoinGroup(g); err != nil {
			return fmt.Errorf("join multicast group %d: %w", g, err)
		}
	}
	return nil
}

func (s *kernelSocket) close() { _ = s.conn.Close() }

// closeWhen closes the socket when the context ends, which ends a read that waits. Call the result to undo it.
func (s *kernelSocket) closeWhen(ctx context.Context) (undo func() bool) {
	return context.AfterFunc(ctx, s.close)
}

// read waits for one datagram. ENOBUFS means that the kernel dropped some.
func (s *kernelSocket) read() ([]byte, error) { return s.readIf(true) }

// readIf is read; without wait it returns EAGAIN when there is nothing to read.
func (s *kernelSocket) readIf(wait bool) ([]byte, error) {
	var n int
	var err error
	ctl := s.raw.Read(func(fd uintptr) bool {
		for {
			// read(2) and not recvfrom(2): it needs no address to be allocated.
			if n, err = unix.Read(int(fd), s.buf); err != unix.EINTR {
				break
			}
		}
		return !wait || err != unix.EAGAIN
	})
	if ctl != nil {
		return nil, ctl
	}
	if err != nil {
		return nil, err
	}
	return s.buf[:n], nil
}

// listen hands every message to handle until the context ends or the socket fails, and calls lost when the kernel
// dropped messages: after what was still queued has been handled, so that nothing older than the drop follows what the
// caller then reads anew, and at most once in lostEvery.
func (s *kernelSocket) listen(ctx context.Context, handle func(message), lost func()) error {
	defer s.closeWhen(ctx)()
	var due time.Time // when to call lost; zero: nothing was lost
	var last time.Time
	for {
		b, err := s.read()
		switch {
		case err == nil:
			for m := range messages(b) {
				handle(m)
			}
		case errors.Is(err, unix.ENOBUFS):
			// The kernel drops everything from the overrun until the queue has been empty once.
			if err := s.drain(handle); err != nil {
				return ended(ctx, err)
			}
			if due.IsZero() {
				due = last.Add(lostEvery)
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return ended(ctx, err)
		}
		if due.IsZero() {
			continue
		}
		if now := time.Now(); !now.Before(due) {
			due, last = time.Time{}, now
			lost()
		}
		if err := s.conn.SetReadDeadline(due); err != nil {
			return ended(ctx, err)
		}
	}
}

// drain handles what is queued, without waiting. The queue is bounded, and the kernel adds nothing to it until it is empty.
func (s *kernelSocket) drain(handle func(message)) error {
	for {
		b, err := s.readIf(false)
		switch {
		case err == nil:
			for m := range messages(b) {
				handle(m)
			}
		case errors.Is(err, unix.ENOBUFS):
		case errors.Is(err, unix.EAGAIN):
			return nil
		default:
			return err
		}
	}
}

// errChangedMeanwhile: what was dumped changed during the dump, so the dump may have holes (NLM_F_DUMP_INTR).
var errChangedMeanwhile = errors.New("changed while it was read")

// ask sends a request and hands the messages of the answer to f until the kernel says that it is done.
// kind is the message type. flags go on top of NLM_F_REQUEST: NLM_F_DUMP or NLM_F_ACK, or else nothing ends the answer.
func (s *kernelSocket) ask(ctx context.Context, kind, flags uint16, payload []byte, f func(message)) error {
	if err := ctx.Err(); err != nil {
		return err // the socket closes a little later than the context ends: a request could still pass
	}
	defer s.closeWhen(ctx)()
	s.sequence++
	request, at := beginMessage(make([]byte, 0, unix.SizeofNlMsghdr+len(payload)), kind, unix.NLM_F_REQUEST|flags, s.sequence)
	if err := s.send(endMessage(append(request, payload...), at)); err != nil {
		return ended(ctx, err)
	}
	var interrupted bool
	for {
		b, err := s.read()
		if err != nil {
			return ended(ctx, err)
		}
		for m := range messages(b) {
			if m.sequence != s.sequence {
				continue // left over from an earlier request that was given up
			}
			interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
			switch m.kind {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				if err := refusal(m); err != nil {
					return err
				}
				if interrupted {
					return errChangedMeanwhile
				}
				return nil
			case unix.NLMSG_NOOP, unix.NLMSG_OVERRUN:
			default:
				f(m)
			}
		}
	}
}

// dump asks until the answer has no holes; begin starts a collection anew.
func (s *kernelSocket) dump(ctx context.Context, kind uint16, payload []byte, begin func() func(message)) error {
	for attempt := 0; ; attempt++ {
		err := s.ask(ctx, kind, unix.NLM_F_DUMP, payload, begin())
		if !errors.Is(err, errChangedMeanwhile) || attempt >= dumpAttempts {
			return err
		}
	}
}

// send hands one datagram of whole messages to the kernel, which carries out most requests before this returns.
func (s *kernelSocket) send(b []byte) error {
	var err error
	ctl := s.raw.Write(func(fd uintptr) bool {
		for {
			if _, err = unix.Write(int(fd), b); err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if ctl != nil {
		return ctl
	}
	return err
}

// ended prefers the context's error to that of a socket which was closed because the context ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
