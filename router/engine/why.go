package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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
			j := e.decide(device.ID, flow.Key{Proto: q.Proto, Dst: netip.AddrPortFrom(addr, q.Port)}, q.At)
			t := j.target
			t.DSCP = q.DSCP
			j.target, j.decision = t, p.Decide(policy.Query{Subject: subject, Target: t, Time: q.At})
			return j
		}
		t := policy.Target{Host: name, Addr: addr, Proto: q.Proto, Port: q.Port, DSCP: q.DSCP}
		if !q.Proto.HasPorts() {
			t.Port = 0
		}
		if app, ok := e.catalog.Lookup(name); ok {
			t.App, t.Category = app.ID, app.Category
		}
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
	a.Known, a.Certain = first.identity.Reason, first.identity.Confidence
	if name != "" {
		a.Known, a.Certain = e.nameKnown(name)
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
	total := 0
	for _, b := range c.Buckets {
		total += b.Weight
	}
	for _, b := range c.Buckets {
		out.Links = append(out.Links, LinkShare{Link: e.linkName(b.Link), Share: float64(b.Weight) / float64(total), Lent: b.Lent})
	}
	return out
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

// sentenceOf says the answer in one sentence.
func sentenceOf(a Answer) string {
	what := a.Target.Host
	if what == "" {
		what = a.Target.Addr.String()
	}
	if a.Target.App != "" {
		what = fmt.Sprintf("%s (%s)", what, a.Target.App)
	}
	var decider string
	aspect := policy.AspectSteer
	if a.Decision.Blocked {
		aspect = policy.AspectFilter
	}
	for _, r := range a.Decision.Reasons {
		if r.Aspect == aspect && (r.Outcome == policy.Decided || r.Outcome == policy.Clamped) {
			decider = " " + r.Text
			break
		}
	}
	if a.Decision.Blocked {
		return fmt.Sprintf("%s may not reach %s.%s", a.Device.Name, what, decider)
	}
	links := map[string]bool{}
	var names []string
	for _, f := range a.Families {
		for _, l := range f.Links {
			if !links[l.Link] {
				links[l.Link] = true
				names = append(names, l.Link)
			}
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("%s cannot reach %s: no link may carry it now.%s", a.Device.Name, what, decider)
	}
	return fmt.Sprintf("%s reaches %s over %s.%s", a.Device.Name, what, strings.Join(names, " and "), decider)
}
