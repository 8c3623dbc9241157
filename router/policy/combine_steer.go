package policy

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// linkSet is a set of links: bit n is Compiled.links[n].
type linkSet uint64

// maxLinks is how many different link names a linkSet can tell apart.
const maxLinks = 64

func (c *Compiled) setOf(names []string) linkSet {
	var s linkSet
	for _, n := range names {
		s |= c.linkBits[n]
	}
	return s
}

// names lists a set's links in the order of Compiled.links.
func (c *Compiled) names(s linkSet) []string {
	out := make([]string, 0, bits.OnesCount64(uint64(s)))
	for ; s != 0; s &= s - 1 {
		out = append(out, c.links[bits.TrailingZeros64(uint64(s))])
	}
	return out
}

// shares lists a set's links without weights.
func (c *Compiled) shares(s linkSet) []LinkShare {
	out := make([]LinkShare, 0, bits.OnesCount64(uint64(s)))
	for ; s != 0; s &= s - 1 {
		out = append(out, LinkShare{Link: c.links[bits.TrailingZeros64(uint64(s))]})
	}
	return out
}

// steerOutcome is a steer decision and who made it.
type steerOutcome struct {
	value    Steer
	decider  int
	rejected [2]int  // the user's rule and the default of which bounds left no link
	allowed  linkSet // what all bounds leave
	limited  bool    // that is less than everything
	narrowed bool    // Use lost links to a bound
	fenced   bool    // Allow was set, for when all links of Use are dead
	closed   bool    // bounds leave no link at all
	kill     int     // the bound that demands the kill switch, if the decider does not
	quota    int     // the bound that gives leave to exceed quotas, if the decider does not
}

func (c *Compiled) resolveSteer(rules []int) steerOutcome {
	o := steerOutcome{decider: none, rejected: [2]int{none, none}, allowed: c.allLinks, kill: none, quota: none}
	must, user, fallback := none, none, none
	for _, i := range rules {
		r := &c.rules[i]
		switch {
		case r.Steer == nil:
		case r.Force == Bound:
			o.allowed &= r.allowed
			o.limited = o.limited || c.restricts(r)
			if r.Steer.KillSwitch && o.kill == none {
				o.kill = i
			}
			if r.Steer.OverQuota && o.quota == none {
				o.quota = i
			}
		case r.Force == Must:
			must = firstOf(must, i)
		case r.Tier == User:
			user = firstOf(user, i)
		default:
			fallback = firstOf(fallback, i)
		}
	}
	if must != none {
		o.decider, o.value = must, *c.rules[must].Steer
	} else {
		c.narrow(&o, user, fallback)
	}
	if o.kill != none && o.value.KillSwitch {
		o.kill = none
	}
	if o.quota != none && o.value.OverQuota {
		o.quota = none
	}
	o.value.KillSwitch = o.value.KillSwitch || o.kill != none
	o.value.OverQuota = o.value.OverQuota || o.quota != none
	c.fence(&o)
	return o
}

func firstOf(a, b int) int {
	if a != none {
		return a
	}
	return b
}

// restricts tells whether a bound takes any link away. When nobody told which links there are, every list does.
func (c *Compiled) restricts(r *compiledRule) bool {
	return r.allowed != c.allLinks || len(c.known.Links) == 0 && len(r.Steer.Allow) > 0
}

// narrow takes the first of the user's rule, the house's default and the built-in of which the bounds leave something.
func (c *Compiled) narrow(o *steerOutcome, user, fallback int) {
	for n, i := range [2]int{user, fallback} {
		if i == none {
			continue
		}
		r := &c.rules[i]
		left := r.use & o.allowed
		switch {
		case !o.limited, r.Steer.Mode != Any && left == r.use:
			o.value = *r.Steer
		case r.Steer.Mode == Any && o.allowed != 0:
			o.value = *r.Steer
			o.value.Use, o.narrowed = c.shares(o.allowed), true
		case left != 0:
			o.value = *r.Steer
			o.value.Use, o.narrowed = c.keep(r.Steer.Use, o.allowed), true
		default:
			o.rejected[n] = i
			continue
		}
		o.decider = i
		return
	}
	o.value = Steer{Mode: Any}
	switch {
	case !o.limited:
	case o.allowed == 0:
		o.value, o.closed = Steer{Mode: Failover, KillSwitch: true}, true
	default:
		o.value.Use, o.narrowed = c.shares(o.allowed), true
	}
}

func (c *Compiled) keep(use []LinkShare, allowed linkSet) []LinkShare {
	out := make([]LinkShare, 0, len(use))
	for _, share := range use {
		if c.linkBits[share.Link]&allowed != 0 {
			out = append(out, share)
		}
	}
	return out
}

// fence keeps a flow inside the bounds when all links of Use are dead and the rule lets it take another one. What a main
// must names stays, even outside the bounds.
func (c *Compiled) fence(o *steerOutcome) {
	everyLink := o.value.Mode == Any && !o.narrowed // a must says any link, and means it
	if !o.limited || o.closed || o.value.Mode == Fixed || o.value.KillSwitch || everyLink {
		return
	}
	may := o.allowed
	for _, share := range o.value.Use {
		may |= c.linkBits[share.Link]
	}
	o.value.Allow, o.fenced = c.names(may), true
}

// IsStrict tells whether any rule resets flows that are found on a wrong link.
func (c *Compiled) IsStrict() bool { return c.strict }

func (c *Compiled) noteStrict() {
	for i := range c.rules {
		r := &c.rules[i]
		c.strict = c.strict || r.Steer != nil && r.Steer.Strict
	}
}

func (x *explainer) steer(o *steerOutcome) {
	x.each(AspectSteer, func(i int, r *compiledRule) {
		first := x.sameKind(i)
		switch {
		case r.Force == Bound:
			x.steerBound(o, i, r)
		case i == o.decider && o.narrowed:
			x.add(AspectSteer, i, Clamped, x.taker(r), fmt.Sprintf("%s says %s; bounds leave %s.",
				r, r.Steer.Describe(), o.value.Describe()))
		case i == o.decider:
			x.add(AspectSteer, i, Decided, none, fmt.Sprintf("%s decides: %s.", r, o.value.Describe()))
		case i == o.rejected[0] || i == o.rejected[1]:
			by := x.taker(r)
			x.add(AspectSteer, i, Overruled, by, fmt.Sprintf("Warning: %s says %s, of which bounds leave no link (%s); the house's order is taken.",
				r, r.Steer.Describe(), x.c.Rule(by)))
		case i != first:
			x.add(AspectSteer, i, Overruled, first, x.overruled(i, first))
		default:
			x.add(AspectSteer, i, Overruled, o.decider, x.overruled(i, o.decider))
		}
	})
	switch {
	case o.decider != none:
	case o.closed:
		x.add(AspectSteer, none, Clamped, x.firstBound(), "Warning: the house's bounds together leave no link; the flow is refused.")
	case o.narrowed:
		x.add(AspectSteer, none, Clamped, x.firstBound(),
			fmt.Sprintf("The router's own order decides among what bounds leave: %s.", o.value.Describe()))
	default:
		x.add(AspectSteer, none, Decided, none, fmt.Sprintf("No rule chooses: %s, in the router's own order.", o.value.Describe()))
	}
}

// steerBound says what bound i did to the choice of a link.
func (x *explainer) steerBound(o *steerOutcome, i int, r *compiledRule) {
	var effects []string
	if x.c.restricts(r) && (o.fenced || o.closed || x.tookFrom(o, r)) {
		effects = append(effects, "leaves only "+x.c.listLinks(r.allowed))
	}
	if i == o.kill {
		effects = append(effects, "refuses the flow when no link of the choice lives")
	}
	if i == o.quota {
		effects = append(effects, "lets the flow exceed data quotas")
	}
	switch {
	case len(effects) > 0:
		x.add(AspectSteer, i, Limited, none, fmt.Sprintf("%s %s.", r, strings.Join(effects, " and ")))
	case o.decider != none && x.c.rules[o.decider].Force == Must:
		x.add(AspectSteer, i, NoEffect, o.decider, fmt.Sprintf("%s does not limit %s, which must hold.", r, x.c.Rule(o.decider)))
	default:
		x.add(AspectSteer, i, NoEffect, none, fmt.Sprintf("%s has nothing to limit here.", r))
	}
}

// tookFrom tells whether a bound took links from what was tried: the decider and the rules rejected before it.
func (x *explainer) tookFrom(o *steerOutcome, bound *compiledRule) bool {
	if o.decider == none {
		return o.narrowed
	}
	for _, i := range [3]int{o.rejected[0], o.rejected[1], o.decider} {
		if i == none || x.c.rules[i].Force == Must {
			continue
		}
		r := &x.c.rules[i]
		if r.Steer.Mode == Any || r.use&^bound.allowed != 0 {
			return true
		}
	}
	return false
}

// taker is the first bound that takes a link of the rule away; of any, if it names none.
func (x *explainer) taker(r *compiledRule) int {
	for _, i := range x.rules {
		b := &x.c.rules[i]
		if b.Force == Bound && b.Steer != nil && x.c.restricts(b) && (r.Steer.Mode == Any || r.use&^b.allowed != 0) {
			return i
		}
	}
	return x.firstBound()
}

// firstBound is the first bound that takes links away.
func (x *explainer) firstBound() int {
	for _, i := range x.rules {
		if b := &x.c.rules[i]; b.Force == Bound && b.Steer != nil && x.c.restricts(b) {
			return i
		}
	}
	return none
}

// sameKind is the first rule with the tier and force of rule i that chooses a link.
func (x *explainer) sameKind(i int) int {
	for _, j := range x.rules {
		if x.c.rules[j].Steer != nil && rank(x.c.Rule(j)) == rank(x.c.Rule(i)) {
			return j
		}
	}
	return none
}

func (c *Compiled) listLinks(s linkSet) string {
	if s == 0 {
		return "no link"
	}
	return strings.Join(c.names(s), ", ")
}

// Describe says the choice in a few words: "fiber, then lte", "fiber 70 and lte 30".
func (s *Steer) Describe() string {
	var names []string
	for _, share := range s.Use {
		if s.Mode == Balance {
			names = append(names, fmt.Sprintf("%s %d", share.Link, share.Weight))
		} else {
			names = append(names, share.Link)
		}
	}
	var text string
	switch {
	case s.Mode == Any && len(names) == 0:
		text = "any link"
	case s.Mode == Any:
		text = "any of " + strings.Join(names, ", ")
	case len(names) == 0:
		text = "no link"
	case s.Mode == Fixed:
		return "only " + names[0] + s.delivered()
	case s.Mode == Balance:
		text = "balance of " + strings.Join(names, " and ")
	default:
		text = strings.Join(names, ", then ")
	}
	var rest []string
	for _, l := range s.Allow {
		if !slices.ContainsFunc(s.Use, func(share LinkShare) bool { return share.Link == l }) {
			rest = append(rest, l)
		}
	}
	switch {
	case s.KillSwitch, len(s.Allow) > 0 && len(rest) == 0:
		text += ", and nothing else"
	case len(rest) > 0:
		text += ", else " + strings.Join(rest, " or ")
	}
	return text + s.delivered()
}

// delivered says how a bond carries the flow, if not as usual, and whether one that is found elsewhere is reset.
func (s *Steer) delivered() (text string) {
	if s.Delivery != Speed {
		text = ", delivery " + s.Delivery.String()
	}
	if s.Strict {
		text += ", strictly"
	}
	return text
}
