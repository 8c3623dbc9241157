package autorate

import (
	"fmt"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/qos"
)

const mbit Rate = 1_000_000

// driven makes a Law a controller.
type driven struct{ *Law }

func (d driven) step(now time.Time, r Reading) Rate { return d.Step(now, r) }

func newLaw(t testing.TB, c Config) driven {
	t.Helper()
	l, err := New(c, start())
	if err != nil {
		t.Fatal(err)
	}
	return driven{l}
}

// replay runs the law and the model of cake-autorate in one world. Both know the same: that the link carries 1 to 40 Mbit/s, and that
// 20 is a good start.
func replay(t *testing.T, w world, length time.Duration) (ours, theirs outcome) {
	t.Helper()
	ours = w.run(newLaw(t, Config{Direction: w.direction, Min: mbit, Max: 40 * mbit, Start: 20 * mbit}), mbit, length)
	theirs = w.run(newRival(20*mbit, mbit, 40*mbit), 20*mbit, length)
	ms := time.Millisecond
	t.Logf("law:   use %.3f, queue p50 %v p95 %v p99 %v, lost %.4f", ours.use, ours.p50, ours.p95.Round(ms), ours.p99.Round(ms), ours.lost)
	t.Logf("model: use %.3f, queue p50 %v p95 %v p99 %v, lost %.4f", theirs.use, theirs.p50, theirs.p95.Round(ms), theirs.p99.Round(ms), theirs.lost)
	return ours, theirs
}

// goals are what a replay must reach.
type goals struct {
	use float64
	p95 time.Duration
}

func (g goals) check(t *testing.T, ours, theirs outcome) {
	t.Helper()
	if ours.use < g.use || ours.p95 > g.p95 {
		t.Errorf("use %.3f and p95 %v, want at least %.2f and at most %v", ours.use, ours.p95, g.use, g.p95)
	}
	if ours.use < 1.1*theirs.use || ours.p95 > theirs.p95/2 {
		t.Errorf("use %.3f against %.3f and p95 %v against %v: want at least 1.1 of the one and at most half of the other",
			ours.use, theirs.use, ours.p95, theirs.p95)
	}
	if ours.least < mbit {
		t.Errorf("the rate fell to %s, below its minimum", ours.least)
	}
}

const replayTime = 3 * time.Minute

func lteWorld(d qos.Direction, seed uint64) world {
	return world{direction: d, capacity: lte(seed, replayTime), buffer: 2 << 20, base: 40 * time.Millisecond}
}

// TestReplay: use of the link at least 0.85 and p95 of the queue at most 160 ms on traces of a cellular link.
func TestReplay(t *testing.T) {
	for _, d := range []qos.Direction{qos.Down, qos.Up} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s/seed %d", d, seed), func(t *testing.T) {
				ours, theirs := replay(t, lteWorld(d, seed), replayTime)
				goals{0.85, 160 * time.Millisecond}.check(t, ours, theirs)
			})
		}
	}
}

// TestReplayWithSpikes: the same with delays that have nothing to do with load.
func TestReplayWithSpikes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("down/seed %d", seed), func(t *testing.T) {
			w := lteWorld(qos.Down, seed)
			w.extra = spikes(seed, replayTime)
			ours, theirs := replay(t, w, replayTime)
			goals{0.85, 160 * time.Millisecond}.check(t, ours, theirs)
		})
		// On the way up nothing but the delays tells what is delivered. The goal is out of reach there; what is reached must not get lost.
		t.Run(fmt.Sprintf("up/seed %d", seed), func(t *testing.T) {
			w := lteWorld(qos.Up, seed)
			w.extra = spikes(seed, replayTime)
			ours, theirs := replay(t, w, replayTime)
			if ours.use < 0.75 || ours.use < 1.1*theirs.use || ours.p95 > 400*time.Millisecond {
				t.Errorf("use %.3f against %.3f and p95 %v", ours.use, theirs.use, ours.p95)
			}
		})
	}
}
