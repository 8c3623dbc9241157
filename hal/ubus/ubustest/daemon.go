// Package ubustest plays OpenWrt's message bus for tests: a real socket, the real form of messages, objects that tests make.
//
// Locks: Daemon.mu guards clients and objects; methods are called without it.
package ubustest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/trenza-router/trenza/hal/ubus"
)

// Method answers a call. Tables that are not nil are sent before the code.
type Method func(args ubus.Table) (ubus.Table, ubus.Code)

// Daemon is the bus with its objects.
type Daemon struct {
	t      testing.TB
	Socket string

	mu       sync.Mutex
	listener net.Listener
	clients  map[*client]bool
	objects  map[string]map[string]Method
	numbers  map[string]uint32 // of objects
	last     uint32            // number that was given out
	wg       sync.WaitGroup
}

type client struct {
	conn net.Conn
	out  sync.Mutex

	patterns map[uint32][]string // by the client's object; Daemon.mu guards it
}

// Start starts a bus that ends with the test.
func Start(t testing.TB) *Daemon {
	t.Helper()
	// Not TempDir, whose paths may be too long for a socket's.
	dir, err := os.MkdirTemp("", "ubus")
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{t: t, Socket: filepath.Join(dir, "s"), clients: map[*client]bool{}, objects: map[string]map[string]Method{}, numbers: map[string]uint32{}, last: 1024}
	d.Up()
	t.Cleanup(func() {
		d.Down()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Up lets clients connect.
func (d *Daemon) Up() {
	d.t.Helper()
	l, err := net.Listen("unix", d.Socket)
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	d.listener = l
	d.mu.Unlock()
	d.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it is down
			}
			c := &client{conn: conn, patterns: map[uint32][]string{}}
			d.mu.Lock()
			d.clients[c] = true
			d.mu.Unlock()
			d.wg.Go(func() { d.serve(c) })
		}
	})
}

// Down ends the bus as a crash does.
func (d *Daemon) Down() {
	d.mu.Lock()
	d.listener.Close()
	for c := range d.clients {
		c.conn.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// Put puts an object on the bus, or another in its place.
func (d *Daemon) Put(path string, methods map[string]Method) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.objects[path] = methods
	d.last++
	d.numbers[path] = d.last
}

// Remove takes an object off the bus.
func (d *Daemon) Remove(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.objects, path)
	delete(d.numbers, path)
}

// Send sends an event to whoever listens to it.
func (d *Daemon) Send(name string, data ubus.Table) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.clients {
		for object, patterns := range c.patterns {
			for _, p := range patterns {
				if matches(p, name) {
					c.send(d.t, ubus.Message{Type: ubus.Invoke, Object: object, Method: name, Data: data})
				}
			}
		}
	}
}

func matches(pattern, name string) bool {
	start, open := strings.CutSuffix(pattern, "*")
	return pattern == name || open && strings.HasPrefix(name, start)
}

func (c *client) send(t testing.TB, m ubus.Message) {
	b, err := m.Append(nil)
	if err != nil {
		t.Error(err)
		return
	}
	c.out.Lock()
	defer c.out.Unlock()
	_, _ = c.conn.Write(b) // a client that has gone is no fault
}

// serve answers a client until it goes.
func (d *Daemon) serve(c *client) {
	defer func() {
		c.conn.Close()
		d.mu.Lock()
		delete(d.clients, c)
		d.mu.Unlock()
	}()
	c.send(d.t, ubus.Message{Type: ubus.Hello, Peer: 7})
	for {
		m, err := ubus.Read(c.conn)
		if err != nil {
			return
		}
		answer := func(p ubus.Message) {
			p.Sequence, p.Peer = m.Sequence, m.Peer
			c.send(d.t, p)
		}
		status := ubus.OK
		switch m.Type {
		case ubus.Lookup:
			status = d.lookup(m.Path, answer)
		case ubus.AddObject:
			d.mu.Lock()
			d.last++
			object := d.last
			c.patterns[object] = nil
			d.mu.Unlock()
			answer(ubus.Message{Type: ubus.Data, Object: object})
		case ubus.Invoke:
			status = d.call(c, m, answer)
		default:
			status = 1 // invalid command
		}
		answer(ubus.Message{Type: ubus.Status, Status: status})
	}
}

func (d *Daemon) lookup(pattern string, answer func(ubus.Message)) ubus.Code {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := ubus.NotFound
	for path, number := range d.numbers {
		if matches(pattern, path) {
			answer(ubus.Message{Type: ubus.Data, Path: path, Object: number})
			found = ubus.OK
		}
	}
	return found
}

// call calls a method of an object, or of the bus's own for events, which has the number 1.
func (d *Daemon) call(c *client, m *ubus.Message, answer func(ubus.Message)) ubus.Code {
	d.mu.Lock()
	var method Method
	there := false
	for path, number := range d.numbers {
		if number == m.Object {
			method, there = d.objects[path][m.Method], true
		}
	}
	if m.Object == 1 && m.Method == "register" {
		defer d.mu.Unlock()
		object, _ := m.Data["object"].(int64)
		pattern, _ := m.Data["pattern"].(string)
		if _, own := c.patterns[uint32(object)]; !own || pattern == "" {
			return ubus.InvalidArgument
		}
		c.patterns[uint32(object)] = append(c.patterns[uint32(object)], pattern)
		return ubus.OK
	}
	d.mu.Unlock()
	switch {
	case !there:
		return ubus.NotFound
	case method == nil:
		return ubus.MethodNotFound
	}
	table, code := method(m.Data)
	if table != nil {
		answer(ubus.Message{Type: ubus.Data, Object: m.Object, Data: table})
	}
	return code
}
