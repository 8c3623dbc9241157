package bench

import (
	"slices"
	"testing"
	"time"
)

// spread is what a series of measurements says: the middle, and the bounds of its middle half.
type spread struct{ low, median, high float64 }

func summarize(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(values))
	at := func(q float64) float64 { return s[int(q*float64(len(s)-1)+0.5)] }
	return spread{at(0.25), at(0.5), at(0.75)}
}

// report shows a series as three metrics: its middle, and the bounds of its middle half with -p25 and -p75.
func (s spread) report(b *testing.B, unit string) {
	b.ReportMetric(s.median, unit)
	b.ReportMetric(s.low, unit+"-p25")
	b.ReportMetric(s.high, unit+"-p75")
}

// milliseconds are a series of times as numbers.
func milliseconds(d ...time.Duration) []float64 {
	var out []float64
	for _, d := range d {
		out = append(out, float64(d)/1e6)
	}
	return out
}

// duel gives the same work to two in turns, A B then B A, so that neither always comes first, and returns each round's rates
// (of work per second, as the functions measure it) and the ratios a/b.
func duel(rounds int, a, b func() float64) (ofA, ofB, ratios []float64) {
	for i := range rounds {
		var x, y float64
		if i%2 == 0 {
			x, y = a(), b()
		} else {
			y, x = b(), a()
		}
		ofA, ofB, ratios = append(ofA, x), append(ofB, y), append(ratios, x/y)
	}
	return ofA, ofB, ratios
}

func TestSummarize(t *testing.T) {
	if got, want := summarize([]float64{5, 1, 4, 2, 3}), (spread{2, 3, 4}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	n := 0.0
	next := func() float64 { n++; return n }
	if _, _, r := duel(2, next, next); len(r) != 2 || r[0] != 0.5 || r[1] != 4.0/3 {
		t.Errorf("ratios %v: the second round must begin with the other one", r)
	}
}
