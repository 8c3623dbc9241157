package api

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
)

// each converts a list; the answer is never null in JSON.
func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// some is nil for a zero value: the field is then left out.
func some[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// maxExact is the largest number up to which every JSON reader keeps integers exact (RFC 8259 section 6).
const maxExact = 1<<53 - 1

// whole is an amount as the interface tells it: beyond what a reader could hold exactly, the largest that it can.
func whole(n uint64) int64 { return int64(min(n, maxExact)) }

func addrText(a netip.Addr) *string {
	if !a.IsValid() {
		return nil
	}
	return some(a.String())
}

func prefixText(p netip.Prefix) *string {
	if !p.IsValid() {
		return nil
	}
	return some(p.String())
}

func status(s engine.Status) Status {
	return Status{
		Version: s.Version, Started: s.Started, Now: s.Now, Sentence: s.Sentence, Links: each(s.Links, link),
		Devices: s.Devices, Active: s.Active, Flows: s.Flows,
		Warnings: each(s.Warnings, func(w engine.Warning) Warning {
			return Warning{Code: w.Code, Severity: WarningSeverity(w.Severity), Subject: some(w.Subject), Text: w.Text, Fix: w.Fix, Since: w.Since}
		}),
		Plan: Plan{
			Made: s.Plan.Made, TookMs: ms(s.Plan.Took), Links: append([]string{}, s.Plan.Links...), Rules: s.Plan.Rules, Chains: s.Plan.Chains, Elements: s.Plan.Elements,
			Applied: whole(s.Plan.Applied), Healed: whole(s.Plan.Healed), Error: s.Plan.Error,
		},
	}
}

func link(l engine.LinkView) Link {
	out := Link{
		Id: int(l.ID), Name: l.Name, Device: l.Device, Role: LinkRole(l.Role.String()), State: LinkState(l.State), Usable: l.Usable,
		Reason: l.Reason, Since: l.Since, Address4: prefixText(l.Address4), Address6: prefixText(l.Address6),
		Gateway4: addrText(l.Gateway4), Gateway6: addrText(l.Gateway6),
		RttMs: ms(l.RTT), JitterMs: ms(l.Jitter), Loss: l.Loss, RateDown: whole(l.RateDown), RateUp: whole(l.RateUp),
		CapacityDown: whole(l.Capacity.Down), CapacityUp: whole(l.Capacity.Up), Metered: l.Metered, Flows: l.Flows,
		History: each(l.History, func(s engine.LinkSample) LinkSample {
			return LinkSample{At: s.At, RttMs: ms(s.RTT), Loss: s.Loss}
		}),
	}
	if q := l.Quota; q.Limit > 0 {
		out.Quota = &Quota{Limit: whole(q.Limit), Used: whole(q.Used), Resets: q.Resets, State: QuotaState(q.State)}
	}
	return out
}

func device(d engine.DeviceView) Device {
	return Device{
		Number: int(d.Number), Id: d.ID, Name: d.Name, Hostname: some(d.Hostname), Vendor: some(d.Vendor), Owner: some(d.Owner),
		Macs: each(d.MACs, text), Addrs: each(d.Addrs, text), Interface: some(d.Interface),
		FirstSeen: d.FirstSeen, LastSeen: d.LastSeen, Named: d.Named,
		RateDown: whole(d.RateDown), RateUp: whole(d.RateUp), Flows: d.Flows,
	}
}

func text[T interface{ String() string }](v T) string { return v.String() }

func flowOf(f engine.FlowView) Flow {
	return Flow{
		Id: int64(f.ID), Proto: f.Key.Proto.String(), Src: f.Key.Src.String(), Dst: f.Key.Dst.String(), Device: f.Device, Link: f.Link,
		App: f.App, Category: f.Category, Host: f.Host, Class: int(f.Class), Confident: f.Confident, Reason: f.Reason,
		Lent: f.Lent, Inbound: f.Inbound, Since: f.Since, BytesDown: whole(f.BytesDown), BytesUp: whole(f.BytesUp),
		RateDown: whole(f.RateDown), RateUp: whole(f.RateUp),
	}
}

func event(e engine.EventView) Event {
	return Event{At: e.At, Severity: e.Severity, Kind: e.Kind, Subject: some(e.Subject), Text: e.Text}
}

func policyOf(p engine.PolicyView) Policy {
	return Policy{
		Version: p.Version, Changed: p.Changed, By: p.By, Text: p.Text,
		Warnings: append([]string{}, p.Warnings...), Findings: append([]string{}, p.Findings...),
	}
}

func answer(a engine.Answer) Answer {
	t := a.Target
	target := Target{App: t.App, Category: t.Category, Host: t.Host, Proto: t.Proto.String(), Port: int(t.Port), Dscp: int(t.DSCP)}
	if t.Addr.IsValid() {
		target.Addr = t.Addr.String()
	}
	return Answer{
		Device: device(a.Device), To: target, Known: a.Known, Certain: a.Certain, Blocked: a.Decision.Blocked,
		Class: some(a.Decision.QoS.Class), Choice: a.Decision.Steer.Describe(), Reasons: each(a.Decision.Reasons, reason),
		Families: each(a.Families, family), Running: each(a.Running, flowOf), Sentence: a.Sentence, At: a.At,
	}
}

func family(f engine.FamilyAnswer) FamilyAnswer {
	return FamilyAnswer{
		Family: FamilyAnswerFamily(f.Family), Addr: addrText(f.Addr), Near: f.Near, Why: f.Why,
		Links: each(f.Links, func(l engine.LinkShare) LinkShare {
			return LinkShare{Link: l.Link, Share: l.Share, Lent: l.Lent}
		}),
	}
}

func reason(r policy.Reason) Reason {
	force := map[policy.Force]ReasonForce{policy.Must: ReasonForceMust, policy.Bound: ReasonForceBound, policy.Default: ReasonForceDefault}[r.Force]
	return Reason{
		Aspect: map[policy.Aspect]ReasonAspect{
			policy.AspectSteer: ReasonAspectSteer, policy.AspectQoS: ReasonAspectQos, policy.AspectFilter: ReasonAspectFilter, policy.AspectLog: ReasonAspectLog}[r.Aspect],
		Tier:  map[policy.Tier]ReasonTier{policy.BuiltIn: ReasonTierBuiltIn, policy.Main: ReasonTierHouse, policy.User: ReasonTierPerson}[r.Tier],
		Force: &force,
		Outcome: map[policy.Outcome]ReasonOutcome{policy.Decided: ReasonOutcomeDecided, policy.Limited: ReasonOutcomeLimited, policy.Clamped: ReasonOutcomeClamped,
			policy.Overruled: ReasonOutcomeOverruled, policy.NoEffect: ReasonOutcomeNoEffect}[r.Outcome],
		Rule: some(r.RuleID), Name: some(r.RuleName), Owner: some(r.Owner), By: some(r.By), Text: r.Text,
	}
}

func usage(u store.Usage) Usage {
	t := u.Traffic
	return Usage{
		At: u.At, Device: u.Device, App: u.App, Link: u.Link, Up: whole(t.Up), Down: whole(t.Down),
		PacketsUp: whole(t.PacketsUp), PacketsDown: whole(t.PacketsDown), Flows: whole(t.Flows),
	}
}

func live(l engine.Live) Live {
	rates := func(m map[string]engine.Rates) map[string]Rates {
		out := make(map[string]Rates, len(m))
		for k, v := range m {
			out[k] = Rates{Down: whole(v.Down), Up: whole(v.Up)}
		}
		return out
	}
	return Live{At: l.At, Links: each(l.Links, link), Devices: rates(l.Devices), Apps: rates(l.Apps), Flows: l.Flows}
}
