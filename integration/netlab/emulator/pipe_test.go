package emulator

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// frameOf returns a frame of size bytes that carries a number.
func frameOf(size int, n uint32) []byte {
	f := make([]byte, size)
	binary.BigEndian.PutUint32(f, n)
	return f
}

func numberOf(f []byte) uint32 { return binary.BigEndian.Uint32(f) }

// arrival is a frame's number and the time it arrived.
type arrival struct {
	n  uint32
	at time.Duration
}

// drain steps the virtual clock from event to event, up to and including until.
func drain(p *Pipe, until time.Duration) []arrival {
	var out []arrival
	for {
		at, ok := p.Next()
		if !ok || at > until {
			return out
		}
		for f, ok := p.Pop(at); ok; f, ok = p.Pop(at) {
			out = append(out, arrival{numberOf(f), at})
		}
	}
}

func TestRate(t *testing.T) {
	for _, rate := range []int64{64_000, 5_000_000, 20_000_000, 100_000_000, 1_000_000_000} {
		const size, frames = 1514, 2000
		p := NewPipe(Settings{Rate: rate, Queue: MaxDelay * 2}, 1)
		air := time.Duration(size * 8 * int64(time.Second) / rate)
		var got []arrival
		for i := range uint32(frames) { // offered at twice the rate, so the transmitter never idles
			now := time.Duration(i) * air / 2
			got = append(got, drain(p, now)...)
			p.Push(now, frameOf(size, i))
		}
		got = append(got, drain(p, math.MaxInt64)...)
		elapsed := got[len(got)-1].at
		bits := float64(p.Counters().DeliveredBytes * 8)
		if e := bits/elapsed.Seconds()/float64(rate) - 1; math.Abs(e) > 0.01 {
			t.Errorf("rate %d: off by %.3f %%", rate, e*100)
		}
		for i := 1; i < len(got); i++ {
			if gap := got[i].at - got[i-1].at; gap < air {
				t.Fatalf("rate %d: frames %d and %d are %v apart, want at least %v", rate, i-1, i, gap, air)
			}
		}
	}
}

func TestDelayIsExact(t *testing.T) {
	p := NewPipe(Settings{Rate: 10_000_000, Delay: 20 * time.Millisecond}, 1)
	p.Push(time.Second, frameOf(1250, 7)) // 1 ms on the air
	if _, ok := p.Pop(time.Second + 21*time.Millisecond - 1); ok {
		t.Error("the frame came 1 ns early")
	}
	if f, ok := p.Pop(time.Second + 21*time.Millisecond); !ok || numberOf(f) != 7 {
		t.Error("the frame was not there in time")
	}
}

func TestJitterKeepsOrderAndBounds(t *testing.T) {
	const delay, jitter = 15 * time.Millisecond, 3 * time.Millisecond
	p := NewPipe(Settings{Delay: delay, Jitter: jitter}, 3)
	var got []arrival
	sent := map[uint32]time.Duration{}
	for i := range uint32(5000) {
		now := time.Duration(i) * 10 * time.Millisecond // far apart: each shows its own jitter
		if i%5 == 0 {
			now += 9900 * time.Microsecond // and some close together
		}
		got = append(got, drain(p, now)...)
		sent[i] = now
		p.Push(now, frameOf(100, i))
	}
	got = append(got, drain(p, math.MaxInt64)...)
	if len(got) != 5000 {
		t.Fatalf("%d frames arrived, want all 5000", len(got))
	}
	var spread []time.Duration
	for i, a := range got {
		if a.n != uint32(i) {
			t.Fatalf("frame %d arrived as number %d", a.n, i)
		}
		d := a.at - sent[a.n]
		if d < delay || d >= delay+jitter {
			t.Fatalf("frame %d took %v, want %v to %v", a.n, d, delay, delay+jitter)
		}
		spread = append(spread, d-delay)
	}
	slices.Sort(spread)
	if lo, hi := spread[len(spread)/10], spread[len(spread)*9/10]; lo > jitter/5 || hi < jitter*4/5 {
		t.Errorf("jitter is not spread: 10 %% below %v, 90 %% below %v", lo, hi)
	}
}

func TestLossFollowsSeed(t *testing.T) {
	const frames, loss = 20000, 0.02
	lost := func(seed uint64) (which []uint32) {
		p := NewPipe(Settings{Loss: loss}, seed)
		var next uint32
		for i := range uint32(frames) {
			p.Push(0, frameOf(60, i))
			for f, ok := p.Pop(0); ok; f, ok = p.Pop(0) {
				for ; next < numberOf(f); next++ {
					which = append(which, next)
				}
				next++
			}
		}
		if c := p.Counters(); c.Lost+c.Delivered != frames {
			t.Fatalf("lost %d and delivered %d of %d", c.Lost, c.Delivered, frames)
		}
		return which
	}
	a, b, c := lost(1), lost(1), lost(2)
	if !slices.Equal(a, b) {
		t.Error("the same seed lost other frames")
	}
	if slices.Equal(a, c) {
		t.Error("another seed lost the same frames")
	}
	// Five standard deviations of the binomial distribution.
	mean, dev := frames*loss, math.Sqrt(frames*loss*(1-loss))
	if got := float64(len(a)); math.Abs(got-mean) > 5*dev {
		t.Errorf("lost %v of %d frames, want %v ± %.0f", got, frames, mean, 5*dev)
	}
}

func TestQueueLimit(t *testing.T) {
	// 1250 bytes at 10 Mbit/s take 1 ms; a 50 ms queue holds 50 of them behind
	// the one that is being sent, at that moment with its whole time to go.
	p := NewPipe(Settings{Rate: 10_000_000, Queue: 50 * time.Millisecond}, 1)
	accepted := 0
	for i := range uint32(200) {
		if p.Push(0, frameOf(1250, i)) {
			accepted++
		}
	}
	if accepted != 51 {
		t.Errorf("a burst of 200 frames: %d accepted, want 51", accepted)
	}
	if c := p.Counters(); c.Overflowed != 149 || c.Sent != 51 {
		t.Errorf("counters %+v, want 149 overflowed and 51 sent", c)
	}
	if got := drain(p, math.MaxInt64); got[len(got)-1].at != 51*time.Millisecond {
		t.Errorf("the last frame arrived at %v, want 51ms", got[len(got)-1].at)
	}
}

func TestRateChangeWhileQueued(t *testing.T) {
	p := NewPipe(Settings{Rate: 10_000_000, Queue: time.Second}, 1)
	p.Push(0, frameOf(1250, 0)) // 1 ms each
	p.Push(0, frameOf(1250, 1))
	p.Set(500*time.Microsecond, Settings{Rate: 5_000_000, Queue: time.Second})
	want := []arrival{{0, 1500 * time.Microsecond}, {1, 3500 * time.Microsecond}}
	if got := drain(p, math.MaxInt64); !slices.Equal(got, want) {
		t.Errorf("halved rate in mid-frame: %v, want %v", got, want)
	}

	p.Push(10*time.Millisecond, frameOf(1250, 2))
	p.Set(10*time.Millisecond, Settings{})
	want = []arrival{{2, 10 * time.Millisecond}}
	if got := drain(p, math.MaxInt64); !slices.Equal(got, want) {
		t.Errorf("limit lifted: %v, want %v", got, want)
	}
}

func TestDelayChangeKeepsOrder(t *testing.T) {
	p := NewPipe(Settings{Delay: 100 * time.Millisecond}, 1)
	p.Push(0, frameOf(60, 0))
	p.Set(0, Settings{Delay: time.Millisecond})
	p.Push(time.Millisecond, frameOf(60, 1))
	want := []arrival{{0, 100 * time.Millisecond}, {1, 100 * time.Millisecond}}
	if got := drain(p, math.MaxInt64); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBlackhole(t *testing.T) {
	p := NewPipe(Settings{Rate: 10_000_000, Delay: 5 * time.Millisecond, Queue: time.Second}, 1)
	p.Push(0, frameOf(1250, 0)) // sent at 1 ms, on the line at 2 ms
	p.Push(0, frameOf(1250, 1)) // being sent at 2 ms
	p.Push(0, frameOf(1250, 2)) // waiting
	p.Blackhole(1500*time.Microsecond, true)
	if p.Push(2*time.Millisecond, frameOf(1250, 3)) {
		t.Error("the blackhole kept a frame")
	}
	if got := drain(p, math.MaxInt64); len(got) != 0 {
		t.Errorf("%v came out of the blackhole", got)
	}
	p.Blackhole(time.Second, false)
	p.Push(time.Second, frameOf(1250, 4))
	if got, want := drain(p, math.MaxInt64), []arrival{{4, time.Second + 6*time.Millisecond}}; !slices.Equal(got, want) {
		t.Errorf("after healing %v, want %v", got, want)
	}
	if c := p.Counters(); c.Cut != 4 || c.Sent != 5 || c.Delivered != 1 {
		t.Errorf("counters %+v, want 4 cut, 5 sent, 1 delivered", c)
	}
}

// TestPipeProperties drives a pipe with random frames, settings and cuts: no
// frame is invented, doubled, reordered or early, and the counters add up.
func TestPipeProperties(t *testing.T) {
	settings := rapid.Custom(func(t *rapid.T) Settings {
		return Settings{
			Rate:   rapid.SampledFrom([]int64{0, MinRate, 1_000_000, 100_000_000, MaxRate}).Draw(t, "rate"),
			Delay:  time.Duration(rapid.Int64Range(0, int64(MaxDelay)).Draw(t, "delay")),
			Jitter: time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "jitter")),
			Loss:   rapid.SampledFrom([]float64{0, 0.1, 1}).Draw(t, "loss"),
			Queue:  time.Duration(rapid.Int64Range(0, int64(MaxDelay)).Draw(t, "queue")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		cur := settings.Draw(t, "first")
		p := NewPipe(cur, rapid.Uint64().Draw(t, "seed"))
		var now time.Duration
		earliest := map[uint32]time.Duration{}
		last := int64(-1)
		take := func(until time.Duration) {
			for _, a := range drain(p, until) {
				if int64(a.n) <= last {
					t.Fatalf("frame %d arrived after frame %d", a.n, last)
				}
				if a.at < earliest[a.n] {
					t.Fatalf("frame %d arrived at %v, before %v", a.n, a.at, earliest[a.n])
				}
				last = int64(a.n)
			}
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(50*time.Millisecond)).Draw(t, "pause"))
			take(now)
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				cur = settings.Draw(t, "next")
				for n, e := range earliest {
					if e > now+cur.Delay { // may still be in the queue
						earliest[n] = now + cur.Delay
					}
				}
				p.Set(now, cur)
			case 1:
				p.Blackhole(now, rapid.Bool().Draw(t, "cut"))
			default:
				earliest[uint32(i)] = now + cur.Delay
				p.Push(now, frameOf(rapid.IntRange(14, 1514).Draw(t, "size"), uint32(i)))
			}
		}
		take(math.MaxInt64)
		if c := p.Counters(); c.Sent != c.Delivered+c.Lost+c.Cut {
			t.Fatalf("counters do not add up: %+v", c)
		}
	})
}
