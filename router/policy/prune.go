package policy

// Prune leaves out the rules that cannot change the Verdict's part for one aspect (Steer; Class for AspectQoS; Blocked
// and Silent for AspectFilter; Log), whichever of the rules match. The rules are in canonical order, and certain tells
// of which it is known that they match; the others may. Equal results of Prune mean equal verdicts, so that whoever
// compiles a policy can share what it makes of them.
func (c *Compiled) Prune(a Aspect, rules []int, certain func(i int) bool) []int {
	p := pruner{c: c, rules: rules, certain: certain, out: make([]int, 0, len(rules))}
	switch a {
	case AspectSteer:
		p.steer()
	case AspectQoS:
		p.class()
	case AspectFilter:
		p.filter()
	case AspectLog:
		p.log()
	}
	return p.out
}

type pruner struct {
	c       *Compiled
	rules   []int
	certain func(i int) bool
	out     []int
}

// any tells whether a rule that holds is in the list, and whether one is certain to match.
func (p *pruner) any(holds func(r *compiledRule) bool) (present, certain bool) {
	for _, i := range p.rules {
		if holds(&p.c.rules[i]) {
			present = true
			certain = certain || p.certain(i)
		}
	}
	return present, certain
}

// keep takes rule i unless its kind is done.
func (p *pruner) keep(done *bool, i int) {
	if *done {
		return
	}
	p.out = append(p.out, i)
	*done = p.certain(i)
}

func (p *pruner) steer() {
	limits, _ := p.any(func(r *compiledRule) bool { return r.Steer != nil && r.Force == Bound && p.c.restricts(r) })
	var done [4]bool // by rank: of one kind the first that matches counts, and none behind a certain one does
	for _, i := range p.rules {
		r := &p.c.rules[i]
		switch k := rank(r.Rule); {
		case r.Steer == nil:
		case r.Force == Bound:
			p.out = append(p.out, i)
		case k == 2 && done[0], k == 3 && (done[0] || done[2] && !limits):
		default:
			p.keep(&done[k], i)
		}
	}
}

func (p *pruner) class() {
	done := false
	for _, i := range p.rules {
		if p.c.rules[i].class() != 0 {
			p.keep(&done, i)
		}
	}
}

func (p *pruner) log() {
	done := false
	for _, i := range p.rules {
		if p.c.rules[i].Log && p.certain(i) {
			p.out, done = append(p.out, i), true
			break
		}
	}
	for _, i := range p.rules {
		if p.c.rules[i].Log && !done {
			p.out = append(p.out, i)
		}
	}
}

func mustAction(a FilterAction) func(r *compiledRule) bool {
	return func(r *compiledRule) bool { return r.Filter != nil && r.Force == Must && r.Filter.Action == a }
}

func (p *pruner) filter() {
	_, blocked := p.any(func(r *compiledRule) bool { return mustAction(Block)(r) && !r.Filter.Liftable })
	_, allowed := p.any(mustAction(Allow))
	liftable, _ := p.any(func(r *compiledRule) bool { return mustAction(Block)(r) && r.Filter.Liftable })
	var blockDone, allowDone, userBlockDone, userAllowDone, fallbackDone bool
	for _, i := range p.rules {
		r := &p.c.rules[i]
		if r.Filter == nil {
			continue
		}
		switch k := rank(r.Rule); {
		case k == 0 && r.Filter.Action == Block:
			// A block that cannot be lifted counts before any that can.
			switch {
			case !r.Filter.Liftable:
				p.keep(&blockDone, i)
			case !blocked:
				p.out = append(p.out, i)
			}
		case blocked:
		case k == 0 && r.Filter.Action == Allow:
			p.keep(&allowDone, i)
		case r.Filter.Mode != ModeUnset:
			// Behind a certain allow the mode only matters for whether a user's block undoes a user's allow.
			if !allowed || liftable {
				p.out = append(p.out, i)
			}
		case k == 2 && allowed && !liftable:
		case k == 2 && r.Filter.Action == Block:
			p.keep(&userBlockDone, i)
		case k == 2:
			p.keep(&userAllowDone, i)
		case k == 3 && !allowed:
			p.keep(&fallbackDone, i)
		}
	}
}
