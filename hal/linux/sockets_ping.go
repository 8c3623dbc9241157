package linux

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

const (
	echoRequest  = 8 // RFC 792
	echoReply    = 0
	echoRequest6 = 128 // RFC 4443 section 4
	echoReply6   = 129

	// echoSize is the length of an echo: eight bytes of header and 56 of content, like ping(8). Shorter ones are dropped by some
	// home routers, longer ones are cut by some servers.
	echoSize = 64
	// answerSize is read of an answer: an IPv4 header with all options, and the echo's header.
	answerSize = 60 + 8
)

// arrivals keeps the kernel's clock for arriving packets switched on. It runs while some socket wants it, but starts late:
// without this, a lone ping would get the time when its answer was read. The zero value is ready; on may be
// called by many.
type arrivals struct {
	once   sync.Once
	socket *os.File // closed by the runtime when the Machine is gone
}

func (a *arrivals) on() {
	a.once.Do(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return // the times are a little worse, and nothing else
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		a.socket = os.NewFile(uintptr(fd), "arrivals")
	})
}

// echo names one question and its answer.
type echo struct{ id, sequence uint16 }

// Ping implements hal.Sockets. It waits until the context ends; give it a deadline.
//
// It uses a raw socket: the kernel's ping sockets are closed to everyone, root too, unless net.ipv4.ping_group_range says
// otherwise. The socket is connected to the target, so the kernel hands up only answers from there, over the device,
// and errors that the network reports about it (host unreachable) end the wait. The time of arrival is the kernel's
// (SO_TIMESTAMPNS), so that a busy machine does not look like a slow link.
func (m *Machine) Ping(ctx context.Context, via hal.Via, to netip.Addr) (rtt time.Duration, err error) {
	doing := fmt.Sprintf("ping %s%s", to, way(via))
	to = to.Unmap()
	if !to.IsValid() || to.IsUnspecified() {
		return 0, fmt.Errorf("%s: that is no address", doing)
	}
	m.arrivals.on()
	s, err := openEcho(ctx, via, to)
	if err != nil {
		return 0, socketError(doing, err)
	}
	defer s.Close()
	rtt, err = exchangeEcho(ctx, s, to)
	if err != nil {
		return 0, socketError(doing, err)
	}
	return rtt, nil
}

func openEcho(ctx context.Context, via hal.Via, to netip.Addr) (_ *socket.Conn, err error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if to.Is6() {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	s, err := socket.Socket(family, unix.SOCK_RAW, proto, "icmp", nil)
	if err != nil {
		return nil, fmt.Errorf("open a raw socket: %w", err)
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var tied error
	if err := raw.Control(func(fd uintptr) { tied = tie(int(fd), via) }); err != nil {
		return nil, err
	}
	if tied != nil {
		return nil, tied
	}
	if to.Is6() {
		var block unix.ICMPv6Filter // a bit that is set blocks its type
		for i := range block.Data {
			block.Data[i] = ^uint32(0)
		}
		block.Data[echoReply6/32] &^= 1 << (echoReply6 % 32)
		err = s.SetsockoptICMPv6Filter(unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &block)
	} else {
		const icmpFilter = 1 // ICMP_FILTER of linux/icmp.h, level SOL_RAW
		err = s.SetsockoptInt(unix.SOL_RAW, icmpFilter, ^(1 << echoReply))
	}
	if err != nil {
		return nil, fmt.Errorf("filter answers: %w", err)
	}
	if err := s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, fmt.Errorf("ask for times of arrival: %w", err)
	}
	if via.Source.IsValid() {
		if err := s.Bind(sockaddr(via.Source.Unmap(), "")); err != nil {
			return nil, fmt.Errorf("bind to the source address: %w", err)
		}
	}
	if _, err := s.Connect(ctx, sockaddr(to, via.Device)); err != nil {
		return nil, err
	}
	return s, nil
}

// sockaddr of a raw socket. A link-local address without a zone gets that of the device.
func sockaddr(a netip.Addr, device string) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	sa := &unix.SockaddrInet6{Addr: a.As16()}
	zone := a.Zone()
	if zone == "" && a.IsLinkLocalUnicast() {
		zone = device
	}
	if zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(i.Index)
		}
	}
	return sa
}

// exchangeEcho sends one echo and waits for the answer.
func exchangeEcho(ctx context.Context, s *socket.Conn, to netip.Addr) (time.Duration, error) {
	want := echo{id: uint16(rand.Uint32()), sequence: uint16(rand.Uint32())}
	sent := time.Now()
	if err := s.Sendto(ctx, encodeEcho(want, to.Is6()), 0, nil); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	buf, control := make([]byte, answerSize), make([]byte, 128)
	for {
		n, controlLength, _, from, err := s.Recvmsg(ctx, buf, control, 0)
		if err != nil {
			return 0, fmt.Errorf("no answer: %w", err)
		}
		waited := time.Since(sent)
		if !sameAddress(from, to) {
			continue
		}
		if got, ok := decodeEcho(buf[:n], to.Is6()); !ok || got != want {
			continue
		}
		return roundTrip(sent, waited, arrival(control[:controlLength])), nil
	}
}

// roundTrip is the time between sending and the kernel's time of arrival. Both are read off the wall clock; when that
// was set meanwhile, the result is out of bounds, and the time that the process waited, which is never too short, serves.
func roundTrip(sent time.Time, waited time.Duration, arrived time.Time) time.Duration {
	if arrived.IsZero() {
		return waited
	}
	if rtt := arrived.Sub(sent.Round(0)); rtt > 0 && rtt <= waited {
		return rtt
	}
	return waited
}

// encodeEcho builds an echo request. The kernel fills in the checksum of ICMPv6, which covers addresses.
func encodeEcho(e echo, v6 bool) []byte {
	b := make([]byte, echoSize)
	b[0] = echoRequest
	if v6 {
		b[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(b[4:], e.id)
	binary.BigEndian.PutUint16(b[6:], e.sequence)
	for i := 8; i < len(b); i++ {
		b[i] = byte(i)
	}
	if !v6 {
		binary.BigEndian.PutUint16(b[2:], internetChecksum(b))
	}
	return b
}

// internetChecksum is that of RFC 1071 over the parts, each of even length but the last; a header carries its
// own as zero.
func internetChecksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// decodeEcho reads an echo reply as a raw socket delivers it: IPv4 with its header, IPv6 without. It never panics.
func decodeEcho(b []byte, v6 bool) (e echo, ok bool) {
	kind := byte(echoReply6)
	if !v6 {
		kind = echoReply
		if len(b) < 20 || b[0]>>4 != 4 {
			return e, false
		}
		header := int(b[0]&0xf) * 4
		if header < 20 || header > len(b) {
			return e, false
		}
		b = b[header:]
	}
	if len(b) < 8 || b[0] != kind || b[1] != 0 {
		return e, false
	}
	return echo{id: binary.BigEndian.Uint16(b[4:]), sequence: binary.BigEndian.Uint16(b[6:])}, true
}

// arrival reads the kernel's time out of the control messages; zero if it is not there.
func arrival(control []byte) time.Time {
	for len(control) >= unix.CmsgLen(0) {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return time.Time{}
		}
		// struct timespec as long as the machine's words: two numbers.
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS {
			switch len(data) {
			case 16:
				return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
			case 8:
				return time.Unix(int64(int32(host32(data))), int64(int32(host32(data[4:]))))
			}
		}
		control = rest
	}
	return time.Time{}
}

func sameAddress(from unix.Sockaddr, want netip.Addr) bool {
	switch sa := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr) == want
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr) == want.WithZone("")
	}
	return false
}
