package carrier

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Options say where a socket is.
type Options struct {
	Listen netip.AddrPort // the zero value: any address, a free port
	Device string         // the link's device; "": the routing table decides
	Mark   uint32         // for routing rules; 0: none
}

// Socket sends and receives datagrams of IPv4 and, where the machine has it, IPv6. No datagram is fragmented, and none is held back by
// what an ICMP message claims: the bond finds out itself what passes.
type Socket struct {
	fd    int
	six   bool // the socket is an IPv6 one that takes IPv4, too
	place string
	in    inbox
	out   outbox
}

// bufferSize is what the kernel may hold for a socket in each direction: a hundred milliseconds of 300 Mbit/s.
const bufferSize = 4 << 20

// Open makes a socket.
func Open(o Options) (*Socket, error) {
	s := &Socket{place: o.place()}
	if err := s.open(o); err != nil {
		return nil, fmt.Errorf("opening the bond's socket%s: %w", s.place, err)
	}
	s.in.init()
	s.out.init(s.six)
	s.out.segments = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_SEGMENT, 0) == nil
	_ = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 1) // an older kernel hands datagrams over one by one
	return s, nil
}

func (o Options) place() string {
	text := ""
	if o.Listen.IsValid() {
		text = " at " + o.Listen.String()
	}
	if o.Device != "" {
		text += " on " + o.Device
	}
	return text
}

func (s *Socket) open(o Options) (err error) {
	const kind = unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	four := o.Listen.Addr().Unmap().Is4()
	s.six = true
	if s.fd, err = unix.Socket(unix.AF_INET6, kind, unix.IPPROTO_UDP); err != nil {
		if !four && o.Listen.Addr().IsValid() && !o.Listen.Addr().IsUnspecified() {
			return err
		}
		s.six = false // the machine knows IPv4 alone
		if s.fd, err = unix.Socket(unix.AF_INET, kind, unix.IPPROTO_UDP); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			unix.Close(s.fd)
		}
	}()
	type option struct{ level, name, value int }
	options := []option{
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1},
		{unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
	}
	if s.six {
		options = append(options, option{unix.SOL_IPV6, unix.IPV6_V6ONLY, 0}, option{unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1},
			option{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE})
	} else {
		options = append(options, option{unix.SOL_IP, unix.IP_PKTINFO, 1})
	}
	if o.Mark != 0 {
		options = append(options, option{unix.SOL_SOCKET, unix.SO_MARK, int(int32(o.Mark))})
	}
	for _, x := range options {
		if err := unix.SetsockoptInt(s.fd, x.level, x.name, x.value); err != nil {
			return fmt.Errorf("setting option %d/%d: %w", x.level, x.name, err)
		}
	}
	for _, name := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, name[0], bufferSize) != nil {
			_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, name[1], bufferSize) // less than wished for works, too
		}
	}
	if o.Device != "" {
		if err := unix.BindToDevice(s.fd, o.Device); err != nil {
			return fmt.Errorf("binding to device %s: %w", o.Device, err)
		}
	}
	return unix.Bind(s.fd, s.sockaddr(o.Listen))
}

func (s *Socket) sockaddr(a netip.AddrPort) unix.Sockaddr {
	addr := a.Addr()
	if !s.six {
		out := &unix.SockaddrInet4{Port: int(a.Port())}
		if addr.IsValid() {
			out.Addr = addr.Unmap().As4()
		}
		return out
	}
	out := &unix.SockaddrInet6{Port: int(a.Port())}
	switch {
	case !addr.IsValid(), addr.IsUnspecified() && addr.Is4(): // "0.0.0.0" alone would shut IPv6 out; so it was meant
		if addr.IsValid() {
			out.Addr = netip.AddrFrom4([4]byte{}).As16()
		}
	default:
		out.Addr = addr.As16()
	}
	return out
}

// Kind implements Datagrams.
func (s *Socket) Kind() string { return "udp" }

// FD is the descriptor for a Poller.
func (s *Socket) FD() int { return s.fd }

// Local is the address that the socket is bound to.
func (s *Socket) Local() (netip.AddrPort, error) {
	a, err := unix.Getsockname(s.fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("asking for the socket's address: %w", err)
	}
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), nil
	}
	return netip.AddrPort{}, errors.New("the socket has no Internet address")
}

// Close closes the socket. What is queued is lost.
func (s *Socket) Close() error { return unix.Close(s.fd) }
