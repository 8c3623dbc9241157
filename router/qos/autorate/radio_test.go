package autorate

import (
	"math"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/qos"
)

// TestSignalCeiling: a good signal, or none that is told, rules nothing out; less signal never leaves more.
func TestSignalCeiling(t *testing.T) {
	const best Rate = 100 * mbit
	for _, sinr := range []float64{0, math.NaN(), 14, 20, 40, 1000} {
		if c := Ceiling(sinr, best); c != 0 {
			t.Errorf("at %v dB: a ceiling of %s", sinr, c)
		}
	}
	last := best
	for sinr := 12.5; sinr >= -30; sinr -= 1 {
		c := Ceiling(sinr, best)
		if c > last || c == 0 && sinr > -20 {
			t.Errorf("at %v dB: %s, and %s at more", sinr, c, last)
		}
		last = c
	}
	if c := Ceiling(-0.1, best); c < 15*mbit || c > 30*mbit {
		t.Errorf("as much noise as signal leaves %s of %s", c, best)
	}
}

// TestSignalHoldsBack: a law does not climb above what the signal allows, and does when the signal is back.
func TestSignalHoldsBack(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	l, err := New(Config{Direction: qos.Down, Min: mbit, Max: 50 * mbit, Start: 20 * mbit}, now)
	if err != nil {
		t.Fatal(err)
	}
	run := func(sinr float64) {
		for range 200 {
			now = now.Add(Tick)
			bytes := uint64(float64(l.Rate()) / 8 * Tick.Seconds())
			l.Step(now, Reading{Bytes: bytes, Answers: []Answer{{Sent: now.Add(-20 * time.Millisecond), RTT: 20 * time.Millisecond}}, Ceiling: Ceiling(sinr, 50*mbit)})
		}
	}
	run(-0.1)
	if limit := Ceiling(-0.1, 50*mbit); l.Rate() > limit || l.Rate() < limit*9/10 {
		t.Errorf("with a bad signal the rate is %s, want about %s", l.Rate(), limit)
	}
	run(25)
	if l.Rate() < 45*mbit {
		t.Errorf("with a good signal again the rate is %s", l.Rate())
	}
}
