package qos

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trenza-router/trenza/router/flow"
)

const (
	// leastRate is what a class has for sure in any case: HTB knows no rate of 0, and at less than this its time for one packet
	// would not fit 32 bits.
	leastRate Rate = 64
	// lowestPriority is the last of HTB's eight.
	lowestPriority = 7
	// smallPart is the part of a link that no guarantee can take, so that nobody is left with nothing: 1 %.
	smallPart = 100
)

// classPriority is a class's own priority, by flow.AppClass: the device's default, realtime, interactive, streaming, web, bulk,
// background. Classes beyond stand for rules of their own and have the default's.
func classPriority(a flow.AppClass) uint8 {
	own := [...]uint8{3, 0, 1, 2, 3, 5, 6}
	if int(a) < len(own) {
		return own[a]
	}
	return own[0]
}

// Plan is a tree for each device that shapes.
type Plan struct {
	Up       []Tree // one for each link, by number
	Down     Tree   // a branch for each link
	Warnings []Warning
}

// Build makes the trees. An error is input that contradicts itself, with the rule or link named; nothing is half built.
func Build(in Input) (Plan, error) {
	if err := in.check(); err != nil {
		return Plan{}, fmt.Errorf("planning the class tree: %w", err)
	}
	in.Links = slices.Clone(in.Links)
	slices.SortFunc(in.Links, func(a, b Link) int { return cmp.Compare(a.ID, b.ID) })
	w := &warnings{}
	in.Terms = in.living(w)
	for i := range in.Links {
		in.Links[i].Capacity = in.Links[i].lift(w)
	}
	demands := in.leaves(w)
	p := Plan{Down: Tree{dir: Down, queues: in.Queues}}
	up, down := in.branches(Up, demands, w), in.branches(Down, demands, w)
	for _, b := range up {
		p.Up = append(p.Up, Tree{dir: Up, queues: in.Queues, branches: []*branch{b}})
	}
	p.Down.branches = down
	p.Warnings = w.list
	return p, nil
}

// warnings is a list in which nothing stands twice.
type warnings struct{ list []Warning }

func (w *warnings) add(more ...Warning) {
	for _, m := range more {
		if !slices.Contains(w.list, m) {
			w.list = append(w.list, m)
		}
	}
}

// lift keeps a link from being shaped to less than makes sense.
func (l Link) lift(w *warnings) Rates {
	for _, d := range []Direction{Up, Down} {
		if c := l.Capacity.Of(d); c < MinCapacity {
			w.add(Warning{Link: l.Name, Text: fmt.Sprintf("%s carries %s %s; it is shaped to %s, the least possible.", l.Name, c, d, MinCapacity)})
		}
	}
	return Rates{Up: max(l.Capacity.Up, MinCapacity), Down: max(l.Capacity.Down, MinCapacity)}
}

// living are the terms without devices that are gone.
func (in Input) living(w *warnings) []Term {
	there := map[flow.DeviceID]bool{flow.RouterDevice: true}
	for _, d := range in.Devices {
		there[d] = true
	}
	var out []Term
	for _, t := range in.Terms {
		var left []flow.DeviceID
		for _, d := range t.Devices {
			if !there[d] {
				w.add(Warning{Rule: t.Rule, Text: fmt.Sprintf("Rule %q is about device %d, which is gone.", t.Rule, d)})
			} else if !slices.Contains(left, d) {
				left = append(left, d)
			}
		}
		if t.Devices = left; len(left) > 0 {
			out = append(out, t)
		}
	}
	// In the order in which their priorities are set: the last one holds.
	slices.SortStableFunc(out, func(a, b Term) int {
		whole := func(t Term) int {
			if t.whole() {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(whole(a), whole(b)))
	})
	return out
}

// leaves are the classes that get a leaf, in order. A link too slow for all of them keeps those with terms, then those that
// need the most; the others share its default leaf.
func (in Input) leaves(w *warnings) []Demand {
	there := map[flow.DeviceID]bool{flow.RouterDevice: true}
	for _, d := range in.Devices {
		there[d] = true
	}
	var out []Demand
	for _, l := range in.Links {
		var own []Demand
		for _, d := range in.Demands {
			if d.Link == l.ID && d.Device != 0 && there[d.Device] {
				own = append(own, d)
			}
		}
		if in.Queues.Cake && len(in.Terms) == 0 && !slices.ContainsFunc(own, func(d Demand) bool { return d.App != 0 }) {
			continue // nothing to tell apart: the default leaf's cake is fair to all hosts by itself
		}
		// A quarter of the link for least rates; a node above each leaf at worst.
		if most := int(min(l.Capacity.Up, l.Capacity.Down) / 4 / leastRate); len(own) > most {
			slices.SortStableFunc(own, func(a, b Demand) int {
				return cmp.Or(cmp.Compare(in.termsOf(b.Class), in.termsOf(a.Class)), cmp.Compare(b.Up+b.Down, a.Up+a.Down))
			})
			w.add(Warning{Link: l.Name, Text: fmt.Sprintf("%s is too slow for %d classes; %d of them share one.", l.Name, len(own), len(own)-most)})
			own = own[:most]
		}
		out = append(out, own...)
	}
	slices.SortFunc(out, func(a, b Demand) int { return a.Class.compare(b.Class) })
	return out
}

func (in Input) termsOf(c Class) int {
	n := 0
	for _, t := range in.Terms {
		if t.covers(c) {
			n++
		}
	}
	return n
}

// branches builds one direction's branch of each link.
func (in Input) branches(dir Direction, demands []Demand, w *warnings) []*branch {
	var out []*branch
	for _, l := range in.Links {
		out = append(out, newBranch(l, dir, demands))
	}
	requests := map[*branch][]request{}
	for i := range in.Terms {
		t := &in.Terms[i]
		units := unitsOf(t, out)
		weights := make([]Rate, len(units))
		for n, u := range units {
			weights[n] = u.demand()
		}
		if t.Priority != nil {
			for _, u := range units {
				u.prioritise(*t.Priority)
			}
		}
		if c := t.Cap.Of(dir); c != 0 {
			for n, part := range share(c, weights) {
				units[n].limit(part)
			}
		}
		if m := t.Budget.Of(dir); m != 0 {
			for n, part := range share(m, weights) {
				d := units[n].device
				d.budgets = append(d.budgets, budget{rank: t.Rank, left: part, whole: part})
			}
		}
		if g := t.Guarantee.Of(dir); g != 0 {
			for n, part := range share(g, weights) {
				u := units[n]
				u.branch.asked[t] += part
				requests[u.branch] = append(requests[u.branch], request{term: t, amount: part, device: u.device, leaf: u.leaf})
			}
		}
	}
	for _, b := range out {
		b.fitCaps()
		w.add(b.admit(requests[b])...)
		b.settle()
	}
	return out
}
