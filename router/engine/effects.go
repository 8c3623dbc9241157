package engine

import (
	"slices"

	"github.com/trenza-router/trenza/router/policy"
)

// Effects is what a policy would change for what runs now.
type Effects struct {
	Devices []string     // ids of devices with a running flow that it concerns
	Flows   int          // running flows that it concerns
	Moves   []FlowEffect // the busiest of them
	Same    int          // running flows that it does not
	// Lost are rules of people that can have an effect now and could have none then.
	Lost []policy.Finding
	// Found are what else is odd about it that is not odd now: shadowed rules, contradictions.
	Found []policy.Finding
}

// FlowEffect is one flow that a policy would treat in another way.
type FlowEffect struct {
	Flow          FlowView
	Before, After string // in words
}

const (
	maxEffectFlows = 5000
	maxMoves       = 50
)

// EffectsOf compares what the policy in force and another one say of the running flows.
func (e *Engine) EffectsOf(next *policy.Compiled) Effects {
	now := e.policy.current()
	at := e.now()
	var out Effects
	for _, f := range e.Flows(FlowFilter{Limit: maxEffectFlows}) {
		if f.Device == "" || f.Inbound {
			continue
		}
		d, _ := e.hosts.ByID(f.Device)
		t, _ := e.target(d.Number, f.Key)
		before := now.Decide(policy.Query{Subject: now.Subject(f.Device), Target: t, Time: at})
		after := next.Decide(policy.Query{Subject: next.Subject(f.Device), Target: t, Time: at})
		was, is := treatment(before), treatment(after)
		if was == is {
			out.Same++
			continue
		}
		out.Flows++
		if !slices.Contains(out.Devices, f.Device) {
			out.Devices = append(out.Devices, f.Device)
		}
		if len(out.Moves) < maxMoves {
			out.Moves = append(out.Moves, FlowEffect{f, was, is})
		}
	}
	slices.Sort(out.Devices)
	old := e.policy.findingsOf(now)
	for _, f := range next.Findings() {
		if slices.ContainsFunc(old, func(o policy.Finding) bool { return o.RuleID == f.RuleID && o.Aspect == f.Aspect && o.Kind == f.Kind }) {
			continue
		}
		if f.Kind == policy.Ineffective && ownerOf(next, f.RuleID) != "" {
			out.Lost = append(out.Lost, f)
		} else {
			out.Found = append(out.Found, f)
		}
	}
	return out
}

// ownerOf is whose rule it is; "" for the house's.
func ownerOf(c *policy.Compiled, id string) string {
	for _, r := range c.Policy().User {
		if r.ID == id {
			return r.Owner
		}
	}
	return ""
}

// treatment is what a decision comes to for a flow, in words.
func treatment(d policy.Decision) string {
	if d.Blocked {
		return "blocked"
	}
	text := d.Steer.Describe()
	if d.QoS.Class != "" {
		text += ", " + d.QoS.Class
	}
	return text
}
