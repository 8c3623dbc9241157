package engine

import (
	"context"
	"net/netip"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/host"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
)

// Blocked lists what the filter did not let pass, the newest first.
func (e *Engine) Blocked(ctx context.Context, q store.BlockQuery) ([]store.Block, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	return e.store.Blocks(ctx, q)
}

// noteBlock keeps a refusal with the rule that made it. How is one of the store's words; a key without a protocol is that of a name.
func (e *Engine) noteBlock(how string, device host.Device, key flow.Key, j judged) {
	b := store.Block{
		At: e.now(), How: how, Device: device.ID, Person: device.Owner, Host: j.target.Host, App: j.target.App, Silent: j.decision.Silent,
	}
	if key.Proto != 0 {
		b.Proto, b.To = key.Proto.String(), key.Dst.String()
		if !key.Proto.HasPorts() {
			b.To = key.Dst.Addr().String()
		}
	}
	if r, ok := deciding(j.decision, policy.AspectFilter); ok {
		b.Rule, b.Name, b.Text = r.RuleID, r.RuleName, r.Text
		if r.RuleID != "" {
			b.Tier = r.Tier.String()
		}
	}
	e.store.AddBlock(b)
}

// nameTarget puts a host and what the catalogue knows of it into a target.
func (e *Engine) nameTarget(t *policy.Target, host string) {
	t.Host = host
	if app, ok := e.catalog.Lookup(host); ok {
		t.App, t.Category = app.ID, app.Category
	}
}

// whyNotWeb says why a device's HTTP flow to a host was refused; "" when it would pass now.
func (e *Engine) whyNotWeb(ctx context.Context, client netip.Addr, name string) string {
	device, _ := e.clientOf(ctx, client)
	t := policy.Target{Proto: flow.ProtoTCP, Port: 80}
	if addr, err := netip.ParseAddr(name); err == nil {
		t.Addr = addr.Unmap().WithZone("")
	} else if host, ok := flow.CleanHost(name); ok {
		e.nameTarget(&t, host)
	}
	p := e.policy.current()
	d := p.Decide(policy.Query{Subject: p.Subject(device.ID), Target: t, Time: e.now()})
	if !d.Blocked {
		return ""
	}
	r, _ := deciding(d, policy.AspectFilter)
	return r.Text
}

// deciding is the reason that made the answer of an aspect: the rule that decided, or the bound that demanded it.
func deciding(d policy.Decision, a policy.Aspect) (policy.Reason, bool) {
	var limit policy.Reason
	found := false
	for _, r := range d.Reasons {
		switch {
		case r.Aspect != a:
		case r.Outcome == policy.Decided:
			return r, true
		case r.Outcome == policy.Limited && !found:
			limit, found = r, true
		}
	}
	return limit, found
}

// refuseName tells the name server what a device may not be given: a name to which no flow of the device would pass.
func (e *Engine) refuseName(ctx context.Context, client netip.AddrPort, name string) (string, bool) {
	device, ok := e.clientOf(ctx, client.Addr().Unmap().WithZone(""))
	if !ok || device.Number == flow.RouterDevice {
		return "", false // a question for reasons, or the router's own: the kernel judges its flows
	}
	p := e.policy.current()
	var t policy.Target
	e.nameTarget(&t, name)
	d := p.DecideName(p.Subject(device.ID), t.App, t.Category, name, e.now())
	if !d.Blocked {
		return "", false
	}
	e.noteBlock(store.BlockedName, device, flow.Key{}, judged{target: t, decision: d})
	r, _ := deciding(d, policy.AspectFilter)
	return r.Text, true
}
