package https

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/bond/capsule"
	"github.com/trenza-router/trenza/router/bond/carrier"
)

const (
	// queueLife is how long a datagram may wait here for the connection, which sends again what was lost and so may stand still for a round trip
	// or two. The bond sends again what was dropped, over whichever path is the earliest.
	queueLife = 150 * time.Millisecond
	// queueMost bounds the memory of a stream, in datagrams.
	queueMost = 4096
	// record is about how much goes into one TLS record: a reader needs all of it before it sees a byte.
	record = 4 << 10
	// batchMost is how many datagrams are queued between two calls of Flush.
	batchMost = 256
)

// Stream carries datagrams over one connection to one other end. Receive, Queue, Flush and Close belong to the goroutine that polls.
type Stream struct {
	conn   net.Conn
	from   io.Reader // of conn, with what was read already
	kind   string
	remote netip.AddrPort
	local  netip.Addr
	bell   *carrier.Bell
	room   []byte
	batch  []waiting

	mu      sync.Mutex
	out     []waiting
	in      []carrier.Arrived // At is set by Receive
	came    []time.Time
	free    [][]byte
	dropped uint64
	err     error         // why the stream ended
	work    chan struct{} // capacity 1: out has something, or the stream ended
}

// waiting is a capsule on its way to the connection.
type waiting struct {
	capsule []byte
	since   time.Time
}

// newStream begins to carry datagrams over a connection. from is conn with what was read of it already; port is the server's.
func newStream(conn net.Conn, from io.Reader, port uint16) (*Stream, error) {
	bell, err := carrier.NewBell()
	if err != nil {
		return nil, err
	}
	s := &Stream{
		conn: conn, from: from, kind: fmt.Sprintf("tcp%d", port), remote: addrOf(conn.RemoteAddr()), local: addrOf(conn.LocalAddr()).Addr(),
		bell: bell, room: make([]byte, 0, carrier.Datagram), work: make(chan struct{}, 1),
	}
	go s.write()
	go s.read()
	return s, nil
}

func addrOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}

// Kind implements carrier.Datagrams.
func (s *Stream) Kind() string { return s.kind }

// Remote is the address of the other end.
func (s *Stream) Remote() netip.AddrPort { return s.remote }

// FD implements carrier.Datagrams.
func (s *Stream) FD() int { return s.bell.FD() }

// Room implements carrier.Datagrams.
func (s *Stream) Room() []byte { return s.room[:0] }

// Queue implements carrier.Datagrams; a stream leads to one place only.
func (s *Stream) Queue(datagram []byte, _ netip.AddrPort, _ netip.Addr) {
	s.batch = append(s.batch, waiting{capsule: capsule.AppendDatagram(s.memory(), datagram)})
}

// memory is an empty buffer.
func (s *Stream) memory() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		b := s.free[n-1]
		s.free = s.free[:n-1]
		return b[:0]
	}
	return make([]byte, 0, carrier.Datagram+16)
}

// Full implements carrier.Datagrams.
func (s *Stream) Full() bool { return len(s.batch) >= batchMost }

// Flush implements carrier.Datagrams: it hands over to the connection and does not wait for it.
func (s *Stream) Flush() error {
	if len(s.batch) == 0 {
		return nil
	}
	now := time.Now()
	for i := range s.batch {
		s.batch[i].since = now
	}
	s.mu.Lock()
	s.out = append(s.out, s.batch...)
	s.discard(now)
	err := s.err
	s.mu.Unlock()
	s.batch = s.batch[:0]
	s.wake()
	return err
}

// discard drops what has waited for too long, the oldest first. The lock is held.
func (s *Stream) discard(now time.Time) {
	n := 0
	for n < len(s.out) && (now.Sub(s.out[n].since) > queueLife || len(s.out)-n > queueMost) {
		s.recycle(s.out[n].capsule)
		n++
	}
	s.dropped += uint64(n)
	s.out = append(s.out[:0], s.out[n:]...)
}

// recycle keeps a buffer for later. The lock is held.
func (s *Stream) recycle(b []byte) {
	if len(s.free) < batchMost {
		s.free = append(s.free, b)
	}
}

// Dropped is how many datagrams had waited for too long.
func (s *Stream) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

func (s *Stream) wake() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// write sends what was queued, until the stream ends.
func (s *Stream) write() {
	var buffer []byte
	for range s.work {
		for {
			var ended bool
			if buffer, ended = s.take(buffer[:0]); ended {
				return
			}
			if len(buffer) == 0 {
				break
			}
			if _, err := s.conn.Write(buffer); err != nil {
				s.end(fmt.Errorf("sending to %v over TLS: %w", s.remote, err))
				return
			}
		}
	}
}

// take appends what goes into the next record.
func (s *Stream) take(b []byte) (_ []byte, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return b, true
	}
	s.discard(time.Now())
	n := 0
	for n < len(s.out) && (n == 0 || len(b)+len(s.out[n].capsule) <= record) {
		b = append(b, s.out[n].capsule...)
		s.recycle(s.out[n].capsule)
		n++
	}
	s.out = append(s.out[:0], s.out[n:]...)
	return b, false
}

// read takes what arrives, until the stream ends.
func (s *Stream) read() {
	r := capsule.NewReader(carrier.Datagram)
	b := make([]byte, 1<<16)
	for {
		n, err := s.from.Read(b)
		if n > 0 {
			if e := s.arrived(r, b[:n]); e != nil {
				err = e
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the other end has closed the connection")
			}
			s.end(fmt.Errorf("receiving from %v over TLS: %w", s.remote, err))
			return
		}
	}
}

// arrived keeps datagrams for Receive. What nobody fetches is lost, as in a socket's buffer.
func (s *Stream) arrived(r *capsule.Reader, b []byte) error {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := r.Feed(b, func(d []byte) {
		if len(s.in) >= queueMost {
			return
		}
		var memory []byte
		if n := len(s.free); n > 0 {
			memory, s.free = s.free[n-1][:0], s.free[:n-1]
		} else {
			memory = make([]byte, 0, carrier.Datagram+16)
		}
		s.in = append(s.in, carrier.Arrived{Data: append(memory, d...), From: s.remote, To: s.local})
		s.came = append(s.came, now)
	})
	if len(s.in) > 0 {
		s.bell.Ring()
	}
	return err
}

// end says why the stream is over, once, and lets everyone know.
func (s *Stream) end(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.wake()
	s.bell.Ring()
}

// Receive implements carrier.Datagrams. An error says that the stream has ended, and why.
func (s *Stream) Receive(c carrier.Clock, f func(carrier.Arrived)) (more bool, err error) {
	s.bell.Hush() // before the look: what comes after it rings again
	s.mu.Lock()
	in, came := s.in, s.came
	s.in, s.came, err = nil, nil, s.err
	s.mu.Unlock()
	wall, now := time.Now(), c.Now()
	for i, a := range in {
		a.At = now - wall.Sub(came[i])
		f(a)
	}
	s.mu.Lock()
	for _, a := range in {
		s.recycle(a.Data)
	}
	s.mu.Unlock()
	return false, err
}

// Close ends the stream at once, and says nothing to the other end that could wait.
func (s *Stream) Close() error {
	s.end(net.ErrClosed)
	s.bell.Close()
	if t, ok := s.conn.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn().Close()
	}
	return s.conn.Close()
}
