package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/trenza-router/trenza/hal"
)

// Path names an object of a service.
type Path = dbus.ObjectPath

// Properties are those of one interface of an object.
type Properties map[string]dbus.Variant

// Objects is a service's objects: by path and interface.
type Objects map[Path]map[string]Properties

// Settings is what services take as "a{sa{sv}}" and "a{sv}".
type (
	Settings = map[string]map[string]dbus.Variant
	Options  = map[string]dbus.Variant
)

// V makes a value of a Settings or Options.
func V(v any) dbus.Variant { return dbus.MakeVariant(v) }

// Get returns a property as the type that it should be; the zero value if it is absent or something else.
func Get[T any](p Properties, name string) T {
	v, _ := p[name].Value().(T)
	return v
}

// callTime bounds a call whose context has no end of its own. Services answer such calls at once; one that does not hangs.
const callTime = 15 * time.Second

// Bus is a D-Bus.
type Bus struct {
	address string

	mu   sync.Mutex
	conn *dbus.Conn // nil before the first use
}

// New makes a Bus; "" is the system's.
func New(address string) *Bus { return &Bus{address: address} }

// Close ends the connection.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return nil
	}
	err := b.conn.Close()
	b.conn = nil
	return err
}

func (b *Bus) connection() (*dbus.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && b.conn.Connected() {
		return b.conn, nil
	}
	conn, err := b.dial()
	if err != nil {
		return nil, err
	}
	b.conn = conn
	return conn, nil
}

// dial makes a new connection.
func (b *Bus) dial() (*dbus.Conn, error) {
	var conn *dbus.Conn
	var err error
	if b.address == "" {
		conn, err = dbus.ConnectSystemBus()
	} else {
		conn, err = dbus.Connect(b.address)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the bus of the machine's services does not answer: %w", hal.ErrUnsupported, err)
	}
	return conn, nil
}

// Call calls "INTERFACE.METHOD" of a service's object and stores what is returned. A service that does not run is hal.ErrUnsupported; an
// error of the service is an *Error.
func (b *Bus) Call(ctx context.Context, service string, path Path, method string, args []any, into ...any) error {
	conn, err := b.connection()
	if err != nil {
		return err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTime)
		defer cancel()
	}
	call := conn.Object(service, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
	if call.Err != nil {
		return explain(service, call.Err)
	}
	if len(into) == 0 {
		return nil
	}
	if err := call.Store(into...); err != nil {
		return fmt.Errorf("%s answered %s with something else: %w", service, method, err)
	}
	return nil
}

// Objects reads all objects of a service that has an org.freedesktop.DBus.ObjectManager at root.
func (b *Bus) Objects(ctx context.Context, service string, root Path) (Objects, error) {
	var raw map[Path]map[string]map[string]dbus.Variant
	if err := b.Call(ctx, service, root, "org.freedesktop.DBus.ObjectManager.GetManagedObjects", nil, &raw); err != nil {
		return nil, err
	}
	out := make(Objects, len(raw))
	for path, interfaces := range raw {
		o := make(map[string]Properties, len(interfaces))
		for name, p := range interfaces {
			o[name] = p
		}
		out[path] = o
	}
	return out, nil
}

// Set sets a property.
func (b *Bus) Set(ctx context.Context, service string, path Path, in, name string, value any) error {
	return b.Call(ctx, service, path, "org.freedesktop.DBus.Properties.Set", []any{in, name, dbus.MakeVariant(value)})
}

// Error is what a service answered instead of a result.
type Error struct {
	Name string // "org.freedesktop.ModemManager1.Error.MobileEquipment.IncorrectPassword"
	Text string
}

func (e *Error) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return e.Name
}

// Is makes every refusal of a service a hal.ErrRefused.
func (e *Error) Is(target error) bool { return target == hal.ErrRefused }

func explain(service string, err error) error {
	var d dbus.Error
	if !errors.As(err, &d) {
		return err
	}
	switch d.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return fmt.Errorf("%w: %s does not run", hal.ErrUnsupported, service)
	case "org.freedesktop.DBus.Error.AccessDenied":
		return fmt.Errorf("%w: %s", hal.ErrPermission, d.Error())
	case "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod":
		return fmt.Errorf("%w: %s", hal.ErrNotFound, d.Error())
	}
	return &Error{Name: d.Name, Text: d.Error()}
}

// Pauses of Watch: to gather changes that come together, and before the bus is tried again.
const (
	gather    = 150 * time.Millisecond
	firstWait = 500 * time.Millisecond
	lastWait  = 30 * time.Second
)

// Watch calls changed after every signal of a service, when it comes and goes, and once at the start of every connection, until the context
// ends. A bus that is gone is waited for.
func (b *Bus) Watch(ctx context.Context, service string, changed func()) error {
	return Keep(ctx, func() bool { return b.listen(ctx, service, changed) }, changed)
}

// Keep listens to a bus over one connection after the other until the context ends, and calls gone after each that there was: listen tells
// whether there was one. A bus that is gone is waited for.
func Keep(ctx context.Context, listen func() bool, gone func()) error {
	wait := firstWait
	for {
		if listen() {
			wait = firstWait
			gone() // whoever was there is not any more
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, lastWait)
	}
}

// listen is Watch over one connection of its own, whose end is the bus's. It tells whether there was one.
func (b *Bus) listen(ctx context.Context, service string, changed func()) bool {
	conn, err := b.dial()
	if err != nil {
		return false
	}
	defer conn.Close()
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	if conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(service)) != nil ||
		conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service)) != nil {
		return false
	}
	for {
		changed()
		select {
		case <-ctx.Done():
			return true
		case _, open := <-signals:
			if !open {
				return true
			}
		}
		end := time.After(gather)
		for more := true; more; {
			select {
			case <-ctx.Done():
				return true
			case _, open := <-signals:
				if !open {
					return true
				}
			case <-end:
				more = false
			}
		}
	}
}

// Follow returns the bodies of one signal of one object, as they come, until the context ends, which closes the channel.
func (b *Bus) Follow(ctx context.Context, service string, path Path, in, member string) (<-chan []any, error) {
	conn, err := b.dial()
	if err != nil {
		return nil, err
	}
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(service), dbus.WithMatchObjectPath(path), dbus.WithMatchInterface(in), dbus.WithMatchMember(member)); err != nil {
		conn.Close()
		return nil, explain(service, err)
	}
	out := make(chan []any)
	go func() {
		defer close(out)
		defer conn.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case s, open := <-signals:
				if !open {
					return
				}
				if s.Path != path || s.Name != in+"."+member {
					continue // "NameAcquired" and the like, of the bus itself
				}
				select {
				case out <- s.Body:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}
