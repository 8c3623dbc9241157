package linux

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

const (
	dhcpClientPort = 68
	dhcpServerPort = 67

	ipv4HeaderSize = 20
	udpHeaderSize  = 8
	// dhcpPacketSize is the longest answer that is read; the request says so (RFC 2132 section 9.10).
	dhcpPacketSize = 1500
)

// dhcpSocket sends and receives DHCP on a device that may have no address yet: a packet socket below the kernel's IP, with
// a filter, so that nothing but DHCP reaches the process on a link that carries everything else too.
type dhcpSocket struct {
	packets *socket.Conn
	device  hal.Interface
	buf     [dhcpPacketSize]byte
}

// openDHCPSocket opens it for a device with an Ethernet address.
func openDHCPSocket(device hal.Interface) (_ *dhcpSocket, err error) {
	// Protocol 0 receives nothing until bind says IPv4, so that nothing comes in before the filter stands.
	s, err := socket.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0, "dhcp", nil)
	if err != nil {
		return nil, kernelError(err, "open a packet socket on %s", device.Name)
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.SetBPF(onlyDHCP()); err != nil {
		return nil, kernelError(err, "filter a packet socket on %s", device.Name)
	}
	if err := s.Bind(&unix.SockaddrLinklayer{Protocol: hostToNet16(unix.ETH_P_IP), Ifindex: device.Index}); err != nil {
		return nil, kernelError(err, "bind a packet socket to %s", device.Name)
	}
	return &dhcpSocket{packets: s, device: device}, nil
}

func (s *dhcpSocket) close() { s.packets.Close() }

// hostToNet16 gives the number whose bytes in host order are v in network order.
func hostToNet16(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// onlyDHCP is a socket filter for whole UDP datagrams over IPv4 to the client's port; it sees packets from the IP header on.
func onlyDHCP() []bpf.RawInstruction {
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 9, Size: 1}, // protocol
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 6},
		bpf.LoadAbsolute{Off: 6, Size: 2}, // more fragments, fragment offset
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x3fff, SkipTrue: 4},
		bpf.LoadMemShift{Off: 0}, // length of the IP header
		bpf.LoadIndirect{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: dhcpClientPort, SkipTrue: 1},
		bpf.RetConstant{Val: dhcpPacketSize},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		panic("the constant filter program does not assemble: " + err.Error())
	}
	return raw
}

// broadcast sends a message to every server on the link.
func (s *dhcpSocket) broadcast(ctx context.Context, m *dhcpv4.DHCPv4) error {
	to := &unix.SockaddrLinklayer{Protocol: hostToNet16(unix.ETH_P_IP), Ifindex: s.device.Index, Halen: 6}
	copy(to.Addr[:], "\xff\xff\xff\xff\xff\xff")
	everyone := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return s.packets.Sendto(ctx, encodeDatagram(netip.IPv4Unspecified(), everyone, m.ToBytes()), 0, to)
}

// unicast sends a message to one server, by the kernel's routing but out of the device, from the address that we have. While
// the result is open, the kernel has a receiver for the answer and does not refuse it by ICMP; the answer is read from the
// packet socket all the same.
func (s *dhcpSocket) unicast(ctx context.Context, from, to netip.Addr, m *dhcpv4.DHCPv4) (_ *socket.Conn, err error) {
	u, err := socket.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0, "dhcp-renew", nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			u.Close()
		}
	}()
	if err := u.SetsockoptInt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, err
	}
	if err := u.SetsockoptString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, s.device.Name); err != nil {
		return nil, fmt.Errorf("bind to %s: %w", s.device.Name, err)
	}
	if err := u.Bind(&unix.SockaddrInet4{Port: dhcpClientPort, Addr: from.As4()}); err != nil {
		return nil, fmt.Errorf("bind to %s: %w", from, err)
	}
	return u, u.Sendto(ctx, m.ToBytes(), 0, &unix.SockaddrInet4{Port: dhcpServerPort, Addr: to.As4()})
}

// receive waits until the deadline for an answer to a request of ours that accept takes.
func (s *dhcpSocket) receive(ctx context.Context, deadline time.Time, request *dhcpv4.DHCPv4, accept func(*dhcpv4.DHCPv4) bool) (*dhcpv4.DHCPv4, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		n, _, err := s.packets.Recvfrom(ctx, s.buf[:], 0)
		if err != nil {
			return nil, err
		}
		payload, ok := decodeDatagram(s.buf[:n])
		if !ok {
			continue
		}
		if m, err := dhcpv4.FromBytes(payload); err == nil && answers(m, request) && accept(m) {
			return m, nil
		}
	}
}

// answers tells whether a message is a server's answer to our request: of our transaction and for our device.
func answers(m, request *dhcpv4.DHCPv4) bool {
	return m.OpCode == dhcpv4.OpcodeBootReply && m.TransactionID == request.TransactionID &&
		string(m.ClientHWAddr) == string(request.ClientHWAddr)
}

// encodeDatagram puts UDP and IPv4 headers before a message from the client's to the server's port.
func encodeDatagram(from, to netip.Addr, payload []byte) []byte {
	src, dst := from.As4(), to.As4()
	b := make([]byte, ipv4HeaderSize+udpHeaderSize, ipv4HeaderSize+udpHeaderSize+len(payload))
	b = append(b, payload...)
	b[0] = 4<<4 | ipv4HeaderSize/4
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[8] = 64 // hops
	b[9] = unix.IPPROTO_UDP
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[10:], internetChecksum(b[:ipv4HeaderSize]))

	udp := b[ipv4HeaderSize:]
	binary.BigEndian.PutUint16(udp, dhcpClientPort)
	binary.BigEndian.PutUint16(udp[2:], dhcpServerPort)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	pseudo := []byte{0, unix.IPPROTO_UDP, byte(len(udp) >> 8), byte(len(udp))}
	sum := internetChecksum(src[:], dst[:], pseudo, udp)
	if sum == 0 {
		sum = 0xffff // 0 means "no checksum"
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	return b
}

// decodeDatagram takes the payload out of an IPv4 packet that is a whole UDP datagram from a server's port to the
// client's. The checksum is not looked at: a packet that never left the machine has none yet. It never panics.
func decodeDatagram(b []byte) (payload []byte, ok bool) {
	if len(b) < ipv4HeaderSize || b[0]>>4 != 4 || b[9] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return nil, false
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4HeaderSize || total > len(b) || total < header+udpHeaderSize {
		return nil, false
	}
	udp := b[header:total] // what follows is the padding of a short frame
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if binary.BigEndian.Uint16(udp) != dhcpServerPort || binary.BigEndian.Uint16(udp[2:]) != dhcpClientPort ||
		length < udpHeaderSize || length > len(udp) {
		return nil, false
	}
	return udp[udpHeaderSize:length], true
}
