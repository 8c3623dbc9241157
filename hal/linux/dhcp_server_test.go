package linux

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

// landlord is a DHCP server that does what the test says; dnsmasq grants no lease shorter than two minutes.
type landlord struct {
	conn net.PacketConn

	mu     sync.Mutex
	answer func(request, reply *dhcpv4.DHCPv4) bool // completes the reply; false: none is sent
}

func startLandlord(t *testing.T, n *neighbour, answer func(request, reply *dhcpv4.DHCPv4) bool) *landlord {
	t.Helper()
	l := &landlord{answer: answer}
	n.Do(func() (err error) {
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				_ = unix.BindToDevice(int(fd), "isp")
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
			})
		}}
		l.conn, err = config.ListenPacket(context.Background(), "udp4", ":67")
		return err
	})
	t.Cleanup(func() { l.conn.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, _, err := l.conn.ReadFrom(b)
			if err != nil {
				return
			}
			request, err := dhcpv4.FromBytes(b[:n])
			if err != nil {
				continue
			}
			reply, err := dhcpv4.NewReplyFromRequest(request)
			if err != nil {
				continue
			}
			kind := dhcpv4.MessageTypeAck
			if request.MessageType() == dhcpv4.MessageTypeDiscover {
				kind = dhcpv4.MessageTypeOffer
			}
			reply.YourIPAddr = net.IPv4(192, 0, 2, 77)
			for _, o := range []dhcpv4.Option{
				dhcpv4.OptMessageType(kind), dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 1)),
				dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)), dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1)),
				dhcpv4.OptIPAddressLeaseTime(shortestLease),
			} {
				reply.UpdateOption(o)
			}
			l.mu.Lock()
			if l.answer(request, reply) {
				_, _ = l.conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
			}
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *landlord) change(answer func(request, reply *dhcpv4.DHCPv4) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

func renewal(request *dhcpv4.DHCPv4) bool { return !request.ClientIPAddr.IsUnspecified() }

// hurry has the client renew its lease after one second (T1) and rebind it after two (T2).
func hurry(m *dhcpv4.DHCPv4) {
	m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionRenewTimeValue, binary.BigEndian.AppendUint32(nil, 1)))
	m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionRebindingTimeValue, binary.BigEndian.AppendUint32(nil, 2)))
}

func TestDHCPRebindAndLoss(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		n := newNeighbour(t, "wan1", "isp")
		n.Run("ip address add 192.0.2.1/24 dev isp")
		var ignored, rebound int
		var grantedAt time.Time
		l := startLandlord(t, n, func(request, reply *dhcpv4.DHCPv4) bool {
			if !renewal(request) {
				hurry(reply)
				grantedAt = time.Now()
				return true
			}
			if request.ServerIdentifier() != nil || request.RequestedIPAddress() != nil {
				t.Error("a renewal must not name a server or an address (RFC 2131 table 5)")
			}
			if time.Since(grantedAt) < 1900*time.Millisecond {
				ignored++
				return false
			}
			rebound++
			// Some servers say nothing but the time.
			reply.Options.Del(dhcpv4.OptionSubnetMask)
			reply.Options.Del(dhcpv4.OptionRouter)
			return true // of the whole ten seconds: T1 after five
		})
		c := startTenant(t)
		first := c.next(t, "the lease", granted)
		second := c.next(t, "the lease of the rebinding", func(hal.Lease) bool { return true })
		if second.Addr != first.Addr || second.Gateway != first.Gateway || !second.Expires.After(first.Expires) {
			t.Errorf("rebinding gave %+v after %+v", second, first)
		}
		l.change(func(_, _ *dhcpv4.DHCPv4) bool { return false }) // also: what is counted is ours now
		if ignored == 0 || rebound == 0 {
			t.Errorf("%d renewals before T2, %d after; want some of both", ignored, rebound)
		}

		c.next(t, "the loss of the lease", lost)
		if late := time.Since(second.Expires); late < -100*time.Millisecond {
			t.Errorf("the lease was given up %v before its end", -late)
		}
		if s := run(t, "ip -4 -o address show dev wan1"); strings.Contains(s, "192.0.2.77") {
			t.Errorf("the address outlived its lease:\n%s", s)
		}
		l.change(func(_, _ *dhcpv4.DHCPv4) bool { return true })
		c.next(t, "a lease when the server is back", granted)
	})
}

// A refusal of a renewal ends the lease at once.
func TestDHCPRefusedRenewal(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		n := newNeighbour(t, "wan1", "isp")
		n.Run("ip address add 192.0.2.1/24 dev isp")
		refused := false
		startLandlord(t, n, func(request, reply *dhcpv4.DHCPv4) bool {
			hurry(reply)
			if renewal(request) && !refused {
				refused = true
				reply.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeNak))
			}
			return true
		})
		c := startTenant(t)
		c.next(t, "the lease", granted)
		c.next(t, "the loss of the refused lease", lost)
		c.next(t, "a new lease after the refusal", granted)
	})
}

func TestDHCPBadAnswers(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		n := newNeighbour(t, "wan1", "isp")
		n.Run("ip address add 192.0.2.1/24 dev isp")
		offers := 0
		startLandlord(t, n, func(request, reply *dhcpv4.DHCPv4) bool {
			if request.MessageType() == dhcpv4.MessageTypeDiscover {
				offers++
			}
			if offers < 2 {
				reply.Options.Del(dhcpv4.OptionSubnetMask)
			}
			reply.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{0, 68}))
			return true
		})
		c := startTenant(t)
		l := c.next(t, "the lease", granted)
		if l.MTU != 0 || l.Addr != netip.MustParsePrefix("192.0.2.77/24") {
			t.Errorf("lease %+v", l)
		}
		for _, text := range []string{"no network mask", "an MTU of 68"} {
			if !c.said(text) {
				t.Errorf("the log does not say %q", text)
			}
		}
	})
}
