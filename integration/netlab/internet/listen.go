package internet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// maxConns bounds the open connections of one TCP listener.
const maxConns = 8192

// family is "4" or "6", the suffix of Go's network names: every socket serves one family, so that a wildcard socket of
// one never stands in the way of the other.
func family(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

func listenTCP(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return control(c, at.Addr(), false) }}
	ln, err := lc.Listen(ctx, "tcp"+family(at.Addr()), at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on TCP %s: %w", at, err)
	}
	return netutil.LimitListener(ln, maxConns), nil
}

// listenUDP opens a UDP socket; with info, reads report the local address of each datagram.
func listenUDP(ctx context.Context, at netip.AddrPort, info bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return control(c, at.Addr(), info) }}
	pc, err := lc.ListenPacket(ctx, "udp"+family(at.Addr()), at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", at, err)
	}
	return pc.(*net.UDPConn), nil
}

// control sets the options of a listening socket before it is bound: see ip(7) and ipv6(7).
func control(c syscall.RawConn, addr netip.Addr, info bool) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		level, bind, recv := unix.SOL_IP, unix.IP_FREEBIND, unix.IP_PKTINFO
		if addr.Is6() {
			level, bind, recv = unix.SOL_IPV6, unix.IPV6_FREEBIND, unix.IPV6_RECVPKTINFO
		}
		failed = unix.SetsockoptInt(int(fd), level, bind, 1)
		if failed == nil && info {
			failed = unix.SetsockoptInt(int(fd), level, recv, 1)
		}
	})
	return errors.Join(err, failed)
}

// localOf reads the address that a datagram was sent to out of its control message.
func localOf(oob []byte, v4 bool) netip.Addr {
	if v4 {
		var cm ipv4.ControlMessage
		if cm.Parse(oob) == nil {
			a, _ := netip.AddrFromSlice(cm.Dst)
			return a.Unmap()
		}
		return netip.Addr{}
	}
	var cm ipv6.ControlMessage
	if cm.Parse(oob) == nil {
		a, _ := netip.AddrFromSlice(cm.Dst)
		return a
	}
	return netip.Addr{}
}

// fromLocal makes the control message that sends an answer from the address that was asked. The interface is left
// open: the way back is the routing table's.
func fromLocal(local netip.Addr) []byte {
	switch {
	case local.Is4():
		return (&ipv4.ControlMessage{Src: local.AsSlice()}).Marshal()
	case local.Is6():
		return (&ipv6.ControlMessage{Src: local.AsSlice()}).Marshal()
	}
	return nil
}

// serveTCP hands each connection to a handler in its own goroutine. When ctx ends it closes the listener and all
// connections and returns after the last handler.
func serveTCP(ctx context.Context, ln net.Listener, handle func(context.Context, net.Conn)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			// Out of descriptors, or a client that left before its turn: later calls are served.
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.ENOBUFS) {
				_ = wire.Sleep(ctx, 10*time.Millisecond)
				continue
			}
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		wg.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			handle(ctx, conn)
		})
	}
}

// addrPort turns the address of a TCP or UDP socket into a plain value; zero for any other.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return wire.Unmapped(a.AddrPort())
	case *net.UDPAddr:
		return wire.Unmapped(a.AddrPort())
	}
	return netip.AddrPort{}
}
