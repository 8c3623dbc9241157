package steer

import (
	"maps"
	"slices"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Flush names standing connections that must be judged again: all whose mark & Mask equals Mark. Deleting them from the
// connection table makes the kernel judge the flow's next packet as its first.
type Flush struct {
	Mark, Mask flow.Mark
	Why        string
}

// Recall tells which connections to flush after a new plan is installed. choices are those of the new plan
// (and any others that flows may still carry in their marks, resolved anew), by the number in the mark.
//
// Two kinds of flows are recalled:
//
//   - Those on a link that can no longer carry them, as soon as their choice has another link. With no living target they
//     are left where they are: the link may come back before the program gives up. Connections opened from the internet side
//     are left too, since no other link can answer them.
//   - Those on a link that they were only lent, when their choice does not lend that link any more. Metered and backup
//     links are left at once; on others the rule decides: Move at once, Drain never.
//
// old is what the links were when the plan before was made; only what changed since is flushed, since each flush walks the
// connection table. An old of nil means "unknown" (the daemon has just started, or a sweep is wanted): then everything
// that should not be where it is goes. Call it so once more some seconds after a recovery: a flow that was judged
// by the old rules while the new ones were loaded is found then.
func Recall(old, new []LinkCondition, choices map[flow.ChoiceID]Choice) []Flush {
	r := recall{old: old, new: byID(new), choices: choices, ids: slices.Sorted(maps.Keys(choices))}
	for _, l := range r.new {
		r.dead(l)
		if l.Usable && l.Role != Never {
			r.lent(l)
		}
	}
	return r.out
}

type recall struct {
	old, new []LinkCondition
	choices  map[flow.ChoiceID]Choice
	ids      []flow.ChoiceID
	out      []Flush
}

func (r *recall) before(id flow.LinkID) (LinkCondition, bool) {
	i := slices.IndexFunc(r.old, func(l LinkCondition) bool { return l.ID == id })
	if i < 0 {
		return LinkCondition{}, false
	}
	return r.old[i], true
}

// dead flushes the flows of a link that their choices may not use any more.
func (r *recall) dead(l LinkCondition) {
	const mask = flow.LinkMask | flow.InboundBit
	was, known := r.before(l.ID)
	if known && was.Role == Never {
		return
	}
	lost := func(c Choice) bool {
		if l.open(c.Policy) || !elsewhere(c, l.ID) {
			return false
		}
		return !known || was.open(c.Policy) || !elsewhere(Resolve(c.Policy, r.old), l.ID)
	}
	why := l.Name + " is out of use"
	if l.Usable {
		why = l.Name + " has spent its data quota"
	}
	ids := filterIDs(r.ids, func(id flow.ChoiceID) bool { return lost(r.choices[id]) })
	if len(ids) == len(r.ids) && len(ids) > 0 {
		// One walk of the table for all, which also finds flows whose rule is gone.
		r.out = append(r.out, Flush{Mark: l.ID.Mark(), Mask: mask, Why: why})
		return
	}
	for _, id := range ids {
		r.out = append(r.out, Flush{Mark: l.ID.Mark() | id.Mark(), Mask: mask | flow.ChoiceMask, Why: why})
	}
}

// lent flushes the flows that a link was lent and that have a better one again.
func (r *recall) lent(l LinkCondition) {
	const mask = flow.LinkMask | flow.LentBit
	mark := l.ID.Mark() | flow.LentBit
	why := "flows that " + l.Name + " was lent have a better link again"
	if l.recallAlways() && len(r.ids) > 0 && !slices.ContainsFunc(r.ids, func(id flow.ChoiceID) bool {
		return !r.back(l, r.choices[id])
	}) {
		if slices.ContainsFunc(r.ids, func(id flow.ChoiceID) bool { return r.returned(l, r.choices[id]) }) {
			r.out = append(r.out, Flush{Mark: mark, Mask: mask, Why: why})
		}
		return
	}
	for _, id := range r.ids {
		c := r.choices[id]
		if (l.recallAlways() || c.Policy.Failback == policy.Move) && r.returned(l, c) {
			r.out = append(r.out, Flush{Mark: mark | id.Mark(), Mask: mask | flow.ChoiceMask, Why: why})
		}
	}
}

// back tells whether no flow of the choice should be on the link as a guest.
func (r *recall) back(l LinkCondition, c Choice) bool {
	return !c.Refuse && lentShare(c, l.ID) == 0
}

// returned tells whether guests of the choice on the link have somewhere better to go since the last plan: the choice
// lends the link less than before. While it still lends some of it (two members of a balance were out, one is back) the mark does
// not tell whose guests are whose; all are judged again, and those still without a home return.
func (r *recall) returned(l LinkCondition, c Choice) bool {
	if c.Refuse {
		return false
	}
	now := lentShare(c, l.ID)
	if r.old == nil {
		return now == 0
	}
	return now < lentShare(Resolve(c.Policy, r.old), l.ID)
}

// lentShare is the part of a choice that is lent a link, in slots of Space.
func lentShare(c Choice, id flow.LinkID) int {
	if len(c.Buckets) == 1 && c.Buckets[0].Link == id && c.Buckets[0].Lent {
		return Space
	}
	sum := 0
	for _, b := range c.Buckets {
		if b.Link == id && b.Lent {
			sum += b.Weight
		}
	}
	return sum
}

// elsewhere tells whether the choice has a link other than this one.
func elsewhere(c Choice, id flow.LinkID) bool {
	return slices.ContainsFunc(c.Buckets, func(b Bucket) bool { return b.Link != id })
}

func filterIDs(ids []flow.ChoiceID, keep func(flow.ChoiceID) bool) []flow.ChoiceID {
	return slices.DeleteFunc(slices.Clone(ids), func(id flow.ChoiceID) bool { return !keep(id) })
}
