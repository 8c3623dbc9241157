package ubus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"

	"github.com/trenza-router/trenza/hal"
)

// Socket is where the bus listens on OpenWrt.
const Socket = "/var/run/ubus/ubus.sock"

// Code is how a request ended (ubusmsg.h, enum ubus_msg_status). One that is not zero is an error.
type Code uint32

// Codes that are told apart.
const (
	OK               Code = 0
	InvalidArgument  Code = 2
	MethodNotFound   Code = 3
	NotFound         Code = 4
	NoData           Code = 5
	PermissionDenied Code = 6
)

func (c Code) Error() string {
	words := []string{"fine", "invalid command", "invalid argument", "no such method", "no such object", "no data", "permission denied", "it took too long",
		"not supported", "unknown error", "the connection failed", "out of memory", "the answer was not understood", "system error"}
	if int(c) < len(words) {
		return words[c]
	}
	return fmt.Sprintf("status %d", uint32(c))
}

// Is makes an object that is not there hal.ErrNotFound.
func (c Code) Is(target error) bool {
	return target == hal.ErrNotFound && (c == NotFound || c == MethodNotFound)
}

// Client is a connection to the bus. Its methods may be called by several goroutines.
type Client struct {
	conn net.Conn
	done chan struct{} // closed when the connection is over
	err  error         // why, after done

	out sync.Mutex

	mu      sync.Mutex
	next    uint16
	waiting map[uint16]request
	events  map[uint32]func(string, Table) // by our object
}

// request is what waits for an answer.
type request struct {
	parts chan *Message
	gone  chan struct{} // closed when nobody waits any more
}

// Dial connects to the bus. hal.ErrUnsupported when there is none.
func Dial(ctx context.Context, socket string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no message bus %s", hal.ErrUnsupported, socket)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the message bus: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	hello, err := Read(conn)
	if !stop() {
		err = ctx.Err()
	}
	if err == nil && hello.Type != Hello {
		err = fmt.Errorf("it begins with a message of type %d", hello.Type)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connecting to the message bus: %w", err)
	}
	c := &Client{conn: conn, done: make(chan struct{}), waiting: map[uint16]request{}, events: map[uint32]func(string, Table){}}
	go c.read()
	return c, nil
}

// Close ends the connection and everything that waits on it.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

// Done is closed when the connection has ended, from either side.
func (c *Client) Done() <-chan struct{} { return c.done }

// read hands out what comes until the connection ends.
func (c *Client) read() {
	defer close(c.done)
	for {
		m, err := Read(c.conn)
		if err != nil {
			c.err = fmt.Errorf("the message bus: %w", err)
			c.conn.Close() // what follows a message that is not understood is not understood either
			return
		}
		c.mu.Lock()
		asked, waits := c.waiting[m.Sequence]
		event := c.events[m.Object]
		c.mu.Unlock()
		switch {
		case m.Type == Invoke && event != nil:
			event(m.Method, m.Data)
		case (m.Type == Status || m.Type == Data) && waits:
			select {
			case asked.parts <- m:
			case <-asked.gone:
			}
		}
	}
}

// mostWaiting bounds the requests of a connection that wait at one time.
const mostWaiting = 1000

// ask sends a request and calls each part of its answer.
func (c *Client) ask(ctx context.Context, m Message, part func(*Message)) error {
	r := request{parts: make(chan *Message), gone: make(chan struct{})}
	c.mu.Lock()
	for taken := true; taken; {
		if len(c.waiting) > mostWaiting {
			c.mu.Unlock()
			return fmt.Errorf("the message bus has left %d requests unanswered", mostWaiting)
		}
		c.next++
		_, taken = c.waiting[c.next]
	}
	m.Sequence = c.next
	c.waiting[m.Sequence] = r
	c.mu.Unlock()
	defer func() {
		close(r.gone)
		c.mu.Lock()
		delete(c.waiting, m.Sequence)
		c.mu.Unlock()
	}()
	b, err := m.Append(nil)
	if err != nil {
		return err
	}
	c.out.Lock()
	_, err = c.conn.Write(b)
	c.out.Unlock()
	if err != nil {
		return fmt.Errorf("asking the message bus: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return c.err
		case a := <-r.parts:
			switch {
			case a.Type == Data:
				part(a)
			case a.Status != OK:
				return a.Status
			default:
				return nil
			}
		}
	}
}

// Paths lists the objects whose path matches: a path, or its beginning and an asterisk. None is no error.
func (c *Client) Paths(ctx context.Context, pattern string) (map[string]uint32, error) {
	out := map[string]uint32{}
	err := c.ask(ctx, Message{Type: Lookup, Path: pattern}, func(m *Message) { out[m.Path] = m.Object })
	if errors.Is(err, NotFound) {
		return out, nil
	}
	return out, err
}

// Call calls a method of the object at a path. The answer is put into a value as encoding/json does; into may be nil. An object, or a method of it,
// that is not there is hal.ErrNotFound.
func (c *Client) Call(ctx context.Context, path, method string, args Table, into any) error {
	var object uint32
	if err := c.ask(ctx, Message{Type: Lookup, Path: path}, func(m *Message) { object = m.Object }); err != nil {
		return fmt.Errorf("looking for %s on the message bus: %w", path, err)
	}
	if args == nil {
		args = Table{}
	}
	var answer Table
	if err := c.ask(ctx, Message{Type: Invoke, Peer: object, Object: object, Method: method, Data: args}, func(m *Message) { answer = m.Data }); err != nil {
		return fmt.Errorf("calling %s of %s: %w", method, path, err)
	}
	if into == nil {
		return nil
	}
	b, err := json.Marshal(answer)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("the answer of %s of %s: %w", method, path, err)
	}
	return nil
}

// Listen calls f for each event whose name matches a pattern: a name, or its beginning and an asterisk. It returns when the bus has taken note. f
// runs on the connection's reader: it must not wait for the bus.
func (c *Client) Listen(ctx context.Context, pattern string, f func(name string, data Table)) error {
	var object uint32
	if err := c.ask(ctx, Message{Type: AddObject}, func(m *Message) { object = m.Object }); err != nil {
		return fmt.Errorf("adding an object to the message bus: %w", err)
	}
	c.mu.Lock()
	c.events[object] = f
	c.mu.Unlock()
	err := c.ask(ctx, Message{Type: Invoke, Peer: eventObject, Object: eventObject, Method: "register", Data: Table{"object": object, "pattern": pattern}}, func(*Message) {})
	if err != nil {
		return fmt.Errorf("listening to the events %s: %w", pattern, err)
	}
	return nil
}
