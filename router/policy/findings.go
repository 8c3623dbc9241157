package policy

import "fmt"

// FindingKind tells what is odd about a rule.
type FindingKind uint8

const (
	Shadowed      FindingKind = iota // another rule of its kind always goes before it
	Ineffective                      // the house's rules leave it no effect
	Contradiction                    // two rules of the house say opposite things
)

func (k FindingKind) String() string {
	return nameOf([]string{"shadowed", "ineffective", "contradiction"}, uint8(k))
}

// Finding says that an aspect of a rule can have no effect, or contradicts another rule, and which rule prevails.
type Finding struct {
	Kind   FindingKind
	Aspect Aspect
	RuleID string
	By     string // the rule that prevails
	Text   string // one plain sentence
}

// Findings looks for rules that can have no effect. It compares selectors and schedules, not flows: a rule reported as
// shadowed or ineffective never decides, and there may be more of them; rules reported as a contradiction meet if there
// is a flow that both select. Findings are in canonical order of the rules, contradictions last.
func (c *Compiled) Findings() []Finding {
	f := finder{Compiled: c, reach: c.reaches()}
	for b := range c.rules {
		f.findPrevailing(b)
	}
	f.findContradictions()
	return f.found
}

// finder collects findings.
type finder struct {
	*Compiled
	reach []reach // by rule
	found []Finding
}

// findPrevailing looks, for each aspect of rule b, for the first rule that leaves it no effect.
func (c *finder) findPrevailing(b int) {
	loser := &c.rules[b]
	aspects := loser.aspects &^ (1 << AspectLog)
	for a := range c.rules {
		winner := &c.rules[a]
		both := aspects & winner.aspects
		if a == b || both == 0 || !c.reach[a].covers(c.reach[b]) || winner.bounded() || !winner.schedule.contains(loser.schedule) ||
			!c.whatCovers(winner, loser) {
			continue
		}
		for aspect := AspectSteer; aspect < AspectLog; aspect++ {
			if both&(1<<aspect) != 0 && c.prevails(aspect, a, b) {
				c.add(aspect, loser, winner)
				aspects &^= 1 << aspect
			}
		}
	}
}

func (c *finder) add(aspect Aspect, loser, winner *compiledRule) {
	f := Finding{Kind: Ineffective, Aspect: aspect, RuleID: loser.ID, By: winner.ID}
	f.Text = fmt.Sprintf("The %s of %s can have no effect: %s prevails wherever it applies.", aspect, loser, winner)
	if rank(loser.Rule) == rank(winner.Rule) {
		f.Kind = Shadowed
		f.Text = fmt.Sprintf("The %s of %s can have no effect: %s is looked at first wherever it applies.", aspect, loser, winner)
	}
	c.found = append(c.found, f)
}

// prevails tells whether rule a, where both match, leaves the aspect of rule b no effect whatever else matches.
func (c *finder) prevails(aspect Aspect, a, b int) bool {
	winner, loser := &c.rules[a], &c.rules[b]
	if loser.Force == Bound {
		return false
	}
	switch aspect {
	case AspectSteer:
		if winner.Force == Bound {
			return loser.Force != Must && loser.Steer.Mode != Any && c.restricts(winner) && loser.use&winner.allowed == 0
		}
		// A default may have to serve when bounds leave nothing of a person's rule.
		return a < b && !(winner.Tier == User && loser.Tier == Main)
	case AspectQoS:
		return winner.Force != Bound && a < b && loser.qos.said&^winner.qos.said == 0
	case AspectFilter:
		return c.filterPrevails(a, b)
	}
	return false
}

func (c *finder) filterPrevails(a, b int) bool {
	winner, loser := &c.rules[a], &c.rules[b]
	w, l := winner.Filter, loser.Filter
	hard := winner.Force == Must && w.Action == Block && !w.Liftable
	if l.Mode != ModeUnset {
		if w.Mode == ModeUnset {
			return false
		}
		same := rank(winner.Rule) == rank(loser.Rule)
		switch {
		case winner.Force == Bound:
			return loser.Force != Must && w.Mode >= l.Mode && w.Mode > ModeFilter
		case loser.Force == Must:
			return same && a < b
		}
		return same && a < b || winner.Force == Must && (loser.Force == Default || w.Mode >= l.Mode && c.firstMustMode(a) && !c.hidesMode(b, w.Mode))
	}
	if w.Mode != ModeUnset {
		closed := w.Mode == ModeDenyAll && !w.Liftable && (winner.Force == Must && c.firstMustMode(a) || winner.Force == Bound)
		return closed && loser.Tier == User && l.Action == Allow && !c.hasLiftable()
	}
	switch {
	case loser.Force == Must && l.Action == Block:
		// Two that cannot be lifted, or the same twice: the first tells whether to be silent.
		return winner.Force == Must && w.Action == Block && (hard && l.Liftable || a < b && w.Liftable == l.Liftable)
	case loser.Force == Must:
		return hard || a < b && winner.Force == Must && w.Action == Allow
	case winner.Force == Must && w.Action == Allow:
		return loser.Force == Default || !c.hasLiftable()
	case hard:
		return true
	case winner.Force == Must:
		return false
	case loser.Tier == User:
		blocked := w.Action == Block && l.Action == Allow && !c.hasMode(ModeAllow)
		return winner.Tier == User && (blocked || a < b && w.Action == l.Action)
	}
	return winner.Tier == Main && a < b
}

// hasLiftable tells whether any block can be lifted: then what a person allows may count in spite of a main must.
func (c *finder) hasLiftable() bool {
	for i := range c.rules {
		if f := c.rules[i].Filter; f != nil && f.Liftable && f.Action == Block {
			return true
		}
	}
	return false
}

// hasMode tells whether any rule sets the mode.
func (c *finder) hasMode(m FilterMode) bool {
	for i := range c.rules {
		if f := c.rules[i].Filter; f != nil && f.Mode == m {
			return true
		}
	}
	return false
}

// firstMustMode tells whether no must that sets a mode is looked at before rule i.
func (c *finder) firstMustMode(i int) bool {
	for j := range i {
		if r := &c.rules[j]; r.Force == Must && r.Filter != nil && r.Filter.Mode != ModeUnset {
			return false
		}
	}
	return true
}

// hidesMode tells whether a person's rule that is looked at after rule i sets a stricter mode than m: it counts when i is gone.
func (c *finder) hidesMode(i int, m FilterMode) bool {
	for j := i + 1; j < len(c.rules); j++ {
		if r := &c.rules[j]; r.Tier == User && r.Filter != nil && r.Filter.Mode > m {
			return true
		}
	}
	return false
}

// findContradictions looks for a must that names links outside a bound, and for bounds that leave no link together.
func (c *finder) findContradictions() {
	for b := range c.rules {
		bound := &c.rules[b]
		if bound.Force != Bound || bound.Steer == nil || !c.restricts(bound) {
			continue
		}
		for o := range c.rules {
			other := &c.rules[o]
			switch {
			case other.Steer == nil:
			case other.Force == Must && other.use&^bound.allowed != 0 && c.meets(b, o):
				c.found = append(c.found, Finding{Contradiction, AspectSteer, bound.ID, other.ID, fmt.Sprintf(
					"%s uses %s, which %s takes away; the must prevails.", other, c.listLinks(other.use&^bound.allowed), bound)})
			case other.Force == Bound && o > b && bound.allowed&other.allowed == 0 && c.meets(b, o):
				c.found = append(c.found, Finding{Contradiction, AspectSteer, other.ID, bound.ID, fmt.Sprintf(
					"%s and %s together leave no link; flows that both limit are refused.", other, bound)})
			}
		}
	}
}

// meets tells whether two rules can match one flow.
func (c *finder) meets(a, b int) bool {
	x, y := &c.rules[a], &c.rules[b]
	return c.reach[a].meets(c.reach[b]) && x.schedule.meets(y.schedule) && c.whatMeets(&x.What, &y.What)
}
