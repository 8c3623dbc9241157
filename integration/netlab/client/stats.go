package client

import (
	"math/rand/v2"
	"slices"
	"time"
)

// RTT sums up round trips.
type RTT struct {
	Count  int           `json:"count"`
	Min    time.Duration `json:"min_ns"`
	Mean   time.Duration `json:"mean_ns"`
	P50    time.Duration `json:"p50_ns"`
	P95    time.Duration `json:"p95_ns"`
	P99    time.Duration `json:"p99_ns"`
	Max    time.Duration `json:"max_ns"`
	Jitter time.Duration `json:"jitter_ns"` // smoothed difference of neighbours (RFC 3550, section 6.4.1)
}

// maxSamples bounds the memory of one job; beyond it the percentiles are of a fair sample.
const maxSamples = 1 << 18

// rttStats collects round trips.
type rttStats struct {
	sum     RTT
	total   time.Duration
	last    time.Duration
	samples []time.Duration
}

func (s *rttStats) add(d time.Duration) {
	s.sum.Count++
	s.total += d
	s.sum.Max = max(s.sum.Max, d)
	if s.sum.Count == 1 {
		s.sum.Min = d
	} else {
		s.sum.Min = min(s.sum.Min, d)
		s.sum.Jitter += ((d - s.last).Abs() - s.sum.Jitter) / 16
	}
	s.last = d
	if len(s.samples) < maxSamples {
		s.samples = append(s.samples, d)
	} else if i := rand.IntN(s.sum.Count); i < maxSamples {
		s.samples[i] = d
	}
}

func (s *rttStats) result() RTT {
	out := s.sum
	if out.Count == 0 {
		return out
	}
	out.Mean = s.total / time.Duration(out.Count)
	sorted := slices.Sorted(slices.Values(s.samples))
	at := func(percent int) time.Duration { return sorted[(len(sorted)-1)*percent/100] }
	out.P50, out.P95, out.P99 = at(50), at(95), at(99)
	return out
}

// Gap is a time without an answer.
type Gap struct {
	At     time.Time     `json:"at"` // when it began
	Length time.Duration `json:"length_ns"`
}

// maxGaps is how many gaps a result lists.
const maxGaps = 32

// keepLongest adds a gap to the longest ones, which it keeps in the order of time.
func keepLongest(gaps []Gap, g Gap) []Gap {
	if len(gaps) < maxGaps {
		return append(gaps, g)
	}
	shortest := 0
	for i := range gaps {
		if gaps[i].Length < gaps[shortest].Length {
			shortest = i
		}
	}
	if gaps[shortest].Length >= g.Length {
		return gaps
	}
	return append(slices.Delete(gaps, shortest, shortest+1), g)
}

// bitset remembers sequence numbers.
type bitset []uint64

// set adds n and tells whether it was there already.
func (b *bitset) set(n uint64) bool {
	word, bit := n/64, uint64(1)<<(n%64)
	if missing := int(word) + 1 - len(*b); missing > 0 {
		*b = append(*b, make([]uint64, missing)...)
	}
	was := (*b)[word]&bit != 0
	(*b)[word] |= bit
	return was
}
