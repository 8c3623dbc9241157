package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// Dial implements hal.Sockets. The error says over which way the connection failed, and wraps the kernel's.
func (m *Machine) Dial(ctx context.Context, via hal.Via, network string, to netip.AddrPort) (hal.Conn, error) {
	doing := fmt.Sprintf("connect %s to %s%s", network, to, way(via))
	var local net.Addr
	switch network {
	case "tcp", "tcp4", "tcp6":
		if via.Source.IsValid() {
			local = net.TCPAddrFromAddrPort(netip.AddrPortFrom(via.Source, 0))
		}
	case "udp", "udp4", "udp6":
		if via.Source.IsValid() {
			local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(via.Source, 0))
		}
	default:
		return nil, fmt.Errorf("%s: use tcp, tcp4, tcp6, udp, udp4 or udp6: %w", doing, hal.ErrUnsupported)
	}
	if !to.IsValid() {
		return nil, fmt.Errorf("%s: that is no address", doing)
	}
	d := net.Dialer{LocalAddr: local, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if ctl := c.Control(func(fd uintptr) { err = tie(int(fd), via) }); ctl != nil {
			return ctl
		}
		return err
	}}
	conn, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, socketError(doing, err)
	}
	return conn, nil
}

// tie binds a socket to the way.
func tie(fd int, via hal.Via) error {
	if via.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(int32(via.Mark))); err != nil {
			return fmt.Errorf("set the mark: %w", err)
		}
	}
	if via.Device != "" {
		if err := unix.BindToDevice(fd, via.Device); err != nil {
			return fmt.Errorf("bind to the device: %w", err)
		}
	}
	return nil
}

// way says for an error message which way a socket was to take.
func way(via hal.Via) string {
	var b strings.Builder
	if via.Source.IsValid() {
		fmt.Fprintf(&b, " from %s", via.Source)
	}
	if via.Device != "" {
		fmt.Fprintf(&b, " over %s", via.Device)
	}
	if via.Mark != 0 {
		fmt.Fprintf(&b, " with mark %#x", uint32(via.Mark))
	}
	return b.String()
}

// socketError adds hal's name of the cause where the machine refused to make the socket; what comes from the network
// (refused, unreachable, timed out) stays as it is, for net.Error and errors.Is with the errno.
func socketError(doing string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: %w (%w)", doing, hal.ErrPermission, err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s: %w (%w)", doing, hal.ErrNotFound, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
