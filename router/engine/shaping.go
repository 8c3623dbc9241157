package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/link"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/qos"
)

const (
	// shapeEvery is how often the trees follow what devices need.
	shapeEvery = time.Second
	// A link of fixed rate is shaped to somewhat less than it carries, or the queue would stand in the modem. Downloads need more room:
	// what comes too fast has passed the slow place already when the router holds it back.
	fixedUp, fixedDown = 0.95, 0.90
	// unclassed is how many bytes a second in a link's default class call for a look at whose they are.
	unclassed = 4_000
)

// shaper is what the class trees follow from beside policy and devices.
type shaper struct {
	mu       sync.Mutex
	able     bool       // the kernel has HTB
	download bool       // and the device that downloads are shaped on
	queues   qos.Queues // that it has
	activity *qos.Activity
	auto     map[flow.LinkID]*autoRate
	now      trees // in force, or about to be
	counted  map[string]deviceCounters
	meters   map[qos.Class]*classMeter
	delays   map[flow.LinkID]*linkDelays
	rooms    map[flow.LinkID]*downRoom // of links of fixed rate

	reclassed []hal.MarkChange // running flows that are to have another class
	wanted    chan struct{}    // there are some, or new classes
}

// trees are the class trees of all devices, and what they were made of.
type trees struct {
	plan     qos.Plan
	terms    []qos.Term
	subjects []flow.DeviceID
	links    []qos.Link
	shapings []hal.Shaping
}

// deviceCounters is what the classes of a device had counted at a moment.
type deviceCounters struct {
	at      time.Time
	classes map[uint16]hal.ClassCounter
}

func newShaper() *shaper {
	return &shaper{
		able: true, download: true, activity: qos.NewActivity(), auto: map[flow.LinkID]*autoRate{},
		counted: map[string]deviceCounters{}, meters: map[qos.Class]*classMeter{}, delays: map[flow.LinkID]*linkDelays{}, rooms: map[flow.LinkID]*downRoom{},
		wanted: make(chan struct{}, 1),
	}
}

// examined takes what the machine can do.
func (s *shaper) examined(found []hal.Capability) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range found {
		switch c.Name {
		case "htb":
			s.able = c.Present
		case "ifb":
			s.download = c.Present
		case "cake":
			s.queues.Cake = c.Present
		case "fq_codel":
			s.queues.FQCoDel = c.Present
		}
	}
}

// shapedLinks are the links that are to be shaped and that there are, as they stand now.
func (e *Engine) shapedLinks() []qos.Link {
	var out []qos.Link
	for _, w := range e.wans {
		mode := w.config.Shape.Mode
		if mode == config.ShapeOff || mode == "" {
			continue
		}
		framing, err := qos.ParseFraming(w.config.Shape.Framing)
		if err != nil {
			continue // refused by config.Check
		}
		w.mu.Lock()
		kind, there, spent := w.iface.Kind, w.iface.Name != "" && w.iface.Up, w.level == link.Spent
		w.mu.Unlock()
		if !there {
			continue
		}
		l := qos.Link{ID: w.config.ID, Name: w.config.Name, Device: w.device(), Capacity: e.capacity(w), Framing: framing, Header: 14, Spent: spent}
		if kind == "ppp" || kind == "tun" {
			l.Header = 0
		}
		out = append(out, l)
	}
	return out
}

// capacity is what a link is shaped to now.
func (e *Engine) capacity(w *wan) qos.Rates {
	if w.config.Shape.Mode == config.ShapeAuto {
		e.shaper.mu.Lock()
		defer e.shaper.mu.Unlock()
		if a := e.shaper.auto[w.config.ID]; a != nil {
			return a.rates()
		}
	}
	part := func(r config.BitRate, by float64) qos.Rate { return max(qos.Rate(float64(r)*by), qos.MinCapacity) }
	down := fixedDown
	e.shaper.mu.Lock()
	if r := e.shaper.rooms[w.config.ID]; r != nil {
		down *= r.part
	}
	e.shaper.mu.Unlock()
	return qos.Rates{Up: part(w.config.Rate.Up, fixedUp), Down: part(w.config.Rate.Down, down)}
}

// planShapings are the trees for a plan. What cannot be built leaves the trees that stand.
func (e *Engine) planShapings(now time.Time, p *policy.Compiled) []hal.Shaping {
	t, err := e.trees(now, p)
	e.warnThrottle(p)
	e.shaper.mu.Lock()
	defer e.shaper.mu.Unlock()
	e.health.Put(err != nil, observe.Warning{Code: "shaping", Severity: observe.Serious,
		Text: fmt.Sprintf("The bandwidth is shared out as before: %v.", err), Fix: "Mend the rule or the link that it names."})
	if err != nil {
		e.log.Error("the class trees cannot be built; those before go on", "error", err)
		return e.shaper.now.shapings
	}
	e.shaper.now = t
	e.warnShaping(t)
	return t.shapings
}

// warnShaping tells people what could not be done as it was said. shaper.mu is held.
func (e *Engine) warnShaping(t trees) {
	var said []observe.Warning
	for _, w := range t.plan.Warnings {
		said = append(said, observe.Warning{Code: "shaping-clamped", Subject: cmp.Or(w.Rule, w.Link) + ": " + w.Text, Severity: observe.Info, Text: w.Text})
	}
	for _, w := range e.health.List() {
		if w.Code == "shaping-clamped" && !slices.ContainsFunc(said, func(s observe.Warning) bool { return s.Subject == w.Subject }) {
			e.health.Clear(w.Code, w.Subject)
		}
	}
	for _, w := range said {
		e.health.Set(w)
	}
	able := e.shaper.able && e.shaper.download
	e.health.Put(!able && e.wantsShaping(), observe.Warning{Code: "shaping-kernel", Severity: observe.Warn,
		Text: "This kernel cannot shape links as the configuration asks.", Fix: "\"trenza doctor\" says what is missing: htb, ifb."})
}

// warnThrottle tells of links that a rule throttles when their quota is spent, and that nothing can throttle.
func (e *Engine) warnThrottle(p *policy.Compiled) {
	rule := ""
	for i := range p.Len() {
		if q := p.Rule(i).QoS; q != nil && !p.Rule(i).Disabled && q.ThrottleDown+q.ThrottleUp > 0 {
			rule = p.Rule(i).ID
			break
		}
	}
	for _, w := range e.wans {
		shaped := w.config.Shape.Mode == config.ShapeFixed || w.config.Shape.Mode == config.ShapeAuto
		e.health.Put(rule != "" && w.config.Quota.Limit > 0 && !shaped, observe.Warning{Code: "throttle", Subject: w.config.Name, Severity: observe.Warn,
			Text: fmt.Sprintf("Rule %q throttles links whose data is spent, but %s is not shaped: it would go on at full rate.", rule, w.config.Name),
			Fix:  "Set shape: {mode: fixed} or {mode: auto} for the link."})
	}
}

func (e *Engine) wantsShaping() bool {
	return slices.ContainsFunc(e.wans, func(w *wan) bool {
		return w.config.Shape.Mode == config.ShapeFixed || w.config.Shape.Mode == config.ShapeAuto
	})
}

// trees builds the class trees for a policy.
func (e *Engine) trees(now time.Time, p *policy.Compiled) (trees, error) {
	var t trees
	if !e.wantsShaping() {
		return t, nil
	}
	var subjects []qos.Subject
	for _, d := range e.hosts.Devices() {
		subjects = append(subjects, qos.Subject{Number: d.Number, Subject: p.Subject(d.ID)})
		t.subjects = append(t.subjects, d.Number)
	}
	t.terms = qos.Terms(p, now, subjects)
	return t, e.build(now, &t)
}

// build makes the trees of terms and devices that are known.
func (e *Engine) build(now time.Time, t *trees) error {
	t.links = e.shapedLinks()
	t.shapings, t.plan = nil, qos.Plan{}
	s := e.shaper
	s.mu.Lock()
	in := qos.Input{Links: t.links, Devices: t.subjects, Terms: t.terms, Demands: s.activity.Demands(now), Queues: s.queues}
	able, download := s.able, s.download
	s.mu.Unlock()
	if !able || len(t.links) == 0 {
		return nil
	}
	var err error
	if t.plan, err = qos.Build(in); err != nil {
		return err
	}
	for _, tree := range t.plan.Up {
		t.shapings = append(t.shapings, tree.Shaping(tree.Links()[0].Device, tree.Links()[0].Header))
	}
	if download && e.anyLAN() {
		t.shapings = append(t.shapings, t.plan.Down.Shaping(hal.DownloadDevice, ethernetHeader))
	}
	return nil
}

// ethernetHeader is how many bytes of a packet's link header the kernel counts on a LAN device.
const ethernetHeader = 14

func (e *Engine) anyLAN() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.lan {
		if l.present {
			return true
		}
	}
	return false
}

// runShaping is the task that lets the trees follow what devices need, and flows their classes.
func (e *Engine) runShaping(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, w := range e.wans {
		if w.config.Shape.Mode == config.ShapeAuto {
			wg.Go(func() { e.followRate(ctx, w) })
		}
	}
	tick := time.NewTicker(shapeEvery)
	defer tick.Stop()
	if !e.wantsShaping() {
		tick.Stop() // flows have classes even so, for whoever reads their marks
	}
	look := closeLook{engine: e}
	defer look.stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.shaper.wanted:
			e.classesWanted(ctx)
			continue
		case <-tick.C:
		}
		look.set(ctx, e.measureClasses(ctx))
		e.measureRoom()
		e.noteDelays(ctx)
		if err := e.reshape(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("the class trees do not follow what devices need", "error", err)
			e.planner.touch()
		}
	}
}

// closeLook makes the observer read each second while there are flows whose class is not known.
type closeLook struct {
	engine *Engine
	cancel context.CancelFunc
}

func (c *closeLook) set(ctx context.Context, needed bool) {
	switch {
	case needed && c.cancel == nil:
		ctx, c.cancel = context.WithCancel(ctx)
		c.engine.observer.Subscribe(ctx)
	case !needed:
		c.stop()
	}
}

func (c *closeLook) stop() {
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
	}
}

// reshape makes the trees anew, of what devices need now, and applies what differs. The plan in force stays.
func (e *Engine) reshape(ctx context.Context) error {
	s := e.shaper
	s.mu.Lock()
	t := s.now
	s.mu.Unlock()
	p := e.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.made || len(p.state.Shapings) == 0 {
		return nil
	}
	if err := e.build(e.now(), &t); err != nil {
		return err
	}
	state, ok := p.state.Reshaped(t.shapings)
	if !ok {
		p.touch()
		return nil
	}
	if slices.EqualFunc(p.state.Shapings, state.Shapings, func(a, b hal.Shaping) bool { return a.Same(b) }) {
		return nil
	}
	if _, err := p.applier.Reshape(ctx, p.state, state); err != nil {
		if errors.Is(err, hal.ErrNotFound) {
			return nil // unplugged: the machine's event makes a plan
		}
		return err
	}
	p.state = state
	s.mu.Lock()
	s.now = t
	e.warnShaping(t)
	s.mu.Unlock()
	return nil
}
