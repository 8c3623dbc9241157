package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// maxWaiting bounds the questions under way on one connection, those that nobody waits for any more included.
const maxWaiting = 4096

// A question is told apart from the others on its connection by its id.
var (
	errFull   = errors.New("too many questions wait on one connection")
	errSilent = errors.New("the connection fell silent")
	errIdle   = errors.New("the connection was closed after it had long been idle")
)

// tlsPeer asks a DNS-over-TLS server: many questions on one connection at a time, answered in any order (RFC 7858 §3.3).
type tlsPeer struct {
	client *Client
	way    way

	mu      sync.Mutex
	current *stream
}

func (p *tlsPeer) exchange(ctx context.Context, question []byte) ([]byte, error) {
	for {
		s, reused, err := p.stream()
		if err != nil {
			return nil, err
		}
		answer, err := s.exchange(ctx, question)
		// A server may close a connection just when we use it again (RFC 7766 §6.2.4): that says nothing about the server.
		if err == nil || !reused || ctx.Err() != nil {
			return answer, err
		}
	}
}

// stream is the connection to ask on; reused: others have opened it already.
func (p *tlsPeer) stream() (s *stream, reused bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s = p.current; s != nil && !s.over() {
		return s, s.opened(), nil
	}
	s = &stream{ready: make(chan struct{}), ended: make(chan struct{}), waiting: map[uint16]chan []byte{}}
	open := func() {
		conn, err := p.client.dial(p.client.base, p.way, "dot")
		if err != nil {
			s.end(err)
			return
		}
		s.read(conn)
	}
	if !p.client.run(open) {
		return nil, false, errClosed
	}
	p.current = s
	return s, false, nil
}

func (p *tlsPeer) close() {
	p.mu.Lock()
	s := p.current
	p.current = nil
	p.mu.Unlock()
	if s != nil {
		s.end(errClosed)
	}
}

// stream is one connection, from the attempt to open it on.
type stream struct {
	ready chan struct{} // closed when open
	ended chan struct{} // closed when it is over

	sending sync.Mutex // held while a message is written

	mu      sync.Mutex
	conn    net.Conn               // nil before ready
	waiting map[uint16]chan []byte // by id; a nil channel is a question that nobody waits for any more
	last    uint16                 // the id given last
	heard   time.Time
	err     error // why it is over
}

func (s *stream) opened() bool { return isClosed(s.ready) }
func (s *stream) over() bool   { return isClosed(s.ended) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// end closes the connection; the first reason counts.
func (s *stream) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = why
	if s.conn != nil {
		s.conn.Close()
	}
	close(s.ended)
}

// open takes the connection over; false: the stream is over already.
func (s *stream) open(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		conn.Close()
		return false
	}
	s.conn, s.heard = conn, time.Now()
	close(s.ready)
	return true
}

// read hands the answers out until the connection ends.
func (s *stream) read(conn net.Conn) {
	if !s.open(conn) {
		return
	}
	for {
		// Fails only for a connection that is closed, which the read then tells.
		_ = conn.SetReadDeadline(time.Now().Add(idleTime))
		raw, err := readMessage(conn)
		if err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				err = errIdle
			}
			s.end(err)
			return
		}
		s.hand(raw)
	}
}

// headerSize is the length of a message's header, which begins with the id (RFC 1035 §4.1.1).
const headerSize = 12

// readMessage reads one message with its length before it (RFC 1035 §4.2.2).
func readMessage(from io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n < headerSize {
		return nil, fmt.Errorf("the server sent a message of %d bytes", n)
	}
	raw := make([]byte, n)
	_, err := io.ReadFull(from, raw)
	return raw, err
}

// hand gives an answer to who waits for it; one that nobody asked for is dropped.
func (s *stream) hand(raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now()
	id := binary.BigEndian.Uint16(raw)
	if to := s.waiting[id]; to != nil {
		to <- raw // has room for the one answer
	}
	delete(s.waiting, id)
}

// expect finds a free id.
func (s *stream) expect() (uint16, <-chan []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= maxWaiting {
		return 0, nil, errFull
	}
	for {
		s.last++
		if _, taken := s.waiting[s.last]; !taken {
			answer := make(chan []byte, 1)
			s.waiting[s.last] = answer
			return s.last, answer, nil
		}
	}
}

// abandon keeps an id from being given again while its answer may still come. It tells whether anything was heard since.
func (s *stream) abandon(id uint16, since time.Time) (heard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.waiting[id]; there {
		s.waiting[id] = nil
	}
	return s.heard.After(since)
}

func (s *stream) exchange(ctx context.Context, question []byte) ([]byte, error) {
	select {
	case <-s.ready:
	case <-s.ended:
		return nil, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	id, answer, err := s.expect()
	if err != nil {
		s.end(err)
		return nil, err
	}
	asked := time.Now()
	if err := s.send(id, question); err != nil {
		s.end(err)
		return nil, err
	}
	select {
	case raw := <-answer:
		return raw, nil
	case <-s.ended:
		select {
		case raw := <-answer: // both at once
			return raw, nil
		default:
			return nil, s.err
		}
	case <-ctx.Done():
		if !s.abandon(id, asked) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.end(errSilent)
		}
		return nil, ctx.Err()
	}
}

// send writes a question with its length before it, in one piece (RFC 7766 §8).
func (s *stream) send(id uint16, question []byte) error {
	message := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(question)), uint16(len(question)))
	message = append(message, question...)
	binary.BigEndian.PutUint16(message[2:], id)
	s.sending.Lock()
	defer s.sending.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := s.conn.Write(message)
	return err
}
