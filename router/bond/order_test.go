package bond

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sorter is an order that notes what comes out.
type sorter struct {
	order
	out []string
}

func newSorter() *sorter {
	s := &sorter{}
	s.deliver = func(p []byte) { s.out = append(s.out, string(p)) }
	return s
}

func (s *sorter) take(order uint32, now time.Duration) {
	s.arrival(dataFrame{flow: 7, order: order & orderMask, number: order, packet: []byte(fmt.Sprint(order))}, now)
}

// passing says that every path has gone beyond a number.
func passing(number uint32) func(time.Duration) (uint32, time.Duration, time.Duration) {
	return func(time.Duration) (uint32, time.Duration, time.Duration) { return number, 50 * ms, holeMost }
}

func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(s *sorter)
		want []string
	}{
		{"in order", func(s *sorter) { s.take(1, 0); s.take(2, 0) }, []string{"1", "2"}},
		{"swapped", func(s *sorter) { s.take(1, 0); s.take(3, 0); s.take(2, 0) }, []string{"1", "2", "3"}},
		{"twice", func(s *sorter) {
			s.take(1, 0)
			s.take(3, 0)
			s.take(3, 0)
			s.take(2, 0)
			s.take(2, 0)
			s.take(1, 0)
		}, []string{"1", "2", "3"}},
		{"a hole that may still be filled", func(s *sorter) { s.take(1, 0); s.take(3, 0); s.tick(100*ms, passing(2)) }, []string{"1"}},
		{"a hole that everything has passed", func(s *sorter) { s.take(1, 0); s.take(3, 0); s.tick(50*ms, passing(3)) }, []string{"1", "3"}},
		{"a hole that is too old", func(s *sorter) { s.take(1, 0); s.take(3, 0); s.tick(holeMost, passing(2)) }, []string{"1", "3"}},
		{"late, once", func(s *sorter) {
			s.take(1, 0)
			s.take(3, 0)
			s.tick(holeMost, passing(2))
			s.take(2, holeMost)
			s.take(2, holeMost)
		}, []string{"1", "3", "2"}},
		{"over the end of the numbers", func(s *sorter) {
			s.take(orderMask, 0)
			s.take(1, 0)
			s.take(0, 0)
		}, []string{fmt.Sprint(orderMask), "0", "1"}},
		{"too far ahead", func(s *sorter) { s.take(1, 0); s.take(3, 0); s.take(5000, 0) }, []string{"1", "3", "5000"}},
		{"two holes", func(s *sorter) {
			s.take(1, 0)
			s.take(3, 0)
			s.take(5, 40*ms)
			s.tick(60*ms, passing(9)) // the second is too young
			s.take(4, 70*ms)
		}, []string{"1", "3", "4", "5"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSorter()
			tt.do(s)
			if d := cmp.Diff(tt.want, s.out); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestOrderKeepsEverything: whatever arrives, in any order, twice or never, comes out once, and in order but for what came after its hole
// was given up.
func TestOrderKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSorter()
		n := rapid.IntRange(1, 200).Draw(t, "packets")
		var arrivals []uint32
		arrived := map[uint32]bool{0: true}
		for i := range n {
			for range rapid.IntRange(0, 2).Draw(t, "copies") {
				arrivals = append(arrivals, uint32(i))
				arrived[uint32(i)] = true
			}
		}
		// Packets move by some places at most.
		for i := range arrivals {
			j := min(len(arrivals)-1, i+rapid.IntRange(0, 8).Draw(t, "late"))
			arrivals[i], arrivals[j] = arrivals[j], arrivals[i]
		}
		now := time.Duration(0)
		s.take(0, now)
		for _, a := range arrivals {
			now += time.Duration(rapid.IntRange(0, 20).Draw(t, "gap")) * ms
			s.take(a, now)
			s.tick(now, passing(a))
		}
		s.tick(now+holeMost, passing(uint32(n)))
		got := slices.Clone(s.out)
		slices.Sort(got)
		if len(slices.Compact(got)) != len(s.out) {
			t.Fatalf("something came out twice: %v", s.out)
		}
		if len(s.out) != len(arrived) {
			t.Fatalf("%d packets arrived and %d came out: %v", len(arrived), len(s.out), s.out)
		}
	})
}

func TestReceipt(t *testing.T) {
	var r receipt
	at := func(number uint64, when time.Duration) { r.arrival(number, 100, 5, when) }
	at(0, 0)
	at(1, 0)
	at(5, 10*ms)
	at(7, 12*ms)
	rec := r.report(3, 12*ms, nil)
	if rec.highest != 7 || rec.judged != 5 || rec.lost != 3 || !slices.Equal(rec.missing, []span{{2, 4}}) {
		t.Errorf("a gap of 2 ms counts, a new one does not yet: %+v", rec)
	}
	at(3, 13*ms)
	rec = r.report(3, 20*ms, nil)
	if rec.highest != 7 || rec.judged != 7 || rec.lost != 4 || !slices.Equal(rec.missing, []span{{2, 2}, {4, 4}, {6, 6}}) {
		t.Errorf("a number that came late splits its gap: %+v", rec)
	}
	at(2, 21*ms)
	at(4, 21*ms)
	at(6, 21*ms)
	if rec = r.report(3, 22*ms, nil); len(rec.missing) != 0 || rec.judged != 7 || rec.bytes != 800 {
		t.Errorf("all gaps filled: %+v", rec)
	}
	for n := uint64(9); n < 9+4*maxGaps; n += 2 {
		at(n, 30*ms)
	}
	if rec = r.report(3, 40*ms, nil); len(rec.missing) != maxGaps || rec.missing[maxGaps-1].to != 6+4*maxGaps {
		t.Errorf("of many gaps the newest are told: %d, %+v", len(rec.missing), rec.missing)
	}
	if rec = r.report(3, time.Hour, nil); len(rec.missing) != 0 {
		t.Errorf("old gaps are forgotten: %+v", rec)
	}
}
