package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/host"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/steer"
)

var (
	// ErrUnknownDevice: no device of the household is meant by the words.
	ErrUnknownDevice = errors.New("no such device")
	// ErrBadQuestion: the question cannot be understood.
	ErrBadQuestion = errors.New("the question is not clear")
)

// lookupTimeout bounds how long Why waits for the addresses of a name.
const lookupTimeout = 3 * time.Second

// Why explains where a flow goes: by the same names, rules and link conditions that the kernel's maps were made of.
func (e *Engine) Why(ctx context.Context, q Question) (Answer, error) {
	if q.Proto == flow.ProtoAny {
		q.Proto = flow.ProtoTCP
	}
	if q.At.IsZero() {
		q.At = e.now()
	}
	device, subject, err := e.asked(q.Device)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Device: e.deviceView(device), At: q.At}
	name, addrs, err := e.destination(ctx, q.To)
	if err != nil {
		return Answer{}, err
	}
	p := e.policy.current()
	decide := func(addr netip.Addr) judged {
		if name == "" {
			t, id := e.target(device.Number, flow.Key{Proto: q.Proto, Dst: netip.AddrPortFrom(addr, q.Port)})
			t.DSCP = q.DSCP
			return judged{t, id, p.Decide(policy.Query{Subject: subject, Target: t, Time: q.At})}
		}
		t := policy.Target{Addr: addr, Proto: q.Proto, Port: q.Port, DSCP: q.DSCP}
		if !q.Proto.HasPorts() {
			t.Port = 0
		}
		e.nameTarget(&t, name)
		return judged{target: t, decision: p.Decide(policy.Query{Subject: subject, Target: t, Time: q.At})}
	}
	var first *judged
	for _, family := range []hal.Family{hal.IPv4, hal.IPv6} {
		addr, ok := addrs[family]
		if !ok {
			continue
		}
		j := decide(addr)
		if first == nil {
			first = &j
		}
		a.Families = append(a.Families, e.familyAnswer(family, addr, device, j))
	}
	if first == nil {
		// A name without addresses now: the rules still have an opinion.
		j := decide(netip.Addr{})
		first = &j
		a.Families = append(a.Families, e.familyAnswer(hal.IPv4, netip.Addr{}, device, j))
	}
	a.Target, a.Decision = first.target, first.decision
	if !a.Decision.Blocked {
		a.Decision.Reasons = append(a.Decision.Reasons, p.MayEnd(policy.Query{Subject: subject, Target: first.target, Time: q.At})...)
	}
	a.Known, a.Certain = first.identity.Reason, first.identity.Confidence
	if name != "" {
		a.Known, a.Certain = e.nameKnown(name)
	}
	if !slices.ContainsFunc(a.Families, func(f FamilyAnswer) bool { return !f.Near }) {
		a.Decision = policy.Decision{} // nobody asks the rules
	}
	a.Running = e.runningLike(device, first.target, addrs, q)
	a.Sentence = sentenceOf(a)
	return a, nil
}

// asked finds the device of a question.
func (e *Engine) asked(text string) (host.Device, policy.Subject, error) {
	p := e.policy.current()
	if text == "router" {
		return host.Device{Number: flow.RouterDevice, ID: "router", Name: "The router"}, policy.Subject{Router: true}, nil
	}
	d, ok := e.hosts.Find(text)
	if !ok {
		return host.Device{}, policy.Subject{}, fmt.Errorf("%q: %w; \"trenza status --devices\" lists them", text, ErrUnknownDevice)
	}
	return d, p.Subject(d.ID), nil
}

// destination is a host name with one address of each family, or an address alone.
func (e *Engine) destination(ctx context.Context, text string) (name string, addrs map[hal.Family]netip.Addr, err error) {
	addrs = map[hal.Family]netip.Addr{}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		addrs[hal.FamilyOf(a)] = a.Unmap().WithZone("")
		return "", addrs, nil
	}
	name, ok := flow.CleanHost(text)
	if !ok {
		return "", nil, fmt.Errorf("%w: %q is neither a host name nor an address", ErrBadQuestion, text)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for _, a := range e.lookup(ctx, name) {
		if f := hal.FamilyOf(a); !addrs[f].IsValid() {
			addrs[f] = a.Unmap()
		}
	}
	return name, addrs, nil
}

func (e *Engine) nameKnown(name string) (string, int) {
	app, ok := e.catalog.Lookup(name)
	if !ok {
		return name + " belongs to no application of the catalogue", 0
	}
	return fmt.Sprintf("%s belongs to %s", name, app.Names.EN), 90
}

// familyAnswer is the link that new flows of the decision take in one family.
func (e *Engine) familyAnswer(f hal.Family, addr netip.Addr, device host.Device, j judged) FamilyAnswer {
	out := FamilyAnswer{Family: f, Addr: addr}
	if e.near(addr) {
		out.Near, out.Why = true, fmt.Sprintf("%s is inside the house: rules and links have no part in it.", addr)
		return out
	}
	if j.decision.Blocked {
		out.Why = "The flow is refused by a rule."
		return out
	}
	var conditions []steer.LinkCondition
	for _, l := range e.planLinks() {
		conditions = append(conditions, l.Condition(f == hal.IPv6))
	}
	c := steer.Resolve(j.decision.Steer, conditions)
	out.Why = c.Why
	if c.Refuse {
		return out
	}
	if r, ok := e.certain(c, addr, device, j.target.Host); ok {
		out.Links = []LinkShare{{Link: e.linkName(r.Link), Share: 1, Lent: r.Lent}}
		return out
	}
	out.Links = e.shares(c.Buckets)
	return out
}

// shares adds up what each link gets. A link that has a part of its own is not lent, though it may stand in for another, too.
func (e *Engine) shares(buckets []steer.Bucket) []LinkShare {
	total := 0
	for _, b := range buckets {
		total += b.Weight
	}
	var out []LinkShare
	for _, b := range buckets {
		name, share := e.linkName(b.Link), float64(b.Weight)/float64(total)
		if i := slices.IndexFunc(out, func(l LinkShare) bool { return l.Link == name }); i >= 0 {
			out[i].Share += share
			out[i].Lent = out[i].Lent && b.Lent
			continue
		}
		out = append(out, LinkShare{Link: name, Share: share, Lent: b.Lent})
	}
	return out
}

// near tells whether packets to an address never leave over a link: those of the house, of the router itself, and those that
// no router forwards.
func (e *Engine) near(a netip.Addr) bool {
	switch {
	case !a.IsValid():
		return false
	case a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return true
	}
	inside := func(p netip.Prefix) bool { return p.Contains(a) }
	for _, l := range e.planLAN() {
		if slices.ContainsFunc(l.Nets, inside) {
			return true
		}
	}
	for _, w := range e.wans {
		w.mu.Lock()
		own := slices.ContainsFunc(w.iface.Addrs, func(p netip.Prefix) bool { return p.Addr() == a })
		w.mu.Unlock()
		if own {
			return true
		}
	}
	return false
}

// certain computes the slot that the kernel's hash gives to this device and site.
func (e *Engine) certain(c steer.Choice, addr netip.Addr, device host.Device, name string) (steer.Range, bool) {
	if c.Modulus() == 1 {
		return c.At(0)
	}
	if len(device.MACs) != 1 {
		return steer.Range{}, false // none, or we cannot know by which one the device will speak
	}
	mac := device.MACs[0]
	switch c.Sticky {
	case policy.StickyHost:
		return c.At(c.Slot(steer.HostKey(mac)))
	case policy.StickySite:
		if label := e.interner.Label(name); name != "" && uint32(label)&steer.SiteMark != 0 {
			return c.At(c.Slot(steer.SiteKey(mac, label)))
		}
		if addr.IsValid() {
			return c.At(c.Slot(steer.AddrKey(mac, addr)))
		}
	}
	return steer.Range{}, false
}

func (e *Engine) linkName(id flow.LinkID) string {
	if w := e.wanByID(id); w != nil {
		return w.config.Name
	}
	return ""
}

// runningLike lists the running flows that a question is about.
func (e *Engine) runningLike(device host.Device, t policy.Target, addrs map[hal.Family]netip.Addr, q Question) []FlowView {
	var out []FlowView
	for _, f := range e.Flows(FlowFilter{Device: device.ID, Limit: 1000}) {
		if f.Key.Proto != q.Proto || q.Port != 0 && f.Key.Dst.Port() != q.Port {
			continue
		}
		if t.Host != "" && f.Host == t.Host || addrs[hal.FamilyOf(f.Key.Dst.Addr())] == f.Key.Dst.Addr() {
			out = append(out, f)
		}
	}
	return out
}
