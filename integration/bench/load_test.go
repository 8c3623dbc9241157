package bench

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	udpPort = 9000
	// loadLength is the payload of the load's datagrams in bytes: with it an Ethernet frame has its least length of 60.
	loadLength = 18
)

// sink makes a machine drop the load as soon as it has arrived, so that receiving costs next to nothing. Other lengths
// pass: greetings, names.
func sink(m *machine) {
	m.nft(fmt.Sprintf(`table ip sink {
	chain in {
		type filter hook prerouting priority raw; policy accept;
		udp length %d drop
	}
}
`, loadLength+8))
}

// stream is a set of UDP flows that both ends know, as a router sees established ones.
type stream struct {
	up, down []int // blocking, connected sockets of the client, and of the server
}

const flowsOfStream = 16

// newStream opens flows from the client to the server and greets through each of them, both ways.
func newStream(p *path) *stream {
	p.b.Helper()
	s := &stream{}
	for i := range flowsOfStream {
		up, down := p.greet(unix.SockaddrInet4{Port: udpPort, Addr: [4]byte{198, 51, 100, byte(10 + i)}})
		s.up, s.down = append(s.up, up), append(s.down, down)
	}
	return s
}

// socket makes a UDP socket on a machine. It blocks, and the Go runtime does not wait for it: being woken for each packet
// that has left would cost more than the packet.
func (p *path) socket(m *machine) int {
	p.b.Helper()
	fd := -1
	m.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	p.b.Cleanup(func() { _ = unix.Close(fd) })
	wait := unix.Timeval{Usec: 200_000}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		p.b.Fatal(err)
	}
	return fd
}

// greet opens a flow to an address of the server, sends a datagram each way, and returns a connected socket of each end.
func (p *path) greet(at unix.SockaddrInet4) (up, down int) {
	p.b.Helper()
	up, down = p.socket(p.client), p.socket(p.server)
	if err := errors.Join(unix.Bind(down, &at), unix.Connect(up, &at)); err != nil {
		p.b.Fatalf("preparing a flow: %v", err)
	}
	buf := make([]byte, 64)
	for try := 0; ; try++ {
		if _, err := unix.Write(up, []byte("hello")); err != nil {
			p.b.Fatalf("opening a flow: %v", err)
		}
		// The server sees the router's address; its answers go there.
		if _, seen, err := unix.Recvfrom(down, buf, 0); err == nil {
			if err := unix.Connect(down, seen); err != nil {
				p.b.Fatalf("answering a flow: %v", err)
			}
			break
		} else if try == 50 {
			p.b.Fatalf("no datagram to %v came through: %v", at.Addr, err)
		}
	}
	if _, err := unix.Write(down, []byte("welcome")); err != nil {
		p.b.Fatalf("answering a flow: %v", err)
	}
	if _, err := unix.Read(up, buf); err != nil {
		p.b.Fatalf("no answer of %v came back: %v", at.Addr, err)
	}
	return up, down
}

// stopwatch measures the processor time of the calling thread. On a veth pair the sender's own system call carries a packet
// through all three machines: the time of sending is the time of the whole way, and what other programs do meanwhile
// is not in it.
func stopwatch() func() time.Duration {
	runtime.LockOSThread()
	now := func() time.Duration {
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // cannot fail for the thread itself
		return time.Duration(t.Nano())
	}
	began := now()
	return func() time.Duration {
		defer runtime.UnlockOSThread()
		return now() - began
	}
}

// rate is how much of what was sent arrived, in a second of processor time; what was dropped on the way does not count.
func rate(b *testing.B, exchange func() (arrived int, err error)) float64 {
	b.Helper()
	elapsed := stopwatch()
	arrived, err := exchange()
	took := elapsed()
	if err != nil {
		b.Fatalf("sending the load: %v", err)
	}
	return float64(arrived) / took.Seconds()
}

// deliver sends packets over flows and receives them at the other ends, some at a time, as two programs would.
func deliver(from, to []int, packets int) (arrived int, err error) {
	const together = 32
	payload, buf := make([]byte, loadLength), make([]byte, 64)
	for n := 0; n < packets; n += together {
		flow := n / together % len(from)
		for range together {
			if _, err := unix.Write(from[flow], payload); err != nil {
				return 0, err
			}
		}
		for {
			if _, _, err := unix.Recvfrom(to[flow], buf, unix.MSG_DONTWAIT); err != nil {
				break // all that came
			}
			arrived++
		}
	}
	return arrived, nil
}

// pump sends packets over flows in turns, to a sink.
func pump(flows []int, packets int, received func() uint64) (arrived int, err error) {
	payload := make([]byte, loadLength)
	before := received()
	for n := range packets {
		if _, err := unix.Write(flows[n%len(flows)], payload); err != nil {
			return 0, err
		}
	}
	return int(received() - before), nil
}

// udpFlows opens flows to a sink by sending one datagram to each of many ports and addresses.
func udpFlows(fd, flows int, received func() uint64) (arrived int, err error) {
	payload := make([]byte, loadLength)
	before := received()
	for i := range flows {
		to := unix.SockaddrInet4{Port: 10000 + i/50, Addr: [4]byte{198, 51, 100, byte(100 + i%50)}}
		if err := unix.Sendto(fd, payload, 0, &to); err != nil {
			return 0, err
		}
	}
	return int(received() - before), nil
}

// forget empties the router's connection table.
func (p *path) forget() {
	p.b.Helper()
	p.router.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) })
}

const tcpPorts = 16

// listen makes the server's listening sockets.
func (p *path) listen() []int {
	p.b.Helper()
	var out []int
	for i := range tcpPorts {
		p.server.Do(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			p.b.Cleanup(func() { _ = unix.Close(fd) })
			out = append(out, fd)
			return errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: 7000 + i}), unix.Listen(fd, 128))
		})
	}
	return out
}

// tcpFlows opens and ends connections one after the other; both ends are this thread, which must be the client's.
func tcpFlows(listeners []int, flows int) (arrived int, err error) {
	for i := range flows {
		to := unix.SockaddrInet4{Port: 7000 + i%tcpPorts, Addr: [4]byte{198, 51, 100, byte(100 + i/tcpPorts%50)}}
		if err := connectOnce(listeners[i%tcpPorts], to); err != nil {
			return arrived, err
		}
		arrived++
	}
	return arrived, nil
}

func connectOnce(listener int, to unix.SockaddrInet4) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	defer unix.Close(fd)
	// Our end is reset when it closes: the port is free again at once.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return fmt.Errorf("preparing a socket: %w", err)
	}
	if err := unix.Connect(fd, &to); err != nil {
		return fmt.Errorf("connecting to port %d: %w", to.Port, err)
	}
	far, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("accepting a connection: %w", err)
	}
	if err := unix.Close(far); err != nil {
		return fmt.Errorf("ending a connection: %w", err)
	}
	if _, err := unix.Read(fd, make([]byte, 1)); err != nil {
		return fmt.Errorf("reading the end of a connection: %w", err)
	}
	return nil
}
