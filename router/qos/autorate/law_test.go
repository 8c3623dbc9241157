package autorate

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/qos"
)

func steady(r Rate) func(time.Duration) Rate { return func(time.Duration) Rate { return r } }

func steadyWorld(d qos.Direction) world {
	return world{direction: d, capacity: steady(20 * mbit), buffer: 1 << 20, base: 30 * time.Millisecond}
}

var directions = []qos.Direction{qos.Down, qos.Up}

func config(d qos.Direction) Config {
	return Config{Direction: d, Min: 1 * mbit, Max: 100 * mbit, Start: 10 * mbit}
}

// TestSteady: a link that does not change is used almost whole, with little queue.
func TestSteady(t *testing.T) {
	for _, d := range directions {
		o := steadyWorld(d).run(newLaw(t, config(d)), mbit, time.Minute)
		if o.use < 0.9 || o.p95 > 60*time.Millisecond || o.lost > 0 {
			t.Errorf("%s: use %.3f, p95 %v, lost %.4f", d, o.use, o.p95, o.lost)
		}
	}
}

// TestStart: a start far above what the link carries is taken back at once, one far below is left in seconds.
func TestStart(t *testing.T) {
	for _, d := range directions {
		for _, begin := range []Rate{mbit, 100 * mbit} {
			c := config(d)
			c.Start = begin
			var settled time.Duration
			w := steadyWorld(d)
			w.watch = func(at time.Duration, r Rate, delay time.Duration) {
				if r < 12*mbit || delay > 200*time.Millisecond {
					settled = at
				}
			}
			w.run(newLaw(t, c), mbit, 30*time.Second)
			if settled > 8*time.Second {
				t.Errorf("%s from %s: settled after %v", d, begin, settled)
			}
		}
	}
}

// TestMinimum: a link that carries less than the minimum does not pull the rate below it.
func TestMinimum(t *testing.T) {
	for _, d := range directions {
		w := steadyWorld(d)
		w.capacity = steady(500_000)
		o := w.run(newLaw(t, config(d)), mbit, time.Minute)
		if o.least != mbit {
			t.Errorf("%s: the least rate is %s, want 1mbit", d, o.least)
		}
	}
}

// TestStall: a link that stands still for two seconds does not teach that it carries nothing.
func TestStall(t *testing.T) {
	for _, d := range directions {
		l := newLaw(t, config(d))
		w := steadyWorld(d)
		const from, to = 20 * time.Second, 22 * time.Second
		within := func(at time.Duration) bool { return at >= from && at < to }
		w.capacity = func(at time.Duration) Rate {
			if within(at) {
				return 0
			}
			return 20 * mbit
		}
		w.demand = func(at time.Duration) Rate {
			if within(at) {
				return 0 // senders get no acknowledgements
			}
			return 100 * mbit
		}
		stalled := false
		var back time.Duration
		w.watch = func(at time.Duration, r Rate, _ time.Duration) {
			stalled = stalled || l.State() == Stalled
			if at > to && back == 0 && r > 14*mbit {
				back = at - to
			}
		}
		w.run(l, mbit, 40*time.Second)
		if !stalled || back == 0 || back > 3*time.Second {
			t.Errorf("%s: stalled: %v; back at 14mbit %v after", d, stalled, back)
		}
	}
}

// TestDeadReflectors: one that dies is named and changes nothing; when all die, a rate a little below the last one holds.
func TestDeadReflectors(t *testing.T) {
	for _, d := range directions {
		w := steadyWorld(d)
		l := newLaw(t, config(d))
		w.answers = func(at time.Duration, r int) bool { return r != 4 || at < 5*time.Second }
		if o := w.run(l, mbit, time.Minute); o.use < 0.9 {
			t.Errorf("%s: one dead reflector: use %.3f", d, o.use)
		}
		if dead := l.Dead(); len(dead) != 1 || dead[0] != 4 {
			t.Errorf("%s: dead are %v, want 4 alone", d, dead)
		}

		l = newLaw(t, config(d))
		w.answers = func(at time.Duration, _ int) bool { return at < 30*time.Second }
		w.run(l, mbit, time.Minute)
		if l.State() != Deaf || l.Rate() < 10*mbit || l.Rate() > 20*mbit || len(l.Dead()) != reflectors {
			t.Errorf("%s: all dead: %s at %s, dead %v", d, l.State(), l.Rate(), l.Dead())
		}
		w.answers = func(at time.Duration, _ int) bool { return at < 20*time.Second || at > 30*time.Second }
		l = newLaw(t, config(d))
		w.run(l, mbit, time.Minute)
		if l.State() == Deaf || l.Rate() < 15*mbit {
			t.Errorf("%s: alive again: %s at %s", d, l.State(), l.Rate())
		}
	}
}

// TestLongerPath: a delay that comes to stay is a longer path and no queue.
func TestLongerPath(t *testing.T) {
	for _, d := range directions {
		l := newLaw(t, config(d))
		w := steadyWorld(d)
		w.extra = func(at time.Duration) time.Duration {
			if at > 20*time.Second {
				return 60 * time.Millisecond
			}
			return 0
		}
		w.run(l, mbit, 50*time.Second)
		if l.Rate() < 14*mbit {
			t.Errorf("%s: 30 s after the path got longer, the rate is %s", d, l.Rate())
		}
	}
}

// TestBlind: delays that are as often high on an idle link say nothing. That is found out, and a static rate holds.
func TestBlind(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	noise := func(time.Duration) time.Duration { return time.Duration(random.IntN(200)) * time.Millisecond }
	for _, d := range directions {
		l := newLaw(t, config(d))
		w := steadyWorld(d)
		w.extra = noise
		var found time.Duration
		w.watch = func(at time.Duration, _ Rate, _ time.Duration) {
			if found == 0 && l.State() == Blind {
				found = at
			}
		}
		w.demand = func(at time.Duration) Rate {
			if at%(20*time.Second) < 10*time.Second {
				return 30 * mbit
			}
			return 200_000
		}
		w.run(l, mbit, 3*time.Minute)
		if l.State() != Blind || found == 0 || found > 90*time.Second {
			t.Errorf("%s: %s; blind after %v", d, l.State(), found)
		}
		if l.Rate() < 3*mbit || l.Rate() > 30*mbit {
			t.Errorf("%s: blind at %s", d, l.Rate())
		}
		c := config(d)
		c.Static = 9 * mbit
		l = newLaw(t, c)
		w.run(l, mbit, 3*time.Minute)
		if l.State() != Blind || l.Rate() != 9*mbit {
			t.Errorf("%s: %s at %s, want blind at 9mbit", d, l.State(), l.Rate())
		}
	}
}

// TestNotBlind: a link whose delay is honest is never taken for blind, idle or not.
func TestNotBlind(t *testing.T) {
	for _, d := range directions {
		for seed := range uint64(4) {
			l := newLaw(t, Config{Direction: d, Min: mbit, Max: 40 * mbit, Start: 20 * mbit})
			w := lteWorld(d, seed)
			w.demand = func(at time.Duration) Rate {
				if at%(30*time.Second) < 15*time.Second {
					return 50 * mbit
				}
				return 300_000
			}
			w.watch = func(at time.Duration, _ Rate, _ time.Duration) {
				if l.State() == Blind {
					t.Fatalf("%s, seed %d: blind at %v", d, seed, at)
				}
			}
			w.run(l, mbit, replayTime)
		}
	}
}

// TestIdle: a link without load keeps its rate, whatever single answers say, so that it is there when it is needed.
func TestIdle(t *testing.T) {
	for _, d := range directions {
		l := newLaw(t, config(d))
		w := steadyWorld(d)
		w.demand = steady(100_000)
		w.extra = spikes(3, time.Minute)
		w.run(l, mbit, time.Minute)
		if l.Rate() < 9*mbit {
			t.Errorf("%s: the rate of an idle link is %s, want what it began with", d, l.Rate())
		}
	}
}

// TestCeiling: what the modem says that the radio can carry holds at once.
func TestCeiling(t *testing.T) {
	l := newLaw(t, config(qos.Down))
	for n := range 40 {
		l.Step(start().Add(time.Duration(n+1)*Tick), Reading{})
	}
	if r := l.Step(start().Add(time.Minute), Reading{Ceiling: 3 * mbit}); r != 3*mbit {
		t.Errorf("under a ceiling of 3mbit the rate is %s", r)
	}
	if r := l.Step(start().Add(2*time.Minute), Reading{Ceiling: 1}); r != mbit {
		t.Errorf("under a ceiling below the minimum the rate is %s", r)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{
		{Max: mbit}, {Min: 2 * mbit, Max: mbit}, {Min: mbit, Max: 20_000 * mbit}, {Min: mbit, Max: 2 * mbit, Start: 3 * mbit},
		{Min: mbit, Max: 2 * mbit, Static: 3 * mbit}, {Min: mbit, Max: 2 * mbit, Bloat: time.Hour},
	} {
		if _, err := New(c, start()); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// TestAnything: whatever is read, in whatever order of time, the rate never leaves its range.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom(directions).Draw(t, "direction")
		l, err := New(Config{Direction: d, Min: mbit, Max: 50 * mbit}, start())
		if err != nil {
			t.Fatal(err)
		}
		now := start()
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(-100, 3000).Draw(t, "ms")) * time.Millisecond)
			r := Reading{Bytes: rapid.Uint64Range(0, 1<<40).Draw(t, "bytes"), Ceiling: Rate(rapid.Uint64Range(0, 1e9).Draw(t, "ceiling"))}
			for range rapid.IntRange(0, 4).Draw(t, "answers") {
				r.Answers = append(r.Answers, Answer{
					Reflector: rapid.IntRange(0, 3).Draw(t, "reflector"), Lost: rapid.Bool().Draw(t, "lost"),
					RTT:  time.Duration(rapid.Int64Range(0, 5000).Draw(t, "rtt")) * time.Millisecond,
					Sent: now.Add(-time.Duration(rapid.Int64Range(0, 5000).Draw(t, "age")) * time.Millisecond),
				})
			}
			if rate := l.Step(now, r); rate < mbit || rate > 50*mbit {
				t.Fatalf("the rate is %s", rate)
			}
		}
	})
}

// BenchmarkStep is what a tick costs: 20 of them a second for each direction of a link.
func BenchmarkStep(b *testing.B) {
	l, err := New(config(qos.Up), start())
	if err != nil {
		b.Fatal(err)
	}
	now := start()
	for b.Loop() {
		now = now.Add(Tick)
		l.Step(now, Reading{Bytes: 50_000, Answers: []Answer{{Reflector: 1, Sent: now.Add(-50 * time.Millisecond), RTT: 40 * time.Millisecond}}})
	}
}
