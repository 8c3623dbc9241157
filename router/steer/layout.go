package steer

import (
	"slices"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

const (
	// Space is the number of slots of a sticky balance: the modulus of its hash. Weights of a Choice with several
	// buckets add up to it, so a weight reads as hundredths of a percent. The lightest share that a policy can state
	// (1 in 6,001) still gets a slot.
	Space = 10000
	// Turns is the number of slots of a balance by flow, which deals them out in turn (`numgen inc`): whole percents, so that
	// any 100 flows in a row are divided exactly.
	Turns = 100
)

// Range is a row of neighbouring slots, both ends included, that lead to one bucket.
type Range struct {
	First, Last uint32
	Link        flow.LinkID
	Lent        bool
}

// Modulus is the number of slots behind Ranges: 1 for a fixed link and 0 for a refusal.
func (c Choice) Modulus() uint32 {
	switch {
	case len(c.Buckets) < 2:
		return uint32(len(c.Buckets))
	case c.Sticky == policy.StickyFlow:
		return Turns
	}
	return Space
}

// Ranges is the table that the kernel looks a slot up in: ordered, without gaps, from 0 to Modulus-1.
//
// For a sticky balance they are the buckets in their order. For a balance by flow the links take turns
// as evenly as their shares allow (smooth weighted round robin), because a page opens its twenty connections at once and should
// find them spread.
func (c Choice) Ranges() []Range {
	if len(c.Buckets) < 2 || c.Sticky != policy.StickyFlow {
		return consecutive(c.Buckets)
	}
	shares := turns(c.Buckets)
	left := make([]int, len(shares))
	var dealt []Bucket
	for range Turns {
		best := 0
		for i, w := range shares {
			left[i] += w
			if left[i] > left[best] {
				best = i
			}
		}
		left[best] -= Turns
		b := c.Buckets[best]
		b.Weight = 1
		dealt = append(dealt, b)
	}
	return consecutive(merge(dealt))
}

// At finds the range that holds a slot; false for a slot outside the modulus.
func (c Choice) At(slot uint32) (Range, bool) {
	for _, r := range c.Ranges() {
		if slot <= r.Last {
			return r, true
		}
	}
	return Range{}, false
}

func consecutive(buckets []Bucket) []Range {
	out := make([]Range, 0, len(buckets))
	next := uint32(0)
	for _, b := range buckets {
		width := uint32(b.Weight)
		if len(buckets) == 1 {
			width = 1
		}
		out = append(out, Range{First: next, Last: next + width - 1, Link: b.Link, Lent: b.Lent})
		next += width
	}
	return out
}

// turns scales weights to whole turns that add up to Turns by the largest remainder. A bucket always keeps one turn, at
// the cost of the largest.
func turns(buckets []Bucket) []int {
	total := 0
	for _, b := range buckets {
		total += b.Weight
	}
	out := make([]int, len(buckets))
	rest := make([]int, len(buckets)) // what rounding down took away
	order := make([]int, len(buckets))
	sum := 0
	for i, b := range buckets {
		out[i], rest[i], order[i] = b.Weight*Turns/total, b.Weight*Turns%total, i
		if out[i] == 0 {
			out[i], rest[i] = 1, 0
		}
		sum += out[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return rest[b] - rest[a] })
	for i := 0; sum < Turns; i++ {
		out[order[i%len(order)]]++
		sum++
	}
	for sum > Turns {
		largest := 0
		for i := range out {
			if out[i] > out[largest] {
				largest = i
			}
		}
		out[largest]--
		sum--
	}
	return out
}

// member is a link that owns a part of a balance, whether it lives or not.
type member struct {
	id     flow.LinkID
	weight int
	open   bool
}

// layout gives each open member its own range of Space and divides the range of each other member among the open ones,
// lent. Members come in the order of their ids. At least one is open.
func layout(members []member) []Bucket {
	var all, open []int
	var ids []flow.LinkID
	for _, m := range members {
		all = append(all, m.weight)
		if m.open {
			open = append(open, m.weight)
			ids = append(ids, m.id)
		}
	}
	var out []Bucket
	for i, width := range divide(Space, all) {
		if m := members[i]; m.open {
			out = append(out, Bucket{Link: m.id, Weight: width})
			continue
		}
		for j, w := range divide(width, open) {
			out = append(out, Bucket{Link: ids[j], Weight: w, Lent: true})
		}
	}
	out = merge(out)
	if len(out) == 1 {
		out[0].Weight = 1
	}
	return out
}

// divide cuts a row of n slots by weights, rounding the borders, so that the parts add up to n.
func divide(n int, weights []int) []int {
	total := 0
	for _, w := range weights {
		total += w
	}
	out := make([]int, len(weights))
	sum, border := 0, 0
	for i, w := range weights {
		sum += w
		next := (2*n*sum + total) / (2 * total)
		out[i], border = next-border, next
	}
	return out
}

// merge joins neighbours that lead to the same bucket and drops the empty ones.
func merge(buckets []Bucket) []Bucket {
	out := buckets[:0:0]
	for _, b := range buckets {
		last := len(out) - 1
		switch {
		case b.Weight == 0:
		case last >= 0 && out[last].Link == b.Link && out[last].Lent == b.Lent:
			out[last].Weight += b.Weight
		default:
			out = append(out, b)
		}
	}
	return out
}
