package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
)

// ListRules lists the rules of both tiers.
func (h *Handlers) ListRules(ctx context.Context, _ ListRulesRequestObject) (ListRulesResponseObject, error) {
	see := h.sight(ctx)
	compiled, version := h.engine.Rules()
	findings := map[string][]Finding{}
	for _, f := range h.engine.RuleFindings() {
		findings[f.RuleID] = append(findings[f.RuleID], finding(f))
	}
	view := func(r policy.Rule) RuleView {
		v := RuleView{Rule: ruleOf(r), Findings: append([]Finding{}, findings[r.ID]...), Limits: []Limit{}}
		for _, l := range compiled.Limits(r.ID) {
			above := ruleOf(*l.Rule)
			if !see.all {
				above.Who = nil // whom else it is about is not theirs to know
			}
			v.Limits = append(v.Limits, Limit{Aspect: LimitAspect(l.Aspect.String()), Locked: l.Locked, Rule: above})
		}
		return v
	}
	p := compiled.Policy()
	out := Rules{Version: version, House: []RuleView{}, People: []PersonRules{}}
	if see.all {
		out.House = each(p.Main, view)
		groups := each(p.Groups, func(g policy.Group) Group {
			return Group{Id: g.ID, Name: some(g.Name), Devices: list(g.Devices), People: list(g.People)}
		})
		out.Groups = &groups
	}
	for _, person := range p.People {
		if !see.all && person.ID != see.person {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(p.User), func(r policy.Rule) bool { return r.Owner != person.ID })
		out.People = append(out.People, PersonRules{Person: person.ID, Name: cmp.Or(person.Name, person.ID), Rules: each(mine, view)})
	}
	return ListRules200JSONResponse(out), nil
}

func finding(f policy.Finding) Finding {
	return Finding{Kind: FindingKind(f.Kind.String()), Aspect: FindingAspect(f.Aspect.String()), Rule: f.RuleID, By: f.By, Text: f.Text}
}

// list is nil for an empty list: the field is then left out.
func list[T any](v []T) *[]T {
	if len(v) == 0 {
		return nil
	}
	return &v
}

// moment is nil for the zero time: the field is then left out.
func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// ruleOf is a rule as the interface tells it.
func ruleOf(r policy.Rule) Rule {
	out := Rule{Id: r.ID, Name: some(r.Name), Force: some(RuleForce(r.Force.String())), Priority: some(r.Priority), Disabled: some(r.Disabled),
		When: list(each(r.When, text)), From: moment(r.From), Until: moment(r.Until), Log: some(r.Log)}
	if w := r.Who; len(w.People)+len(w.Groups)+len(w.Devices) > 0 || w.Router {
		out.Who = &RuleWho{People: list(w.People), Groups: list(w.Groups), Devices: list(w.Devices), Router: some(w.Router)}
	}
	w := r.What
	what := RuleWhat{Apps: list(w.Apps), Categories: list(w.Categories), Domains: list(each(w.Domains, text)),
		Addresses: list(each(w.Addresses, netip.Prefix.String)), Services: list(each(w.Services, text)),
		Dscp:     list(each(w.DSCP, func(v uint8) int { return int(v) })),
		Protocol: list(w.Protocols), TlsName: list(each(w.TLSNames, text)), Payload: list(each(w.Payload, text)),
		Http: some(RuleHttp{Host: list(each(w.HTTP.Hosts, text)), Path: list(each(w.HTTP.Paths, text))})}
	if what != (RuleWhat{}) {
		out.What = &what
	}
	if s := r.Steer; s != nil {
		out.Steer = &RuleSteer{Allow: list(s.Allow), Forbid: list(s.Forbid), KillSwitch: some(s.KillSwitch), Strict: some(s.Strict), OverQuota: some(s.OverQuota),
			Use: list(each(s.Use, func(l policy.LinkShare) LinkWeight { return LinkWeight{Link: l.Link, Weight: some(l.Weight)} }))}
		if r.Force != policy.Bound {
			mode := RuleSteerMode(s.Mode.String())
			out.Steer.Mode = &mode
			if s.Mode == policy.Balance {
				sticky := RuleSteerSticky(s.Sticky.String())
				out.Steer.Sticky = &sticky
			}
			if s.Delivery != policy.Speed {
				delivery := RuleSteerDelivery(s.Delivery.String())
				out.Steer.Delivery = &delivery
			}
			if s.Failback != policy.Drain {
				failback := RuleSteerFailback(s.Failback.String())
				out.Steer.Failback = &failback
			}
		}
	}
	if q := r.QoS; q != nil {
		rates := func(down, up policy.Rate) *RateTexts {
			t := RateTexts{}
			if down != 0 {
				t.Down = some(down.String())
			}
			if up != 0 {
				t.Up = some(up.String())
			}
			return some(t)
		}
		out.Qos = &RuleQos{Class: some(RuleQosClass(q.Class)), Priority: q.Priority, MinPriority: q.MinPriority, MaxPriority: q.MaxPriority,
			Guarantee: rates(q.GuaranteeDown, q.GuaranteeUp), Cap: rates(q.CapDown, q.CapUp),
			Throttle: rates(q.ThrottleDown, q.ThrottleUp)}
		if q.DSCP != nil && *q.DSCP == policy.KeepDSCP {
			out.Qos.KeepDscp = some(true)
		} else {
			out.Qos.Dscp = q.DSCP
		}
	}
	if f := r.Filter; f != nil {
		out.Filter = &RuleFilter{Block: some(f.Action == policy.Block), Allow: some(f.Action == policy.Allow),
			Mode: some(RuleFilterMode(f.Mode.String())), Liftable: some(f.Liftable), Silent: some(f.Silent)}
	}
	return out
}

// ruleFrom reads a rule that a client wrote. It goes through the policy's own parser, so that both forms mean the same.
func ruleFrom(r Rule, owner string) (policy.Rule, error) {
	bad := func(err error) (policy.Rule, error) {
		return policy.Rule{}, fmt.Errorf("rule %s: %w", r.Id, err)
	}
	// What the YAML form writes in another way.
	type shares struct {
		RuleSteer
		Use json.RawMessage `json:"use,omitempty"`
	}
	type bounds struct {
		RuleQos
		Priority    json.RawMessage `json:"priority,omitempty"`
		MinPriority *int            `json:"min_priority,omitempty"`
		MaxPriority *int            `json:"max_priority,omitempty"`
		Dscp        json.RawMessage `json:"dscp,omitempty"`
		KeepDscp    *bool           `json:"keep_dscp,omitempty"`
	}
	written := struct {
		Rule
		Steer *shares `json:"steer,omitempty"`
		Qos   *bounds `json:"qos,omitempty"`
	}{Rule: r}
	if s := r.Steer; s != nil {
		written.Steer = &shares{RuleSteer: *s}
		var err error
		if written.Steer.Use, err = useText(*s); err != nil {
			return bad(err)
		}
	}
	if q := r.Qos; q != nil {
		written.Qos = &bounds{RuleQos: *q}
		keep := q.KeepDscp != nil && *q.KeepDscp
		switch {
		case q.Dscp != nil && keep:
			return bad(invalid("qos: either dscp or keep_dscp"))
		case q.Dscp != nil:
			written.Qos.Dscp = json.RawMessage(fmt.Sprint(*q.Dscp))
		case keep:
			written.Qos.Dscp = json.RawMessage(`"keep"`)
		}
		switch {
		case q.Priority != nil && (q.MinPriority != nil || q.MaxPriority != nil):
			return bad(invalid("qos: either priority, or min_priority and max_priority"))
		case q.Priority != nil:
			written.Qos.Priority = json.RawMessage(fmt.Sprint(*q.Priority))
		case q.MinPriority != nil || q.MaxPriority != nil:
			limits := struct {
				Min *int `json:"min,omitempty"`
				Max *int `json:"max,omitempty"`
			}{q.MinPriority, q.MaxPriority}
			data, err := json.Marshal(limits)
			if err != nil {
				return bad(err)
			}
			written.Qos.Priority = data
		}
	}
	data, err := json.Marshal(written)
	if err != nil {
		return bad(err)
	}
	rule, err := policy.ParseRule(data, owner)
	if err != nil {
		return bad(engine.ProblemsOf(err))
	}
	return rule, nil
}

// useText writes links as the YAML form has them: a list, or with weights a mapping.
func useText(s RuleSteer) (json.RawMessage, error) {
	if s.Use == nil {
		return nil, nil
	}
	weights := 0
	for _, l := range *s.Use {
		if l.Weight != nil {
			weights++
		}
	}
	if weights == 0 {
		return json.Marshal(each(*s.Use, func(l LinkWeight) string { return l.Link }))
	}
	if weights < len(*s.Use) {
		return nil, invalid("steer.use: give every link its weight, or none")
	}
	out := []byte{'{'}
	for i, l := range *s.Use { // not a map, which would forget the order
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(l.Link)
		if err != nil {
			return nil, err
		}
		out = append(out, name...)
		out = append(out, fmt.Sprintf(":%d", *l.Weight)...)
	}
	return append(out, '}'), nil
}
