package engine

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/classify"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/host"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
)

// learnDNS sets the kernel's maps before the resolver releases an answer, so that the flow that follows is known by its name
// from its first packet. It returns when that is done, or when ctx says that the answer must not wait longer.
func (e *Engine) learnDNS(ctx context.Context, client netip.AddrPort, name string, addrs []netip.Addr, ttl time.Duration) {
	device, ok := e.clientOf(ctx, client.Addr().Unmap().WithZone(""))
	if !ok {
		return
	}
	e.tell(ctx, e.names.LearnDNS(device.Number, name, addrs, ttl, e.now()))
}

// clientOf finds the device that asks; programs of this machine are the router. An invalid address is nobody's: names that a
// question for reasons looks up teach nothing. A device that was never seen has just spoken: the neighbour table knows who it is before
// its announcement has reached us.
func (e *Engine) clientOf(ctx context.Context, addr netip.Addr) (host.Device, bool) {
	if !addr.IsValid() {
		return host.Device{}, false
	}
	if addr.IsLoopback() || slices.Contains(e.ownAddrs(), addr) {
		return host.Device{Number: flow.RouterDevice}, true
	}
	if d, ok := e.hosts.ByAddr(addr); ok {
		return d, true
	}
	all, err := e.machine.Neighbours(ctx)
	if err != nil {
		return host.Device{}, false
	}
	for _, n := range all {
		if n.Addr == addr && !n.MAC.IsZero() {
			return e.hosts.Observe(n.MAC, addr, n.Interface, e.now())
		}
	}
	return host.Device{}, false
}

// tell brings changes of the learned names into the kernel's maps.
func (e *Engine) tell(ctx context.Context, c classify.Changes) {
	for set, elements := range c.Delete {
		if err := e.machine.DeleteElements(ctx, set, elements); err != nil && ctx.Err() == nil {
			e.log.Warn("names could not be taken out of the kernel's map", "map", set, "error", err)
		}
	}
	for set, elements := range c.Set {
		if err := e.machine.SetElements(ctx, set, elements); err != nil && ctx.Err() == nil {
			e.log.Warn("names could not be put into the kernel's map", "map", set, "error", err)
		}
	}
}

// adoptNames reads back what an earlier run taught the kernel.
func (e *Engine) adoptNames(ctx context.Context) {
	for _, set := range []string{plan.MapNames4, plan.MapNames6, plan.MapLearned4, plan.MapLearned6} {
		elements, err := e.machine.Elements(ctx, set)
		if err != nil {
			e.log.Debug("no learned names to take over", "map", set, "reason", err)
			continue
		}
		e.tell(ctx, e.names.Adopt(set, elements, e.now()))
	}
	names, services := e.names.Len()
	e.log.Info("learned names taken over", "names", names, "services", services)
}

// readNames is the task that reads what flows say of themselves out of copies of first packets.
func (e *Engine) readNames(ctx context.Context) error {
	tracker := dpi.NewTracker(dpi.Limits{}, dpi.Parsers())
	strict := newStrictness()
	tracker.Ended = func(f dpi.Finding) { // no copy to go by: the address tells whose flow it was
		if d, ok := e.hosts.ByAddr(f.Key.Src.Addr().Unmap()); ok {
			e.tell(ctx, e.names.LearnWire(d.Number, f, e.now()))
		}
	}
	return e.machine.WatchPackets(ctx, plan.NamesGroup, func(c hal.PacketCopy) {
		now := e.now()
		e.flowSeen(c.Mark)
		if f, ok := tracker.Observe(c.Packet, dpi.FromClient, now); ok {
			e.tell(ctx, e.names.LearnWire(c.Mark.Device(), f, now))
			e.flowNamed(c.Mark, f)
			e.holdToRules(ctx, strict, c.Mark, f)
		}
	})
}

// readVerdicts is the task that notes flows that were refused, or that a rule wants to be known.
func (e *Engine) readVerdicts(ctx context.Context) error {
	return e.machine.WatchPackets(ctx, plan.VerdictGroup, func(c hal.PacketCopy) {
		var p dpi.Packet
		if err := dpi.Decode(c.Packet, &p); err != nil {
			return
		}
		// The mark tells nothing here: while rules are gone through it holds what the flow is, not whose.
		device, _ := e.clientOf(ctx, p.Key.Src.Addr().Unmap())
		name := device.Name
		if name == "" {
			name = p.Key.Src.Addr().String()
		}
		to := p.Key.Dst.String()
		d := e.decide(device.ID, p.Key, e.now())
		if d.target.Host != "" {
			to = d.target.Host
		}
		verb := "was logged"
		if d.decision.Blocked {
			verb = "was stopped"
		}
		text := fmt.Sprintf("%s: %s to %s %s", name, p.Key.Proto, to, verb)
		aspect := policy.AspectLog
		if d.decision.Blocked {
			aspect = policy.AspectFilter
			e.noteBlock(store.BlockedFlow, device, p.Key, d)
		}
		if r, ok := deciding(d.decision, aspect); ok {
			text += ": " + r.Text
		}
		e.event(observe.Info, "filter", device.ID, text)
	})
}

// planNames lists the name classes for the plan.
func (e *Engine) planNames() []plan.NameClass {
	var out []plan.NameClass
	for _, c := range e.interner.Classes() {
		out = append(out, plan.NameClass{Class: c.Class, App: c.App, Category: c.Category, Host: c.Host, Domains: c.Domains})
	}
	return out
}

// planPrefixes lists the catalogue's address ranges.
func (e *Engine) planPrefixes() []plan.PrefixClass {
	var out []plan.PrefixClass
	for _, a := range e.catalog.Apps() {
		for _, p := range a.Prefixes {
			out = append(out, plan.PrefixClass{Prefix: p, Class: e.interner.AppClass(a.ID)})
		}
	}
	return out
}

// judged is a policy decision with what it was made about.
type judged struct {
	target   policy.Target
	identity classify.Identity
	decision policy.Decision
}

// decide answers for a flow as the kernel's maps do: by names, taught addresses and address ranges. What only a port suggests
// is shown to people and decides nothing.
func (e *Engine) decide(device string, key flow.Key, at time.Time) judged {
	return e.decideWith(device, key, nil, at)
}

// decideWith is decide with what was read in the flow; nil: nothing.
func (e *Engine) decideWith(device string, key flow.Key, content *policy.Content, at time.Time) judged {
	p := e.policy.current()
	d, _ := e.hosts.ByID(device)
	t, id := e.target(d.Number, key)
	t.Content = content
	return judged{t, id, p.Decide(policy.Query{Subject: p.Subject(device), Target: t, Time: at})}
}

// target is what a device's flow is, as the policy sees it.
func (e *Engine) target(device flow.DeviceID, key flow.Key) (policy.Target, classify.Identity) {
	id := e.names.Identify(device, key, e.now())
	t := policy.Target{Addr: key.Dst.Addr().Unmap(), Proto: key.Proto, Host: id.Host}
	if key.Proto.HasPorts() {
		t.Port = key.Dst.Port()
	}
	if id.Confidence > classify.PortOnly {
		t.App, t.Category = id.App, id.Category
	}
	return t, id
}
