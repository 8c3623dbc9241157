package bench

import (
	"context"
	wire "encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/router/bond"
	"github.com/trenza-router/trenza/router/bond/tunnel"
)

// call is a flow of small datagrams there and back, as of people who speak.
type call struct {
	conn net.Conn
	echo net.PacketConn
	wg   sync.WaitGroup

	mu       sync.Mutex
	sent     []time.Time
	answered []time.Time // zero: not yet
}

const callSize = 200

// calls starts a call over the bond, as a flow of that service; the code says it to the bond as the router's kernel does.
func (w *bonded) calls(ctx context.Context, every time.Duration, s bond.Service) *call {
	w.b.Helper()
	c := &call{}
	w.far.Do(func() (err error) {
		c.echo, err = new(net.ListenConfig).ListenPacket(w.b.Context(), "udp4", bondServer+":0")
		return err
	})
	dscp := func(_, _ string, raw syscall.RawConn) (err error) {
		if ctl := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(tunnel.ServiceDSCP(s))<<2)
		}); ctl != nil {
			return ctl
		}
		return err
	}
	w.router.Do(func() (err error) {
		c.conn, err = (&net.Dialer{Control: dscp}).DialContext(w.b.Context(), "udp4", c.echo.LocalAddr().String())
		return err
	})
	c.wg.Go(func() {
		for buf := make([]byte, 2048); ; {
			n, from, err := c.echo.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.echo.WriteTo(buf[:n], from)
		}
	})
	c.wg.Go(func() {
		for buf := make([]byte, 2048); ; {
			n, err := c.conn.Read(buf)
			if err != nil {
				return
			}
			c.mu.Lock()
			if i := wire.BigEndian.Uint32(buf[:n]); int(i) < len(c.answered) && c.answered[i].IsZero() {
				c.answered[i] = time.Now()
			}
			c.mu.Unlock()
		}
	})
	c.wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for buf := make([]byte, callSize); ; {
			c.mu.Lock()
			wire.BigEndian.PutUint32(buf, uint32(len(c.sent)))
			c.sent, c.answered = append(c.sent, time.Now()), append(c.answered, time.Time{})
			c.mu.Unlock()
			_, _ = c.conn.Write(buf)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return c
}

// end waits for the last answers; ctx must be done.
func (c *call) end() {
	time.Sleep(time.Second)
	c.conn.Close()
	c.echo.Close()
	c.wg.Wait()
}

// delays are the round trips of what was sent after a time, sorted, and how many had no answer.
func (c *call) delays(from time.Time) (all []time.Duration, lost int) {
	for i, at := range c.answered {
		switch {
		case c.sent[i].Before(from):
		case at.IsZero():
			lost++
		default:
			all = append(all, at.Sub(c.sent[i]))
		}
	}
	slices.Sort(all)
	return all, lost
}

// gap is the longest time without an answer since a time.
func (c *call) gap(from time.Time) (gap time.Duration) {
	var at []time.Time
	for _, t := range c.answered {
		if t.After(from) {
			at = append(at, t)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	last := from
	for _, t := range at {
		gap, last = max(gap, t.Sub(last)), t
	}
	return gap
}

// BenchmarkBondSparse: the round trip of a call beside a download that fills all links.
func BenchmarkBondSparse(b *testing.B) {
	w := newBonded(b, linkA, linkB)
	for b.Loop() {
		var p50, p95, lost []float64
		for range bondRounds {
			load := w.bulk("cubic", "", 1, false)
			ctx, cancel := context.WithTimeout(b.Context(), bondRun)
			begin := time.Now()
			c := w.calls(ctx, 20*time.Millisecond, bond.Service{})
			<-ctx.Done()
			cancel()
			c.end()
			load.end()
			all, n := c.delays(begin.Add(bondRamp))
			p50 = append(p50, milliseconds(all[len(all)/2])...)
			p95 = append(p95, milliseconds(all[len(all)*95/100])...)
			lost = append(lost, float64(n))
		}
		b.ReportMetric(summarize(p50).median, "ms-p50")
		b.ReportMetric(summarize(p95).median, "ms-p95")
		b.ReportMetric(summarize(lost).median, "lost")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBondCut: a call's longest gap, its losses and a download's longest stall when a link dies under both.
func BenchmarkBondCut(b *testing.B) {
	for _, how := range []struct {
		name   string
		link   int
		silent bool
		by     bond.Service
	}{
		{"silent-A", 0, true, bond.Service{}},
		{"silent-B", 1, true, bond.Service{}},
		{"carrier-A", 0, false, bond.Service{}},
		{"silent-A/realtime", 0, true, bond.Service{Class: bond.Realtime}},
		{"silent-A/reliable", 0, true, bond.Service{Mode: bond.Reliable}},
		{"silent-B/reliable", 1, true, bond.Service{Mode: bond.Reliable}},
	} {
		b.Run(how.name, func(b *testing.B) {
			w := newBonded(b, linkA, linkB)
			for b.Loop() {
				var gaps, stalls, losses []float64
				for range bondRounds {
					load := w.bulk("cubic", "", 1, false)
					ctx, cancel := context.WithCancel(b.Context())
					c := w.calls(ctx, 10*time.Millisecond, how.by)
					time.Sleep(4 * time.Second)
					load.stalled()
					at := time.Now()
					if err := w.links[how.link].Cut(how.silent); err != nil {
						b.Fatal(err)
					}
					time.Sleep(2 * time.Second)
					stalls = append(stalls, milliseconds(load.stalled())...)
					cancel()
					c.end()
					load.end()
					gaps = append(gaps, milliseconds(c.gap(at))...)
					_, lost := c.delays(at.Add(-time.Second))
					losses = append(losses, float64(lost))
					if err := w.links[how.link].Heal(); err != nil {
						b.Fatal(err)
					}
					time.Sleep(2 * time.Second) // it is taken in again
				}
				b.ReportMetric(summarize(gaps).median, "ms-gap")
				b.ReportMetric(slices.Max(gaps), "ms-gap-worst")
				b.ReportMetric(summarize(stalls).median, "ms-stall")
				b.ReportMetric(summarize(losses).median, "lost")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBondMixes: a download over all links through the bond against the same over the best of them without a bond.
func BenchmarkBondMixes(b *testing.B) {
	link := func(mbit, delay, queue int) emulator.Settings {
		return emulator.Settings{Rate: int64(mbit) * 1e6, Delay: time.Duration(delay) * time.Millisecond, Queue: time.Duration(queue) * time.Millisecond}
	}
	for _, links := range [][]emulator.Settings{
		{link(10, 30, 150), link(2, 50, 300)},
		{link(50, 10, 80), link(2, 50, 300)},
		{link(50, 10, 80), link(10, 100, 120)},
		{link(50, 10, 80), link(20, 40, 120), link(20, 20, 100)},
		{link(30, 15, 100), link(10, 30, 150), link(5, 60, 200), link(2, 50, 300)},
	} {
		name := ""
		for i, s := range links {
			if i > 0 {
				name += "+"
			}
			name += fmt.Sprintf("%d-%d", s.Rate/1e6, s.Delay/time.Millisecond)
		}
		b.Run(name, func(b *testing.B) {
			w := newBonded(b, links...)
			for b.Loop() {
				of, _, ratios := duel(bondRounds, func() float64 { return w.goodput("cubic", "", 1, false) }, func() float64 { return w.goodput("cubic", "wan0", 1, false) })
				b.ReportMetric(summarize(ratios).median, "ratio")
				b.ReportMetric(slices.Min(ratios), "ratio-worst")
				b.ReportMetric(summarize(of).median/w.sum(), "share-down")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
