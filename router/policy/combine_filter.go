package policy

import "fmt"

// filterOutcome is a filter decision and who made it.
type filterOutcome struct {
	blocked, silent bool
	decider         int

	mode   FilterMode
	base   int // who set the mode before bounds: a must, user or default rule, or none for the built-in
	modeBy int // who set the mode in the end
	closed int // the must or bound that demands deny-all without leave to lift it, or none

	mustBlock  int // the must block that counts: the first that cannot be lifted, else the first
	mustAllow  int
	userBlock  int
	userAllow  int
	fallback   int  // the first default that blocks or allows
	lifted     bool // the user's allow lifts mustBlock
	allowIdled bool // the user's allow has no effect because of closed
}

// resolveFilter decides in this order: must block, must allow, user block, user allow, default, mode.
func (c *Compiled) resolveFilter(rules []int) filterOutcome {
	o := filterOutcome{decider: none, base: none, modeBy: none, closed: none,
		mustBlock: none, mustAllow: none, userBlock: none, userAllow: none, fallback: none}
	c.resolveMode(&o, rules)
	for _, i := range rules {
		r := &c.rules[i]
		if r.Filter == nil || r.Filter.Action == NoAction {
			continue
		}
		switch action := r.Filter.Action; {
		case r.Force == Must && action == Block:
			if o.mustBlock == none || c.rules[o.mustBlock].Filter.Liftable && !r.Filter.Liftable {
				o.mustBlock = i
			}
		case r.Force == Must:
			o.mustAllow = firstOf(o.mustAllow, i)
		case r.Tier == User && action == Block:
			o.userBlock = firstOf(o.userBlock, i)
		case r.Tier == User:
			o.userAllow = firstOf(o.userAllow, i)
		default:
			o.fallback = firstOf(o.fallback, i)
		}
	}
	c.decideFilter(&o)
	if o.blocked {
		o.silent = c.rules[o.decider].Filter.Silent
	}
	return o
}

func (c *Compiled) decideFilter(o *filterOutcome) {
	// With allow-all only the house's must blocks count, so that a user's block neither blocks nor undoes an allow.
	userBlocks := o.userBlock != none && o.mode != ModeAllow
	if o.mustBlock != none {
		o.lifted = c.rules[o.mustBlock].Filter.Liftable && o.userAllow != none && !userBlocks
		if !o.lifted {
			o.blocked, o.decider = true, o.mustBlock
			return
		}
	}
	switch {
	case o.mustAllow != none:
		o.decider = o.mustAllow
	case o.mode == ModeAllow:
		o.decider = o.modeBy
		if o.lifted {
			o.decider = o.userAllow
		}
	case userBlocks:
		o.blocked, o.decider = true, o.userBlock
	case o.userAllow != none && o.closed == none:
		o.decider = o.userAllow
	case o.fallback != none:
		o.allowIdled = o.userAllow != none
		o.blocked, o.decider = c.rules[o.fallback].Filter.Action == Block, o.fallback
	default:
		o.allowIdled = o.userAllow != none
		o.blocked, o.decider = o.mode == ModeDenyAll, o.modeBy
	}
}

// resolveMode takes the stricter of the first must and the first user mode; without them the first default, else the
// built-in filter; and never less than the bounds.
func (c *Compiled) resolveMode(o *filterOutcome, rules []int) {
	must, user, fallback := none, none, none
	for _, i := range rules {
		r := &c.rules[i]
		switch {
		case r.Filter == nil || r.Filter.Mode == ModeUnset || r.Force == Bound:
		case r.Force == Must:
			must = firstOf(must, i)
		case r.Tier == User:
			user = firstOf(user, i)
		default:
			fallback = firstOf(fallback, i)
		}
	}
	o.mode, o.base = ModeFilter, none
	switch {
	case must != none && (user == none || c.rules[must].Filter.Mode >= c.rules[user].Filter.Mode):
		o.base = must
	case user != none:
		o.base = user
	case fallback != none:
		o.base = fallback
	}
	if o.base != none {
		o.mode = c.rules[o.base].Filter.Mode
	}
	o.modeBy = o.base
	if must != none {
		c.close(o, must)
	}
	for _, i := range rules {
		if r := &c.rules[i]; r.Filter != nil && r.Force == Bound {
			if r.Filter.Mode > o.mode {
				o.mode, o.modeBy = r.Filter.Mode, i
			}
			c.close(o, i)
		}
	}
}

// close notes that main rule i demands deny-all and lets no user's allow lift it.
func (c *Compiled) close(o *filterOutcome, i int) {
	if f := c.rules[i].Filter; f.Mode == ModeDenyAll && !f.Liftable && o.closed == none {
		o.closed = i
	}
}

func (x *explainer) filter(o *filterOutcome) {
	x.each(AspectFilter, func(i int, r *compiledRule) {
		if r.Filter.Mode != ModeUnset {
			x.mode(o, i, r)
			return
		}
		verb := "blocks"
		if r.Filter.Action == Allow {
			verb = "allows"
		}
		switch {
		case i == o.decider:
			x.add(AspectFilter, i, Decided, none, fmt.Sprintf("%s %s the flow.", r, verb))
		case o.lifted && r.Force == Must && r.Filter.Action == Block:
			x.add(AspectFilter, i, Overruled, o.userAllow, fmt.Sprintf("%s blocks, and %s lifts it, as it may.", r, x.c.Rule(o.userAllow)))
		case o.lifted && i == o.userAllow:
			x.add(AspectFilter, i, Decided, none, fmt.Sprintf("%s lifts %s.", r, x.c.Rule(o.mustBlock)))
		case o.allowIdled && r.Tier == User:
			x.add(AspectFilter, i, Overruled, o.closed, fmt.Sprintf("%s allows, but %s lets nothing pass that the house does not allow.", r, x.c.Rule(o.closed)))
		case o.decider == none:
			x.add(AspectFilter, i, NoEffect, none, fmt.Sprintf("%s has no effect.", r))
		case o.decider == o.modeBy:
			x.add(AspectFilter, i, Overruled, o.decider, fmt.Sprintf("%s %s, but %s sets the mode %s.", r, verb, x.c.Rule(o.decider), o.mode))
		default:
			x.add(AspectFilter, i, Overruled, o.decider, x.overruledFilter(i, o.decider))
		}
	})
	if o.decider == none {
		x.add(AspectFilter, none, Decided, none, "No rule blocks the flow: it passes.")
	}
}

// overruledFilter says why an action lost: blocks go before allows inside a tier.
func (x *explainer) overruledFilter(i, by int) string {
	r, winner := &x.c.rules[i], &x.c.rules[by]
	if rank(r.Rule) == rank(winner.Rule) && r.Filter.Action != winner.Filter.Action && rank(r.Rule) != 3 {
		return fmt.Sprintf("%s gives way to %s: a block goes before an allow.", r, winner)
	}
	return x.overruled(i, by)
}

// mode says what a rule that sets the mode did.
func (x *explainer) mode(o *filterOutcome, i int, r *compiledRule) {
	decides := o.decider == o.modeBy
	switch {
	case i == o.modeBy && !decides:
		text := fmt.Sprintf("%s sets the mode %s, and an earlier question was decided.", r, o.mode)
		if o.decider != none {
			text = fmt.Sprintf("%s sets the mode %s, but %s is asked first.", r, o.mode, x.c.Rule(o.decider))
		}
		x.add(AspectFilter, i, NoEffect, o.decider, text)
	case i == o.modeBy && r.Force == Bound:
		x.add(AspectFilter, i, Limited, none, fmt.Sprintf("%s demands at least the mode %s.", r, o.mode))
	case i == o.modeBy:
		x.add(AspectFilter, i, Decided, none, fmt.Sprintf("%s sets the mode %s.", r, o.mode))
	case r.Force == Bound:
		x.add(AspectFilter, i, NoEffect, none, fmt.Sprintf("%s demands at least %s, and the mode is %s.", r, r.Filter.Mode, o.mode))
	case i == o.base:
		x.add(AspectFilter, i, Clamped, o.modeBy, fmt.Sprintf("%s says %s, but %s demands at least %s.", r, r.Filter.Mode, x.c.Rule(o.modeBy), o.mode))
	case o.base != none:
		x.add(AspectFilter, i, Overruled, o.base, fmt.Sprintf("%s says %s; the mode of %s holds.", r, r.Filter.Mode, x.c.Rule(o.base)))
	default:
		x.add(AspectFilter, i, NoEffect, none, fmt.Sprintf("%s says %s, which changes nothing.", r, r.Filter.Mode))
	}
}
