package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// Ticks sends numbered datagrams at a steady rate to an echo or game server and watches the answers. Port is 7 by
// default, 27015 for a game.
type Ticks struct {
	Target
	// Game talks to the game server, whose answers tell the losses of the two ways apart.
	Game bool   `json:"game,omitempty"`
	Tag  string `json:"tag,omitempty"`
	// Rate is in datagrams a second, at most 10000; default 10 for an echo, 60 for a game.
	Rate float64 `json:"rate,omitempty"`
	// Count ends the job after so many datagrams, Duration after that time; default 1 datagram.
	Count    int           `json:"count,omitempty"`
	Duration time.Duration `json:"duration_ns,omitempty"`
	// Size is that of a datagram in bytes of payload; default 128; at least what the tag needs.
	Size int `json:"size,omitempty"`
	// Grace is how long to wait for the last answers; default 1 s.
	Grace time.Duration `json:"grace_ns,omitempty"`
	// LongGap is from what length a time without an answer is listed; default 100 ms and at least two ticks.
	LongGap time.Duration `json:"long_gap_ns,omitempty"`
}

// Ticked is what came of Ticks.
type Ticked struct {
	Addr  netip.AddrPort `json:"addr"`
	Local netip.AddrPort `json:"local"`
	Sent  uint64         `json:"sent"`
	// Unsent counts datagrams that the kernel refused, such as for want of a route; they count as lost too.
	Unsent uint64 `json:"unsent"`
	// Received counts answered datagrams, each once; Lost is Sent less Received.
	Received   uint64 `json:"received"`
	Lost       uint64 `json:"lost"`
	Duplicates uint64 `json:"duplicates"`
	Reordered  uint64 `json:"reordered"` // answers to an earlier datagram than the last answered
	// LostUp and LostDown divide Lost, of a game alone; LostTail is after the last answer, on an unknown way.
	LostUp   uint64 `json:"lost_up"`
	LostDown uint64 `json:"lost_down"`
	LostTail uint64 `json:"lost_tail"`
	// MaxGap is the longest time between answers, from the first datagram to the last answer due; Gaps are the long
	// ones, at most 32, in the order of time.
	MaxGap Gap   `json:"max_gap"`
	Gaps   []Gap `json:"gaps,omitempty"`
	RTT    RTT   `json:"rtt"`
	// Sources are the sources that the server saw, a new entry for each change, at most 64.
	Sources []SourceChange `json:"sources"`
}

// SourceChange says from when on a server saw a source.
type SourceChange struct {
	At   time.Time      `json:"at"`
	Seq  uint64         `json:"seq"`
	Seen netip.AddrPort `json:"seen"`
}

const (
	maxRate    = 10_000
	maxSources = 64
)

func (j *Ticks) fill() error {
	if j.Game {
		j.Port, j.Rate = orDefault(j.Port, 27015), orDefault(j.Rate, 60)
	} else {
		j.Port, j.Rate = orDefault(j.Port, 7), orDefault(j.Rate, 10)
	}
	if j.Rate < 0.01 || j.Rate > maxRate {
		return badJob("rate %v: want 0.01 to %d datagrams a second", j.Rate, maxRate)
	}
	if j.Count == 0 && j.Duration == 0 {
		j.Count = 1
	}
	j.Size = max(orDefault(j.Size, 128), wire.MinDatagram(len(wire.CutTag(j.Tag))))
	if j.Count < 0 || j.Duration < 0 || j.Size > 1400 {
		return badJob("count %d, duration %v, size %d: want none negative and at most 1400 bytes", j.Count, j.Duration, j.Size)
	}
	j.Grace = orDefault(j.Grace, time.Second)
	j.LongGap = max(orDefault(j.LongGap, 100*time.Millisecond), time.Duration(2/j.Rate*float64(time.Second)))
	return nil
}

// Ticks runs the loop. It is no error when nothing is answered: Received says so. When ctx ends, the result is of what
// was done. The progress function gets the counts about once a second.
func (c *Client) Ticks(ctx context.Context, job Ticks, progress func(Ticked)) (Ticked, error) {
	if err := job.fill(); err != nil {
		return Ticked{}, err
	}
	addrs, err := c.addresses(ctx, job.Target)
	if err != nil {
		return Ticked{}, err
	}
	conn, err := firstUDP(ctx, job.Target, addrs)
	if err != nil {
		return Ticked{}, err
	}
	defer conn.Close()
	l := &ticker{job: job, conn: conn, session: rand.Uint64()}
	l.out.Addr, l.out.Local = addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	start := time.Now()
	l.watch = wire.NewStallWatch(start)
	var wg sync.WaitGroup
	defer wg.Wait()
	sending, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() {
		defer func() {
			// The reader stops when the last answers had their time, or at once when all are there: of the two stores,
			// ended here and answered there, one side sees the other's.
			l.ended.Store(true)
			grace := job.Grace
			if l.answered.Load() == l.sent.Load() {
				grace = 0
			}
			_ = conn.SetReadDeadline(time.Now().Add(grace))
		}()
		l.send(sending, start)
	})
	l.receive(progress)
	stop()
	wg.Wait()
	return l.result(), ctx.Err()
}

// ticker is one running loop: the sender touches sent and unsent alone, the reader all else.
type ticker struct {
	job          Ticks
	conn         *net.UDPConn
	session      uint64
	sent, unsent atomic.Uint64
	answered     atomic.Uint64 // out.Received, for the sender to see
	ended        atomic.Bool

	out    Ticked
	rtt    rttStats
	watch  wire.StallWatch
	got    bitset
	last   uint64 // highest Seq answered
	server wire.Datagram
}

// send keeps to the rate by the clock: a late tick is made up for, so that the count is right whatever the machine does.
func (l *ticker) send(ctx context.Context, start time.Time) {
	// Go's own timers may be a millisecond late; the thread's sleep is not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	kind := wire.KindEcho
	if l.job.Game {
		kind = wire.KindGame
	}
	tick := float64(time.Second) / l.job.Rate
	buf := make([]byte, 0, l.job.Size)
	for seq := uint64(1); l.job.Count == 0 || seq <= uint64(l.job.Count); seq++ {
		due := time.Duration(float64(seq-1) * tick)
		if l.job.Duration > 0 && due >= l.job.Duration {
			return
		}
		for wait := due - time.Since(start); wait > 0 && ctx.Err() == nil; wait = due - time.Since(start) {
			ts := syscall.NsecToTimespec(int64(min(wait, 20*time.Millisecond)))
			_ = syscall.Nanosleep(&ts, nil)
		}
		if ctx.Err() != nil {
			return
		}
		d := wire.Datagram{Kind: kind, Session: l.session, Seq: seq, ClientTime: int64(time.Since(start)), Tag: l.job.Tag}
		l.sent.Store(seq)
		if _, err := l.conn.Write(d.Append(buf, l.job.Size)); err != nil {
			// A connected socket also reports here the ICMP error of an earlier datagram, once; then try again.
			if _, err = l.conn.Write(d.Append(buf, l.job.Size)); err != nil {
				l.unsent.Add(1)
			}
		}
	}
}

// receive reads answers until the sender has ended and its grace is over, or all are there.
func (l *ticker) receive(progress func(Ticked)) {
	start := time.Now()
	report := start.Add(time.Second)
	buf := make([]byte, 2048)
	for {
		if l.ended.Load() && l.out.Received == l.sent.Load() {
			return
		}
		n, err := l.conn.Read(buf)
		now := time.Now()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || CauseOf(err) == Timeout {
				return
			}
			continue // an ICMP error about an earlier datagram
		}
		if d, err := wire.ParseDatagram(buf[:n]); err == nil && d.Session == l.session && d.Seq >= 1 && d.Seq <= l.sent.Load() {
			l.take(d, now)
		}
		if progress != nil && now.After(report) {
			report = now.Add(time.Second)
			progress(l.part())
		}
	}
}

func (l *ticker) take(d wire.Datagram, now time.Time) {
	if l.got.set(d.Seq) {
		l.out.Duplicates++
		return
	}
	l.out.Received++
	l.answered.Store(l.out.Received)
	l.rtt.add(now.Sub(l.begin()) - time.Duration(d.ClientTime))
	since := l.watch.Last()
	if gap := l.watch.Mark(now); gap >= l.job.LongGap {
		l.out.Gaps = keepLongest(l.out.Gaps, Gap{At: since, Length: gap})
	}
	if d.Seq < l.last {
		l.out.Reordered++
	} else {
		l.last, l.server = d.Seq, d
	}
	if n := len(l.out.Sources); n == 0 || n < maxSources && l.out.Sources[n-1].Seen != d.Seen {
		l.out.Sources = append(l.out.Sources, SourceChange{At: now, Seq: d.Seq, Seen: d.Seen})
	}
}

// begin is the start that the datagrams count their time from.
func (l *ticker) begin() time.Time { return l.watch.Start() }

// part is the result so far, without what needs the end.
func (l *ticker) part() Ticked {
	out := l.out
	out.Sent, out.Unsent = l.sent.Load(), l.unsent.Load()
	out.Lost = out.Sent - out.Received
	out.MaxGap = Gap{At: l.watch.At, Length: l.watch.Longest}
	out.Gaps, out.Sources = append([]Gap(nil), out.Gaps...), append([]SourceChange(nil), out.Sources...)
	return out
}

func (l *ticker) result() Ticked {
	// The silence at the end counts from the last answer to when the next one was due, not the grace.
	if l.out.Received < l.sent.Load() {
		due := l.begin().Add(time.Duration(float64(l.sent.Load()-1) / l.job.Rate * float64(time.Second)))
		since := l.watch.Last()
		if due.After(since) {
			if gap := l.watch.Mark(due); gap >= l.job.LongGap {
				l.out.Gaps = keepLongest(l.out.Gaps, Gap{At: since, Length: gap})
			}
		}
	}
	out := l.part()
	out.RTT = l.rtt.result()
	out.LostTail = out.Sent - l.last
	if l.job.Game && l.last > 0 {
		// The newest answer says how many of the first `highest` came up; the rest of what is missing was lost coming down.
		out.LostUp = l.server.Highest - min(l.server.Received, l.server.Highest)
		out.LostUp = min(out.LostUp, out.Lost-out.LostTail)
		out.LostDown = out.Lost - out.LostTail - out.LostUp
	}
	return out
}

// String sums up the result for a log.
func (t Ticked) String() string {
	return fmt.Sprintf("%d sent, %d lost (%d up, %d down), %d duplicates, longest gap %v, RTT %v/%v",
		t.Sent, t.Lost, t.LostUp, t.LostDown, t.Duplicates, t.MaxGap.Length, t.RTT.P50, t.RTT.Max)
}
