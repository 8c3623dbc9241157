package carrier

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Datagrams is what a bond's datagrams go over: a Socket, or a stream that carries them where UDP does not pass. The goroutine that polls FD
// uses it.
type Datagrams interface {
	// Kind names it for people: "udp", or "tcp" and the relay's port.
	Kind() string
	// FD is the descriptor for a Poller.
	FD() int
	// Room is memory for the next datagram, to append to it up to Datagram bytes; Queue takes it over.
	Room() []byte
	// Queue takes a datagram that was written to Room, to where it shall go and the address of ours that it shall come from, or the zero value.
	Queue(datagram []byte, to netip.AddrPort, from netip.Addr)
	// Full tells that Flush comes before the next Room.
	Full() bool
	// Flush sends what was queued. What cannot leave is lost, as on the wire; an error says that the way is barred.
	Flush() error
	// Receive hands over what has arrived; more is true when there may be further ones.
	Receive(c Clock, f func(Arrived)) (more bool, err error)
	Close() error
}

// unsent is what the kernel may hold of a connection beyond what is on its way: a queue of our own, which drops what is too old, stands
// before it (tcp(7), TCP_NOTSENT_LOWAT).
const unsent = 16 << 10

// userTimeout is how long the other end of a connection may leave unacknowledged what was sent.
const userTimeout = 15 * time.Second

// TCPDialer connects as Open's sockets do: tied to a device and with a mark. Its connections hold little back.
func TCPDialer(device string, mark uint32) *net.Dialer {
	return &net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			if mark != 0 {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(int32(mark)))
			}
			if err == nil && device != "" {
				err = unix.BindToDevice(int(fd), device)
			}
			if err == nil {
				err = tune(int(fd))
			}
		}); e != nil {
			return e
		}
		if err != nil {
			return fmt.Errorf("preparing a connection%s: %w", Options{Device: device}.place(), err)
		}
		return nil
	}}
}

// TCPListener listens for connections that hold little back.
func TCPListener() *net.ListenConfig {
	return &net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = tune(int(fd)) }); e != nil {
			return e
		}
		return err
	}}
}

// tune prepares a connection, or a listening socket, whose connections have the same.
func tune(fd int) error {
	// Losses of the link are not the bond's congestion: its own law keeps the queue short. Where BBR is not to be had the usual law serves.
	_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr")
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond)),
	)
}
