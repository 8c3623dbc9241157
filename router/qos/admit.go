package qos

import (
	"cmp"
	"fmt"
	"slices"
)

// request is a guarantee that a term asks for on one node of a branch.
type request struct {
	term   *Term
	amount Rate
	device *device
	leaf   *leaf // nil: for the device as a whole
}

// at is what the request gets at a scale: its part of what it asks for, and not more than its node may have.
func (r request) at(s Rate) Rate {
	g := min(scale(r.amount, s, whole), r.device.most(r.term.Rank))
	if r.leaf != nil {
		g = min(g, r.leaf.ceil)
	}
	return g
}

// admit grants the guarantees that the branch can keep: higher ranks first, and in proportion within the rank that does not fit.
// A leaf's guarantee is part of its device's. Afterwards
//
//	sum over devices of max(guarantee, sum of leaves' guarantees)  <=  budget
//
// and no device's leaves are promised more than its cap.
func (b *branch) admit(requests []request) []Warning {
	slices.SortStableFunc(requests, func(x, y request) int { return cmp.Compare(y.term.Rank, x.term.Rank) })
	var out []Warning
	for len(requests) > 0 {
		n := 1
		for n < len(requests) && requests[n].term.Rank == requests[0].term.Rank {
			n++
		}
		out = append(out, b.admitRank(requests[:n])...)
		requests = requests[n:]
	}
	return out
}

// whole is the scale at which a rank is granted all that it asks for.
const whole = 1 << 16

func (b *branch) admitRank(requests []request) []Warning {
	b.fitDevices(requests)
	fits := func(s Rate) bool { return b.promised(requests, s) <= b.budget }
	s := Rate(whole)
	if !fits(s) {
		low, high := Rate(0), s // low fits, high does not
		for high-low > 1 {
			if middle := (low + high) / 2; fits(middle) {
				low = middle
			} else {
				high = middle
			}
		}
		s = low
	}
	b.grant(requests, s)
	return b.shortfalls(requests)
}

// fitDevices reduces, in proportion, what leaves of one device ask for together beyond its cap or its budget.
func (b *branch) fitDevices(requests []request) {
	asked := map[*device]Rate{}
	for _, r := range requests {
		if r.leaf != nil && r.amount > r.leaf.guarantee {
			asked[r.device] += r.amount - r.leaf.guarantee
		}
	}
	for i := range requests {
		r := &requests[i]
		if r.leaf == nil || r.amount <= r.leaf.guarantee {
			continue
		}
		room := r.device.room(r.term.Rank)
		if all := asked[r.device]; all > room {
			r.amount = r.leaf.guarantee + scale(room, r.amount-r.leaf.guarantee, all)
		}
	}
}

// promised is what the branch promises when the requests are granted at a scale.
func (b *branch) promised(requests []request, s Rate) Rate {
	clear(b.trial)
	for _, r := range requests {
		t := b.trial[r.device]
		if g := r.at(s); r.leaf == nil {
			t.whole = max(t.whole, g)
		} else if g > r.leaf.guarantee {
			// Two terms of one rank for one leaf count twice here: more than is needed, never less.
			t.leaves += g - r.leaf.guarantee
		}
		b.trial[r.device] = t
	}
	var sum Rate
	for _, d := range b.devices {
		t := b.trial[d]
		sum += max(d.guarantee, t.whole, d.granted()+t.leaves)
	}
	return sum
}

func (b *branch) grant(requests []request, s Rate) {
	for _, r := range requests {
		g := r.at(s)
		if r.leaf == nil {
			r.device.guarantee = max(r.device.guarantee, g)
		} else if g > r.leaf.guarantee {
			r.device.spend(r.term.Rank, g-r.leaf.guarantee)
			r.leaf.guarantee = g
		}
	}
}

// shortfalls warns of rules whose guarantee is not kept whole on this link.
func (b *branch) shortfalls(requests []request) []Warning {
	type sum struct{ asked, given Rate }
	sums := map[*Term]*sum{}
	var order []*Term
	for _, r := range requests {
		t := sums[r.term]
		if t == nil {
			t = &sum{asked: b.asked[r.term]}
			sums[r.term], order = t, append(order, r.term)
		}
		if r.leaf == nil {
			t.given += min(r.device.guarantee, b.capacity)
		} else {
			t.given += r.leaf.guarantee
		}
	}
	var out []Warning
	for _, term := range order {
		// A part in a thousand is what rounding takes.
		if t := sums[term]; t.given+t.asked/1000+1 < t.asked {
			out = append(out, Warning{Rule: term.Rule, Link: b.link.Name, Text: fmt.Sprintf(
				"Rule %q guarantees %s %s on %s, which can promise %s of it now.", term.Rule, readable(t.asked), b.dir, b.link.Name, readable(t.given))})
		}
	}
	return out
}

// readable cuts a rate to three digits.
func readable(r Rate) Rate {
	unit := Rate(1)
	for r/unit >= 1000 {
		unit *= 10
	}
	return r / unit * unit
}
