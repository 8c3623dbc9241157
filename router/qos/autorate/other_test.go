package autorate

import (
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/qos"
)

// TestOtherDirection: a queue of the other direction delays the answers of both. A direction that carries only acknowledgements keeps its
// rate and its trust in delays, and follows its own load afterwards.
func TestOtherDirection(t *testing.T) {
	now, begin := start(), start()
	l, err := New(config(qos.Up), now)
	if err != nil {
		t.Fatal(err)
	}
	step := func(sent Rate, rtt time.Duration, other bool) {
		now = now.Add(Tick)
		l.Step(now, Reading{
			Bytes: uint64(float64(sent) / 8 * Tick.Seconds()), Other: other,
			Answers: []Answer{{Reflector: int(now.Sub(begin)/Tick) % 2, Sent: now.Add(-rtt), RTT: rtt}},
		})
	}
	for now.Sub(begin) < 5*time.Second {
		step(500_000, 30*time.Millisecond, false)
	}
	before := l.Rate()
	for now.Sub(begin) < time.Minute {
		step(500_000, 120*time.Millisecond, true)
		if l.State() != Idle || l.Rate() < before {
			t.Fatalf("after %v of downloads: %s at %s, before %s", now.Sub(begin), l.State(), l.Rate(), before)
		}
	}
	for now.Sub(begin) < 70*time.Second {
		step(l.Rate(), 30*time.Millisecond, false)
	}
	if l.Rate() <= before {
		t.Errorf("no climb under a load of its own: %s at %s", l.State(), l.Rate())
	}
	// With a load of its own it answers for the queue, whoever else sends.
	high := l.Rate()
	for now.Sub(begin) < 75*time.Second {
		step(l.Rate(), 120*time.Millisecond, true)
	}
	if l.Rate() >= high {
		t.Errorf("no cut under a load of its own: %s at %s", l.State(), l.Rate())
	}
}
