package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// stagger is how long one address has for itself before the next is tried too (RFC 8305, section 5).
const stagger = 250 * time.Millisecond

// race dials addresses in order, the next one when the last failed or after the stagger. The first success wins; the
// other dials are cancelled, and what they may still reach is dropped before race returns.
func race[T any](ctx context.Context, addrs []netip.Addr, dial func(context.Context, netip.Addr) (T, error), drop func(T)) (T, error) {
	if len(addrs) == 0 {
		var none T
		return none, errors.New("no address to dial")
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		value T
		err   error
	}
	results := make(chan result, len(addrs))
	running := 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			if r := <-results; r.err == nil {
				drop(r.value)
			}
		}
	}()
	var errs []error
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			if len(addrs) == 0 {
				continue
			}
			addr := addrs[0]
			addrs = addrs[1:]
			running++
			go func() {
				v, err := dial(ctx, addr)
				results <- result{v, err}
			}()
			next.Reset(stagger)
		case r := <-results:
			running--
			if r.err == nil {
				return r.value, nil
			}
			errs = append(errs, r.err)
			if len(addrs) > 0 && ctx.Err() == nil {
				next.Reset(0)
			} else if running == 0 {
				var none T
				return none, errors.Join(errs...)
			}
		}
	}
}

// dialTCP opens a TCP connection to the first address that answers.
func dialTCP(ctx context.Context, t Target, addrs []netip.Addr) (net.Conn, error) {
	return race(ctx, addrs, func(ctx context.Context, a netip.Addr) (net.Conn, error) {
		d := net.Dialer{Control: t.control}
		if local := t.local(a); local.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(local)
		}
		conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(a, t.Port).String())
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		return conn, nil
	}, func(c net.Conn) { c.Close() })
}

// dialUDP connects a UDP socket to an address: the kernel then reports ICMP errors on it.
func dialUDP(ctx context.Context, t Target, a netip.Addr) (*net.UDPConn, error) {
	d := net.Dialer{Control: t.control}
	if local := t.local(a); local.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(local)
	}
	conn, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(a, t.Port).String())
	if err != nil {
		return nil, fmt.Errorf("open UDP socket: %w", err)
	}
	return conn.(*net.UDPConn), nil
}

// firstUDP connects a UDP socket to the first address to which there is a route: without an answer there is nothing else
// to choose by.
func firstUDP(ctx context.Context, t Target, addrs []netip.Addr) (*net.UDPConn, error) {
	var errs []error
	for _, a := range addrs {
		conn, err := dialUDP(ctx, t, a)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// listenUDP opens an unconnected UDP socket for talking to an address; QUIC needs one.
func listenUDP(ctx context.Context, t Target, a netip.Addr) (*net.UDPConn, error) {
	local := t.local(a)
	if !local.IsValid() {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		if a.Is6() {
			local = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
		}
	}
	network := "udp4"
	if a.Is6() {
		network = "udp6"
	}
	lc := net.ListenConfig{Control: t.control}
	pc, err := lc.ListenPacket(ctx, network, local.String())
	if err != nil {
		return nil, fmt.Errorf("open UDP socket: %w", err)
	}
	return pc.(*net.UDPConn), nil
}

// local is the source that the job asks for, in the family of the address; invalid when it asks for none.
func (t Target) local(to netip.Addr) netip.AddrPort {
	source := t.Source
	if !source.IsValid() && t.SourcePort != 0 {
		source = netip.IPv6Unspecified()
		if to.Is4() {
			source = netip.IPv4Unspecified()
		}
	}
	if !source.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(source, t.SourcePort)
}

// control sets the socket options of a job before the socket is bound or connected, so that the first packet has them.
func (t Target) control(network, _ string, c syscall.RawConn) error {
	if t.DSCP < 0 || t.DSCP > 63 {
		return badJob("DSCP %d: want 0 to 63", t.DSCP)
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		if t.SourcePort != 0 {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) // past TIME_WAIT
		}
		if t.DSCP == 0 || failed != nil {
			return
		}
		if network == "tcp4" || network == "udp4" {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TOS, t.DSCP<<2)
		} else {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TCLASS, t.DSCP<<2)
		}
	})
	return errors.Join(err, failed)
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return wire.Unmapped(a.AddrPort())
	case *net.UDPAddr:
		return wire.Unmapped(a.AddrPort())
	}
	return netip.AddrPort{}
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
