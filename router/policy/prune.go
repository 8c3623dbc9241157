package policy

// Prune drops the rules that cannot change what Verdict says of one aspect any more, for a flow of which part is known.
// rules are in canonical order; certain tells of a rule that it matches whatever the rest turns out to be, while the
// others still may or may not. For AspectFilter the answer includes Log; for AspectQoS it is the class alone.
//
// router/plan narrows a policy down dimension by dimension; without Prune every rule about a port would be looked
// at again behind every rule about an application that overrules it.
func (c *Compiled) Prune(a Aspect, rules []int, certain func(i int) bool) []int {
	switch a {
	case AspectSteer:
		return c.pruneSteer(rules, certain)
	case AspectQoS:
		return c.pruneClass(rules, certain)
	case AspectFilter:
		return c.pruneFilter(rules, certain)
	}
	return rules
}

// pruneSteer: the first certain rule of a tier ends its tier; a certain must ends all but bounds; a certain user
// rule ends the defaults unless a bound may leave nothing of it.
func (c *Compiled) pruneSteer(rules []int, certain func(i int) bool) []int {
	var out []int
	must, user, fallback, bound := false, false, false, false
	for _, i := range rules {
		r := &c.rules[i]
		if r.Steer == nil {
			continue
		}
		decided := &fallback
		switch {
		case r.Force == Bound:
			bound = true
			out = append(out, i)
			continue
		case must:
			continue
		case r.Force == Must:
			decided = &must
		case r.Tier == User:
			decided = &user
		case user && !bound: // bounds stand before user rules and defaults
			continue
		}
		if !*decided {
			out = append(out, i)
			*decided = certain(i)
		}
	}
	return out
}

// pruneClass: the first rule with a class decides.
func (c *Compiled) pruneClass(rules []int, certain func(i int) bool) []int {
	var out []int
	for _, i := range rules {
		r := &c.rules[i]
		if r.QoS == nil || r.Force == Bound || !r.qos.says(qosClass) {
			continue
		}
		out = append(out, i)
		if certain(i) {
			break
		}
	}
	return out
}

// filterKind is what a filter rule is to the order of decision; the first rule of a kind that matches stands for it.
type filterKind uint8

const (
	firmBlock filterKind = iota // must, cannot be lifted
	liftableBlock
	mustAllow
	userBlock
	userAllow
	otherAction // default
	mustMode
	userMode
	otherMode
	boundMode
	filterKinds
)

func (r *compiledRule) filterKind() filterKind {
	f := r.Filter
	tier := 2
	switch {
	case r.Force == Must:
		tier = 0
	case r.Tier == User:
		tier = 1
	}
	switch {
	case f.Action == NoAction && r.Force == Bound:
		return boundMode
	case f.Action == NoAction:
		return [...]filterKind{mustMode, userMode, otherMode}[tier]
	case tier == 2:
		return otherAction
	case tier == 1 && f.Action == Block:
		return userBlock
	case tier == 1:
		return userAllow
	case f.Action == Allow:
		return mustAllow
	case f.Liftable:
		return liftableBlock
	}
	return firmBlock
}

func (c *Compiled) pruneFilter(rules []int, certain func(i int) bool) []int {
	var possible, sure [filterKinds]bool
	permissive := false // the mode may be allow-all, in which a user's block counts for nothing
	for _, i := range rules {
		if r := &c.rules[i]; r.Filter != nil {
			k := r.filterKind()
			possible[k] = true
			sure[k] = sure[k] || certain(i)
			permissive = permissive || r.Filter.Mode == ModeAllow
		}
	}
	idle := func(k filterKind) bool {
		switch {
		case sure[firmBlock]:
			return k != firmBlock
		case sure[mustAllow] && !possible[liftableBlock]:
			return k > mustAllow
		case sure[userBlock] && !permissive:
			return k > userBlock
		}
		return false
	}
	var out []int
	var done [filterKinds]bool
	logged := false
	for _, i := range rules {
		r := &c.rules[i]
		keep := r.Log && !logged
		logged = logged || r.Log && certain(i)
		if r.Filter != nil {
			if k := r.filterKind(); !idle(k) && !done[k] {
				keep = true
				// Every bound counts, for the strictest of them holds.
				done[k] = certain(i) && k != boundMode
			}
		}
		if keep {
			out = append(out, i)
		}
	}
	return out
}
