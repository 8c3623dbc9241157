package bond

import (
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// The reference links: A 50 Mbit/s with a short way, B 20 Mbit/s with a long one.
var (
	legA = leg{mbit: 50, delay: 10 * ms, buffer: 80 * ms}
	legB = leg{mbit: 20, delay: 40 * ms, buffer: 120 * ms}
)

func with(l leg, change func(*leg)) leg { change(&l); return l }

// between steps from low to high and back each step.
func between(low, high float64, step time.Duration) func(time.Duration) float64 {
	return func(now time.Duration) float64 {
		x := float64(uint64(now/step)*2654435761%1000) / 999
		return (low + (high-low)*x) * 1e6 / 8
	}
}

// TestShare: what one flow gets of the sum of all links, on a simulated clock: the same each time. The bounds lie a little under what the
// law reaches; tunnelMTU and the headers leave 0.921 at most. What chance decides, losses and jitter, is the mean of several runs: single
// ones differ by a tenth.
func TestShare(t *testing.T) {
	jitter := func(d time.Duration) func(*leg) { return func(l *leg) { l.jitter = d } }
	loss := func(x float64) func(*leg) { return func(l *leg) { l.loss = x } }
	vary := between(4, 30, 1500*ms)
	mean := 0.0
	const steps = 8
	for i := range steps {
		mean += vary(time.Duration(i)*1500*ms) * 8 / 1e6 / steps
	}
	for _, tt := range []struct {
		name  string
		flows int
		least float64
		legs  []leg
	}{
		{"A alone", 1, .91, []leg{legA}},
		{"reference", 1, .91, []leg{legA, legB}},
		{"four flows", 4, .90, []leg{legA, legB}},
		{"B varies", 1, .84, []leg{legA, with(legB, func(l *leg) { l.vary, l.mbit = vary, mean })}},
		{"2 % loss on B", 1, .75, []leg{legA, with(legB, loss(.02))}},
		{"1 % loss on both", 1, .72, []leg{with(legA, loss(.01)), with(legB, loss(.01))}},
		{"jitter on B", 1, .84, []leg{legA, with(legB, jitter(20*ms))}},
		{"jitter on both", 1, .84, []leg{with(legA, jitter(10*ms)), with(legB, jitter(20*ms))}},
		{"far apart", 1, .85, []leg{{mbit: 50, delay: 10 * ms, buffer: 80 * ms}, {mbit: 10, delay: 100 * ms, buffer: 120 * ms}}},
		{"alike", 1, .91, []leg{{mbit: 20, delay: 20 * ms, buffer: 100 * ms}, {mbit: 20, delay: 20 * ms, buffer: 100 * ms}}},
		{"three", 1, .90, []leg{legA, legB, {mbit: 20, delay: 20 * ms, buffer: 100 * ms}}},
		// The best single link alone has 0.915 of ten twelfths.
		{"thin", 1, .82, []leg{{mbit: 10, delay: 30 * ms, buffer: 150 * ms}, {mbit: 2, delay: 50 * ms, buffer: 300 * ms}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sum, got float64
			for _, l := range tt.legs {
				sum += l.mbit
			}
			runs := 2
			if slices.ContainsFunc(tt.legs, func(l leg) bool { return l.loss > 0 || l.jitter > 0 }) {
				runs = 4
			}
			for n := range runs {
				p := bondOver(t, uint64(n/2+1), tt.legs...)
				ports := []uint16{5001, 5002, 5003, 5004}[:tt.flows]
				got += p.transfer(n%2 == 1, ports, 10*time.Second) / sum / float64(runs)
			}
			t.Logf("%.3f of the sum", got)
			if got < tt.least {
				t.Errorf("%.3f of the sum, want at least %.2f", got, tt.least)
			}
		})
	}
}

// TestRisesBesideFeedback: a path that is thought to be slow carries more feedback than packets. It shows all the same that it is full, and its
// rate rises again.
func TestRisesBesideFeedback(t *testing.T) {
	legs := []leg{{mbit: 10, delay: 30 * ms, buffer: 150 * ms}, {mbit: 2, delay: 50 * ms, buffer: 300 * ms}}
	for _, slow := range []float64{leastRate, 600e3 / 8, 1e6 / 8} {
		p := bondOver(t, 1, legs...)
		for since := range 600 { // until all that is under way left at that rate
			p.at(2*time.Second+time.Duration(since)*ms, func() {
				r := &p.far.core.path(0).rate
				r.now, r.startup = slow, false
			})
		}
		p.transfer(false, []uint16{5001}, 4*time.Second)
		if got := p.far.core.path(0).rate.now * 8 / 1e6; got < 8 {
			t.Errorf("from %.2f Mbit/s the rate rose to %.2f within four seconds, of 10", slow*8/1e6, got)
		}
	}
}
