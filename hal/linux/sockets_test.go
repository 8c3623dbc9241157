package linux

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

// twoWays joins the namespace to two neighbours who both call themselves 192.0.2.1 and 2001:db8::1.
func twoWays(t *testing.T) (first, second *neighbour) {
	t.Helper()
	first = home(t, "wan1", "192.0.2", "2001:db8")
	second = newNeighbour(t, "wan2", "isp")
	run(t, "ip address add 192.0.2.3/24 dev wan2 noprefixroute")
	run(t, "ip address add 2001:db8::3/64 dev wan2 nodad noprefixroute")
	second.Run("ip address add 192.0.2.1/24 dev isp")
	second.Run("ip address add 2001:db8::1/64 dev isp nodad")
	echoServers(t, second, "192.0.2.1", "2001:db8::1")
	// Only the mark leads to the second neighbour.
	for _, f := range []string{"-4", "-6"} {
		run(t, "ip "+f+" rule add fwmark 0x4000/0xe000 lookup 1002 pref 9002")
	}
	run(t, "ip route add 192.0.2.0/24 dev wan2 table 1002")
	run(t, "ip -6 route add 2001:db8::/64 dev wan2 table 1002")
	return first, second
}

func TestDial(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		twoWays(t)
		m := newMachine(t)
		a4, a6 := netip.MustParseAddrPort("192.0.2.1:7"), netip.MustParseAddrPort("[2001:db8::1]:7")
		s4, s6 := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::3")
		for _, network := range []string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"} {
			to, source := a4, s4
			if strings.HasSuffix(network, "6") {
				to, source = a6, s6
			}
			for _, c := range []struct {
				name string
				via  hal.Via
				want netip.Addr // source address; not checked when invalid
			}{
				{"no way", hal.Via{}, netip.Addr{}},
				{"device, mark and source", hal.Via{Device: "wan2", Mark: 0x4000, Source: source}, source},
				{"device and mark", hal.Via{Device: "wan2", Mark: 0x4000}, source},
			} {
				t.Run(network+" "+c.name, func(t *testing.T) {
					conn, err := m.Dial(t.Context(), c.via, network, to)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					exchange(t, conn)
					if got := netip.MustParseAddrPort(conn.LocalAddr().String()).Addr(); c.want.IsValid() && got != c.want {
						t.Errorf("source address %s, want %s", got, c.want)
					}
					if c.via == (hal.Via{}) {
						return
					}
					checkTied(t, conn, c.via)
				})
			}
		}

		for name, c := range map[string]struct {
			via     hal.Via
			network string
			to      string
			want    error
		}{
			"no such device":  {hal.Via{Device: "wan9"}, "tcp", "192.0.2.1:7", hal.ErrNotFound},
			"refused":         {hal.Via{Device: "wan1"}, "tcp", "192.0.2.1:1", unix.ECONNREFUSED},
			"no route":        {hal.Via{}, "udp", "203.0.113.1:53", unix.ENETUNREACH},
			"unknown network": {hal.Via{}, "unix", "192.0.2.1:1", hal.ErrUnsupported},
		} {
			_, err := m.Dial(t.Context(), c.via, c.network, netip.MustParseAddrPort(c.to))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.to) {
				t.Errorf("%s: error %v, want one that names %s and wraps %v", name, err, c.to, c.want)
			}
		}
		if _, err := m.Dial(t.Context(), hal.Via{}, "tcp", netip.AddrPort{}); err == nil {
			t.Error("dialling no address succeeded")
		}
	})
}

// checkTied asks the kernel what the socket is bound to.
func checkTied(t *testing.T, conn net.Conn, via hal.Via) {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var device string
	var mark int
	if err := raw.Control(func(fd uintptr) {
		device, _ = unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
		mark, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK)
	}); err != nil {
		t.Fatal(err)
	}
	if device != via.Device || uint32(mark) != uint32(via.Mark) {
		t.Errorf("socket is bound to %q with mark %#x, want %q and %#x", device, mark, via.Device, uint32(via.Mark))
	}
}

func TestPing(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		first, _ := twoWays(t)
		m := newMachine(t)
		a4, a6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
		over1, over2 := hal.Via{Device: "wan1"}, hal.Via{Device: "wan2", Mark: 0x4000}
		ping := func(via hal.Via, to netip.Addr, within time.Duration) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			return m.Ping(ctx, via, to)
		}

		// Many at once over both ways: each must get its own answer.
		var all sync.WaitGroup
		for range 50 {
			for _, to := range []netip.Addr{a4, a6} {
				for _, via := range []hal.Via{over1, over2, {}} {
					all.Go(func() {
						if rtt, err := ping(via, to, 20*time.Second); err != nil || rtt <= 0 || rtt > 10*time.Second {
							t.Errorf("ping %s over %q: %v, %v", to, via.Device, rtt, err)
						}
					})
				}
			}
		}
		all.Wait()

		var linkLocal netip.Addr
		eventually(t, "the neighbour's link-local address", func() bool {
			for _, word := range strings.Fields(first.Run("ip -6 -o address show dev isp scope link -tentative")) {
				if p, err := netip.ParsePrefix(word); err == nil {
					linkLocal = p.Addr()
				}
			}
			return linkLocal.IsValid()
		})
		if _, err := ping(over1, linkLocal, 20*time.Second); err != nil {
			t.Error("a link-local address gets its zone from the device:", err)
		}
		if _, err := ping(hal.Via{Source: netip.MustParseAddr("192.0.2.2"), Device: "wan1"}, a4, 20*time.Second); err != nil {
			t.Error("with a source address:", err)
		}

		// The first neighbour falls silent; the second must not answer for it.
		first.Run("ip address flush dev isp")
		for _, to := range []netip.Addr{a4, a6} {
			if _, err := ping(over1, to, 300*time.Millisecond); err == nil || !strings.Contains(err.Error(), "over wan1") {
				t.Errorf("ping %s over the silent way: %v", to, err)
			}
			if _, err := ping(over2, to, 20*time.Second); err != nil {
				t.Errorf("ping %s over the other way: %v", to, err)
			}
		}
		_, err := ping(over2, a4, 0)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ping with no time left: %v", err)
		}
		if _, err := ping(hal.Via{Device: "wan9"}, a4, time.Second); !errors.Is(err, hal.ErrNotFound) {
			t.Errorf("ping over a device that is not there: %v", err)
		}
		if _, err := ping(hal.Via{}, netip.MustParseAddr("203.0.113.1"), time.Second); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("ping where no route leads: %v", err)
		}
	})
}

// The time of arrival is the kernel's: reading the answer late does not make the link slow.
func TestPingTimeOfArrival(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		home(t, "wan1", "192.0.2", "2001:db8")
		var a arrivals
		a.on()
		for _, to := range []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")} {
			// The clock is switched on by a worker of the kernel, soon.
			eventually(t, "an answer with the kernel's time", func() bool {
				s, err := openEcho(t.Context(), hal.Via{}, to)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				want := echo{id: 1, sequence: 2}
				sent := time.Now()
				if err := s.Sendto(t.Context(), encodeEcho(want, to.Is6()), 0, nil); err != nil {
					t.Fatal(err)
				}
				const late = 300 * time.Millisecond
				time.Sleep(late) // the process is stalled
				buf, control := make([]byte, answerSize), make([]byte, 128)
				n, controlLength, _, from, err := s.Recvmsg(t.Context(), buf, control, 0)
				if err != nil {
					t.Fatal(err)
				}
				if got, ok := decodeEcho(buf[:n], to.Is6()); !ok || got != want || !sameAddress(from, to) {
					t.Fatalf("answer %v %v from %v", got, ok, from)
				}
				return roundTrip(sent, time.Since(sent), arrival(control[:controlLength])) < late
			})
		}
	})
}

func TestRoundTrip(t *testing.T) {
	sent := time.Now()
	for name, c := range map[string]struct {
		arrived time.Time
		want    time.Duration
	}{
		"kernel's time":           {sent.Round(0).Add(8 * time.Millisecond), 8 * time.Millisecond},
		"none":                    {time.Time{}, 50 * time.Millisecond},
		"clock was set back":      {sent.Round(0).Add(-time.Hour), 50 * time.Millisecond},
		"clock was set forward":   {sent.Round(0).Add(time.Hour), 50 * time.Millisecond},
		"clock was set by little": {sent.Round(0).Add(51 * time.Millisecond), 50 * time.Millisecond},
	} {
		if got := roundTrip(sent, 50*time.Millisecond, c.arrived); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
