package carrier

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal/haltest"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// pairOf is two sockets that can reach each other, and a poller that watches the second.
func pairOf(t *testing.T) (from, to *Socket, addr netip.AddrPort, wait func() bool) {
	t.Helper()
	open := func() *Socket {
		s, err := Open(Options{Listen: netip.AddrPortFrom(loopback, 0)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	from, to = open(), open()
	addr, err := to.Local()
	if err != nil {
		t.Fatal(err)
	}
	clock := NewClock()
	p, err := NewPoller(clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	place := p.Watch(to.FD())
	return from, to, addr, func() bool {
		t.Helper()
		if err := p.Wait(clock.Now() + 10*time.Second); err != nil {
			t.Fatal(err)
		}
		return p.Ready(place)
	}
}

// TestDatagrams: what is sent together arrives one by one, whole and in order, whether the kernel cut and coalesced it or not.
func TestDatagrams(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		for _, segments := range []bool{true, false} {
			from, to, addr, wait := pairOf(t)
			from.out.segments = from.out.segments && segments
			var want [][]byte
			for i := range 150 { // more than one call holds
				size := 1200
				if i%7 == 6 {
					size = 40 + i // the end of a run of one size
				}
				want = append(want, bytes.Repeat([]byte{byte(i)}, size))
			}
			for _, d := range want {
				if from.Full() {
					if err := from.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				from.Queue(append(from.Room(), d...), addr, netip.Addr{})
			}
			if err := from.Flush(); err != nil {
				t.Fatal(err)
			}
			local, err := from.Local()
			if err != nil {
				t.Fatal(err)
			}
			clock, n := NewClock(), 0
			for n < len(want) {
				if !wait() {
					t.Fatalf("%d of %d datagrams", n, len(want))
				}
				if _, err := to.Receive(clock, func(a Arrived) {
					if n < len(want) && !bytes.Equal(a.Data, want[n]) {
						t.Fatalf("datagram %d has %d bytes of %d, want %d of %d", n, len(a.Data), a.Data[0], len(want[n]), want[n][0])
					}
					if a.From != local || a.To != loopback {
						t.Fatalf("from %v to %v", a.From, a.To)
					}
					n++
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestStamp: a stamp of the kernel becomes a time of the clock; one of a stepped clock does not.
func TestStamp(t *testing.T) {
	m := moment{wall: 1000 * time.Hour, now: time.Hour}
	for _, tt := range []struct{ stamp, want time.Duration }{
		{1000*time.Hour - 3*time.Millisecond, time.Hour - 3*time.Millisecond},
		{0, time.Hour}, // no stamp
		{1000*time.Hour + time.Second, time.Hour},    // the day's clock was put back
		{1000*time.Hour - 10*time.Minute, time.Hour}, // or forward
	} {
		if got := m.at(tt.stamp); got != tt.want {
			t.Errorf("stamp %v is %v of the clock, want %v", tt.stamp, got, tt.want)
		}
	}
}

// TestWake: a poller that waits for nothing is woken from another goroutine, and waking one that is closed does no harm.
func TestWake(t *testing.T) {
	clock := NewClock()
	p, err := NewPoller(clock)
	if err != nil {
		t.Fatal(err)
	}
	go p.Wake()
	start := clock.Now()
	if err := p.Wait(start + time.Minute); err != nil {
		t.Fatal(err)
	}
	if waited := clock.Now() - start; waited > 30*time.Second {
		t.Errorf("woken after %v", waited)
	}
	p.Close()
	p.Wake()
}
