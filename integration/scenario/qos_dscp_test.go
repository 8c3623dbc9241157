package scenario

import (
	order "encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dscpRules set a code point for calls, trust the laptop in one service, and give all of the TV's traffic one.
const dscpRules = `
  - {id: calls, force: must, what: {services: [udp/5000-5999]}, qos: {class: realtime, dscp: 46}}
  - {id: trusted, force: must, who: {devices: [laptop]}, what: {services: [udp/4500]}, qos: {dscp: keep}}
  - {id: tv, force: default, who: {devices: [tv]}, qos: {dscp: 8}}
`

// ect0 is the ECN field of a sender that understands congestion marks (RFC 3168, section 5): nobody may change it with the code point.
const ect0 = 2

// TestCodePoints: what leaves by a link carries the code point that a rule sets, the device's own where a rule trusts it, and none otherwise.
// It is read from the packets that go out by the link's device.
func TestCodePoints(t *testing.T) {
	h := newHouse(t, overFiber(dscpRules), lossless)
	seen := h.watchCodePoints(t, "fiber")
	for _, c := range []struct {
		host             string
		port, sent, want int
	}{
		{"laptop", 4500, 46, 46},
		{"laptop", 4600, 46, 0},
		{"laptop", 4601, 0, 0},
		{"phone", 4500, 34, 0}, // the laptop is trusted, not the phone
		{"phone", 5004, 0, 46},
		{"laptop", 5005, 10, 46},
		{"tv", 4700, 40, 8},
		{"tv", 5006, 40, 46}, // a must before a default
	} {
		for _, far := range []string{echoes["IPv4"], echoes["IPv6"]} {
			got, err := seen.send(h.Lab.Host(c.host), far, c.port, c.sent<<2|ect0)
			if err != nil {
				t.Errorf("%s to port %d of %s: %v", c.host, c.port, far, err)
			} else if want := c.want<<2 | ect0; got != want {
				t.Errorf("%s sent DSCP %d to port %d of %s: it left with %d and ECN %d, want %d and %d", c.host, c.sent, c.port, far, got>>2, got&3, c.want, ect0)
			}
		}
	}
}

// codePoints are the traffic classes (DSCP and ECN) of UDP packets that left by a device, by what they carried.
type codePoints struct {
	mu   sync.Mutex
	seen map[string]int
}

// watchCodePoints captures what the router sends out by a link.
func (h *house) watchCodePoints(t *testing.T, link string) *codePoints {
	t.Helper()
	w := &codePoints{seen: map[string]int{}}
	fd := -1
	err := h.Lab.Router().Do(func() error {
		device := ""
		for _, l := range h.Lab.Links() {
			if l.Name == link {
				device = l.Device
			}
		}
		i, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		// SOCK_DGRAM leaves the Ethernet header out (packet(7)); what a device sends is given to sockets of all protocols alone.
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: allProtocols(), Ifindex: i.Index})
	})
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	}
	if err != nil {
		t.Fatalf("capturing on %s: %v", link, err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		<-done
		unix.Close(fd)
	})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
					continue
				}
				return
			}
			if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype == unix.PACKET_OUTGOING {
				w.take(buf[:n])
			}
		}
	}()
	return w
}

// allProtocols is ETH_P_ALL in the byte order of the network, as a packet socket wants it.
func allProtocols() uint16 {
	var b [2]byte
	order.BigEndian.PutUint16(b[:], unix.ETH_P_ALL)
	return order.NativeEndian.Uint16(b[:])
}

// take notes a packet of UDP without options.
func (w *codePoints) take(p []byte) {
	const udp, header4, header6, ports = 17, 20, 40, 8
	var class, from int
	switch {
	case len(p) > header4+ports && p[0] == 0x45 && p[9] == udp:
		class, from = int(p[1]), header4+ports
	case len(p) > header6+ports && p[0]>>4 == 6 && p[6] == udp:
		class, from = int(order.BigEndian.Uint16(p)>>4&0xff), header6+ports
	default:
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[string(p[from:])] = class
}

// send sends packets of a traffic class from a host until one was seen to leave, and tells with which class it did.
func (w *codePoints) send(host interface{ Do(func() error) error }, to string, port, class int) (int, error) {
	network, level, option := "udp4", unix.SOL_IP, unix.IP_TOS
	if mustAddr(to).Is6() {
		network, level, option = "udp6", unix.SOL_IPV6, unix.IPV6_TCLASS
	}
	var c net.Conn
	err := host.Do(func() (err error) {
		c, err = net.Dial(network, net.JoinHostPort(to, fmt.Sprint(port)))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, class) }); err != nil || failed != nil {
		return 0, errors.Join(err, failed)
	}
	name := fmt.Sprintf("code point of %s to %s", c.LocalAddr(), c.RemoteAddr())
	for end := time.Now().Add(paced(time.Minute)); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		// A server that nobody runs at this port refuses, which the next write hears of.
		_, _ = c.Write([]byte(name))
		w.mu.Lock()
		got, ok := w.seen[name]
		w.mu.Unlock()
		if ok {
			return got, nil
		}
	}
	return 0, errors.New("no packet of it left by the link")
}
