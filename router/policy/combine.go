package policy

import "github.com/trenza-router/trenza/router/flow"

// Combining is done in two steps for each aspect: resolve finds the answer and which rules made it, without
// allocating where no bound changes a value; explain turns that into reasons. Verdict only resolves and Combine does
// both, so that they cannot disagree.

// none stands for "no rule" where a rule index is expected. As a decider it is the built-in.
const none = -1

// Verdict is the part of a Decision that the kernel enforces.
type Verdict struct {
	Steer   Steer // shared with the policy: do not change Use
	Class   flow.AppClass
	Blocked bool
	Silent  bool
	Log     bool
}

// Verdict combines rules that are active and match, in canonical order, into the answer alone.
// It is equal to what Combine says, always.
func (c *Compiled) Verdict(_ Subject, rules []int) Verdict {
	f := c.resolveFilter(rules)
	return Verdict{
		Steer:   c.resolveSteer(rules).value,
		Class:   c.flowClass(rules),
		Blocked: f.blocked,
		Silent:  f.silent,
		Log:     c.logs(rules),
	}
}

// Combine combines rules that are active and match, in canonical order, into the decision with its reasons.
func (c *Compiled) Combine(_ Subject, rules []int) Decision {
	s, q, f := c.resolveSteer(rules), c.resolveQoS(rules), c.resolveFilter(rules)
	x := explainer{c: c, rules: rules}
	x.steer(&s)
	x.qos(&q)
	x.filter(&f)
	x.log()
	return Decision{
		Steer:   s.value,
		QoS:     q.decision(),
		Class:   c.flowClass(rules),
		Blocked: f.blocked,
		Silent:  f.silent,
		Mode:    f.mode,
		Log:     c.logs(rules),
		Reasons: x.reasons,
	}
}

// Verdict is the part of the decision that the kernel enforces.
func (d Decision) Verdict() Verdict {
	return Verdict{Steer: d.Steer, Class: d.Class, Blocked: d.Blocked, Silent: d.Silent, Log: d.Log}
}

// logs tells whether any rule wants the flow logged.
func (c *Compiled) logs(rules []int) bool {
	for _, i := range rules {
		if c.rules[i].Log {
			return true
		}
	}
	return false
}

// explainer collects the reasons of one decision.
type explainer struct {
	c       *Compiled
	rules   []int
	reasons []Reason
}

// each calls f for the rules that say something about the aspect, in canonical order.
func (x *explainer) each(a Aspect, f func(i int, r *compiledRule)) {
	for _, i := range x.rules {
		if r := &x.c.rules[i]; r.says(a) {
			f(i, r)
		}
	}
}

// add records what rule i did; by is the rule that prevailed over it, or none.
func (x *explainer) add(a Aspect, i int, o Outcome, by int, text string) {
	reason := Reason{Aspect: a, Outcome: o, Text: text}
	if i != none {
		r := &x.c.rules[i]
		reason.RuleID, reason.RuleName, reason.Tier, reason.Owner, reason.Force = r.ID, r.Name, r.Tier, r.Owner, r.Force
	}
	if by != none {
		reason.By = x.c.rules[by].ID
	}
	x.reasons = append(x.reasons, reason)
}

func (x *explainer) log() {
	x.each(AspectLog, func(i int, r *compiledRule) {
		x.add(AspectLog, i, Decided, none, r.String()+" logs the flow.")
	})
}

// overruled says why rule i lost against rule by.
func (x *explainer) overruled(i, by int) string {
	r, winner := &x.c.rules[i], &x.c.rules[by]
	if r.Tier == winner.Tier && r.Force == winner.Force {
		return r.String() + " gives way to " + winner.String() + ", which is looked at first."
	}
	switch {
	case winner.Force == Must:
		return winner.String() + " must hold and prevails over " + r.String() + "."
	case winner.Force == Bound:
		return winner.String() + " sets a bound that leaves " + r.String() + " no effect."
	}
	return winner.String() + " prevails over " + r.String() + "."
}
