package qos

import (
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Subject is a device whose traffic the policy may say something of.
type Subject struct {
	Number flow.DeviceID
	policy.Subject
}

// Terms is what the policy says of the traffic of some devices at a moment. What a rule says of people, it says of each person's
// devices together; what it says of devices, groups or everybody, of each device.
func Terms(p *policy.Compiled, at time.Time, subjects []Subject) []Term {
	rules := map[string]*policy.Rule{}
	for i := range p.Len() {
		rules[p.Rule(i).ID] = p.Rule(i)
	}
	find := func(id string) *policy.Rule { return rules[id] }
	var out []Term
	for _, s := range subjects {
		own := []flow.DeviceID{s.Number}
		var terms []Term
		promises := p.Promises(s.Subject, at) // the first is about all traffic
		for _, promise := range promises {
			if promise.Rule == nil {
				terms = append(terms, FromDecision(promise.Decision, find, own, nil)...)
				continue
			}
			terms = append(terms, promised(promise, promises[0].Decision.QoS, find, own)...)
		}
		for _, t := range append(terms, budgets(p, at, s)...) {
			out = join(out, t, s, find(t.Rule))
		}
	}
	return out
}

// promised are the terms of a rule's own class. What holds for the device as a whole is said by a term of its own. A priority that
// nobody says is that of the class that the flows are said to be of.
func promised(p policy.Promise, whole policy.QoS, rule func(id string) *policy.Rule, devices []flow.DeviceID) []Term {
	d, says := p.Decision, p.Rule.QoS
	q := &d.QoS
	for _, f := range []struct {
		value       *policy.Rate
		said, whole policy.Rate
	}{
		{&q.GuaranteeUp, says.GuaranteeUp, whole.GuaranteeUp}, {&q.GuaranteeDown, says.GuaranteeDown, whole.GuaranteeDown},
		{&q.CapUp, says.CapUp, whole.CapUp}, {&q.CapDown, says.CapDown, whole.CapDown},
		{&q.ThrottleUp, says.ThrottleUp, whole.ThrottleUp}, {&q.ThrottleDown, says.ThrottleDown, whole.ThrottleDown},
	} {
		if f.said == 0 && *f.value == f.whole {
			*f.value = 0
		}
	}
	if q.Priority == nil {
		n := int(classPriority(flow.AppClass(slices.Index(policy.ClassNames(), q.Class) + 1)))
		if q.MinPriority != nil && q.MaxPriority != nil {
			n = min(max(n, *q.MinPriority), *q.MaxPriority)
		}
		q.Priority = &n
	}
	terms := FromDecision(d, rule, devices, []flow.AppClass{p.Class})
	for i := range terms {
		if by := rule(terms[i].Rule); by == nil || by.ID != p.Rule.ID && wholeRule(by) {
			terms[i].Rule, terms[i].Rank = p.Rule.ID, rank(p.Rule.Force)
		}
	}
	return terms
}

func wholeRule(r *policy.Rule) bool {
	w := r.What
	return len(w.Apps)+len(w.Categories)+len(w.Domains)+len(w.Addresses)+len(w.Services)+len(w.DSCP) == 0
}

// budgets are the bounds of what a device's guarantees may add up to.
func budgets(p *policy.Compiled, at time.Time, s Subject) []Term {
	var out []Term
	for _, i := range p.Active(s.Subject, at) {
		r := p.Rule(i)
		if r.Force == policy.Bound && r.QoS != nil && wholeRule(r) && r.QoS.GuaranteeUp+r.QoS.GuaranteeDown > 0 {
			out = append(out, Term{Rule: r.ID, Rank: RankBound, Devices: []flow.DeviceID{s.Number}, Budget: Rates{r.QoS.GuaranteeUp, r.QoS.GuaranteeDown}})
		}
	}
	return out
}

// join adds a device's term to those of other devices: to the one that is the same amount for the same person, if there is one.
func join(terms []Term, t Term, s Subject, r *policy.Rule) []Term {
	if r == nil || t.Priority != nil || !personal(r, s) {
		return append(terms, t)
	}
	t.Person = s.Person
	for i := range terms {
		if o := &terms[i]; o.Person == t.Person && o.Rule == t.Rule && o.Rank == t.Rank && slices.Equal(o.Apps, t.Apps) &&
			o.Guarantee == t.Guarantee && o.Cap == t.Cap && o.Spent == t.Spent && o.Budget == t.Budget {
			o.Devices = append(o.Devices, t.Devices...)
			return terms
		}
	}
	return append(terms, t)
}

// personal tells whether a rule means a device because it is somebody's.
func personal(r *policy.Rule, s Subject) bool {
	switch {
	case s.Person == "" || slices.Contains(r.Who.Devices, s.Device):
		return false
	case slices.Contains(r.Who.People, s.Person):
		return true
	}
	return r.Tier == policy.User && len(r.Who.Devices)+len(r.Who.People)+len(r.Who.Groups) == 0
}
