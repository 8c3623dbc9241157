package qos

import (
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Ranks of terms by who said it: the house's promises come before what people ask for.
const (
	RankUser    = 10
	RankDefault = 20
	RankMust    = 30
	RankBound   = 40
)

func rank(f policy.Force) int {
	switch f {
	case policy.Must:
		return RankMust
	case policy.Default:
		return RankDefault
	case policy.Bound:
		return RankBound
	case policy.ForceNone:
	}
	return RankUser
}

// FromDecision turns what the policy decided about some traffic into terms: at most one each for guarantee, cap, throttle and priority,
// since each may have been decided by another rule. rule finds a rule by its id. The traffic is that of the devices (several:
// they share), of the classes in apps or all of it.
func FromDecision(d policy.Decision, rule func(id string) *policy.Rule, devices []flow.DeviceID, apps []flow.AppClass) []Term {
	var out []Term
	add := func(t Term, says func(policy.QoS) bool) {
		by := decider(d, rule, says)
		t.Rule, t.Rank, t.Devices, t.Apps = by.RuleID, rank(by.Force), devices, apps
		out = append(out, t)
	}
	q := d.QoS
	if q.GuaranteeUp+q.GuaranteeDown > 0 {
		add(Term{Guarantee: Rates{q.GuaranteeUp, q.GuaranteeDown}}, func(r policy.QoS) bool { return r.GuaranteeUp+r.GuaranteeDown > 0 })
	}
	if q.CapUp+q.CapDown > 0 {
		add(Term{Cap: Rates{q.CapUp, q.CapDown}}, func(r policy.QoS) bool { return r.CapUp+r.CapDown > 0 })
	}
	if q.ThrottleUp+q.ThrottleDown > 0 {
		add(Term{Cap: Rates{q.ThrottleUp, q.ThrottleDown}, Spent: true}, func(r policy.QoS) bool { return r.ThrottleUp+r.ThrottleDown > 0 })
	}
	switch {
	case q.Priority != nil:
		p := uint8(*q.Priority)
		add(Term{Priority: &p}, func(r policy.QoS) bool { return r.Priority != nil })
	case q.MinPriority != nil && q.MaxPriority != nil && len(apps) == 1:
		// Nobody says a priority: the class's own is held in the range that bounds leave.
		p := min(max(classPriority(apps[0]), uint8(*q.MinPriority)), uint8(*q.MaxPriority))
		add(Term{Priority: &p}, func(r policy.QoS) bool { return r.MinPriority != nil || r.MaxPriority != nil })
	}
	return out
}

// decider is the reason of the rule that decided a field: rules are looked at in order, and the first that says it does. A bound
// decides only where nobody else does.
func decider(d policy.Decision, rule func(id string) *policy.Rule, says func(policy.QoS) bool) policy.Reason {
	var bound policy.Reason
	for _, r := range d.Reasons {
		if r.Aspect != policy.AspectQoS || r.RuleID == "" {
			continue
		}
		if v := rule(r.RuleID); v == nil || v.QoS == nil || !says(*v.QoS) {
			continue
		}
		if r.Force != policy.Bound {
			return r
		}
		if bound.RuleID == "" {
			bound = r
		}
	}
	return bound
}
