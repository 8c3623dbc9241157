package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/qos"
)

// QoSView is how links are shaped and what their classes do.
type QoSView struct {
	Links    []QoSLink
	Warnings []string // what could not be done as it was said
}

// QoSLink is a link's part. Rates are bit/s, what waits bytes.
type QoSLink struct {
	Name     string
	Mode     string // "off", "fixed", "auto"
	State    string // in plain words
	Shaped   Rates  // 0: not shaped
	Capacity Rates  // configured
	// Queue is the delay that an automatic rate sees beyond the router.
	QueueDown, QueueUp time.Duration
	// Idle and Loaded are medians of the probes' delay of the last minutes, while the link carried little and much; 0: unknown.
	Idle, Loaded time.Duration
	History      []DelayHour // of the last week, the newest last
	Classes      []QoSClass
}

// QoSClass is an application class of a device on a link; Device "" is the link's default class.
type QoSClass struct {
	Device   string // id
	Class    string // "default", one of policy.ClassNames, the id of the rule that the class is for, or formerRule
	Priority int
	Down, Up QoSWay
}

// QoSWay is one direction of a class.
type QoSWay struct {
	Promised, Most uint64 // bit/s: what it has for sure and may have
	Rate           uint64 // bit/s, of the last second
	Bytes          uint64 // since the class was made
	Waiting        uint64 // bytes
	Dropped        uint64 // packets, since the class was made
	Delay          time.Duration
}

// formerRule is what a class of a rule's own is called while it still stands and the rule is gone.
const formerRule = "former rule"

// maxDelays bounds the delays that a link's medians are made of: some minutes of probes.
const maxDelays = 180

// linkDelays are delays of a link's probes, while it carried little and much. shaper.mu guards them.
type linkDelays struct {
	seen         time.Time // of the newest probe
	idle, loaded []time.Duration
	history      delayHistory
}

// add takes a probe, of which it may have heard before. It tells whether an hour of the history has ended by it.
func (l *linkDelays) add(at time.Time, rtt time.Duration, loaded bool) (ended bool) {
	if !at.After(l.seen) || rtt == 0 {
		return false
	}
	l.seen = at
	list := &l.idle
	if loaded {
		list = &l.loaded
	}
	if *list = append(*list, rtt); len(*list) > maxDelays {
		*list = slices.Delete(*list, 0, 1)
	}
	return l.history.add(at, rtt, loaded)
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// noteDelays enters the links' newest probes.
func (e *Engine) noteDelays(ctx context.Context) {
	snap := e.observer.Snapshot()
	for _, w := range e.wans {
		samples, _ := w.monitor.History()
		if len(samples) == 0 {
			continue
		}
		last := samples[len(samples)-1]
		capacity, loaded := e.capacity(w), false
		for _, a := range snap.Links {
			loaded = loaded || a.Link == w.config.ID && (qos.Rate(a.Rate.Up) > capacity.Up/2 || qos.Rate(a.Rate.Down) > capacity.Down/2)
		}
		e.shaper.mu.Lock()
		d := e.shaper.delays[w.config.ID]
		if d == nil {
			d = &linkDelays{}
			e.shaper.delays[w.config.ID] = d
		}
		var over []DelayHour
		if !last.Lost && d.add(last.At, last.RTT, loaded) {
			over = slices.Clone(d.history.hours)
		}
		e.shaper.mu.Unlock()
		if over != nil {
			e.saveDelays(ctx, w.config.Name, over)
		}
	}
}

// QoS is how links are shaped now.
func (e *Engine) QoS() QoSView {
	var v QoSView
	s := e.shaper
	s.mu.Lock()
	t, meters := s.now, s.meters
	s.mu.Unlock()
	for _, w := range t.plan.Warnings {
		v.Warnings = append(v.Warnings, w.Text)
	}
	names := e.classNames()
	for _, w := range e.wans {
		l := QoSLink{Name: w.config.Name, Mode: string(w.config.Shape.Mode), Capacity: Rates{Down: uint64(w.config.Rate.Down), Up: uint64(w.config.Rate.Up)}}
		s.mu.Lock()
		if a := s.auto[w.config.ID]; a != nil {
			l.State, l.QueueDown, l.QueueUp = stateText(a), a.delay[qos.Down], a.delay[qos.Up]
		}
		if d := s.delays[w.config.ID]; d != nil {
			l.Idle, l.Loaded, l.History = median(d.idle), median(d.loaded), d.history.list()
		}
		s.mu.Unlock()
		i := slices.IndexFunc(t.links, func(q qos.Link) bool { return q.ID == w.config.ID })
		switch {
		case w.config.Shape.Mode == config.ShapeOff || w.config.Shape.Mode == "":
			l.Mode, l.State = string(config.ShapeOff), "not shaped"
		case i < 0 || len(t.shapings) == 0:
			l.State = "not shaped now: its device is missing, or the kernel cannot"
		default:
			c := e.capacity(w)
			l.Shaped = Rates{Down: uint64(c.Down), Up: uint64(c.Up)}
			if w.config.Shape.Mode == config.ShapeFixed {
				l.State = "shaped to a fixed rate"
			}
			l.Classes = e.classViews(t, w.config.ID, meters, names)
		}
		v.Links = append(v.Links, l)
	}
	return v
}

// classViews are the classes of a link as its trees have them, the busiest first.
func (e *Engine) classViews(t trees, link flow.LinkID, meters map[qos.Class]*classMeter, names map[flow.AppClass]string) []QoSClass {
	found := map[qos.Class]*QoSClass{}
	for _, tree := range t.shapings {
		sure := qos.Sure(tree)
		for _, c := range tree.Classes {
			k := qos.ClassOf(flow.Mark(c.ID))
			if !c.Leaf() || k.Link != link {
				continue
			}
			v := found[k]
			if v == nil {
				v = &QoSClass{Class: cmp.Or(names[k.App], formerRule), Priority: int(c.Priority)}
				if d, ok := e.hosts.ByNumber(k.Device); ok {
					v.Device = d.ID
				} else if k.Device == flow.RouterDevice {
					v.Device = "router"
				}
				found[k] = v
			}
			way, d := &v.Up, wayOf(tree.Device)
			if d == qos.Down {
				way = &v.Down
			}
			way.Promised, way.Most = uint64(sure[c.ID]), c.Ceil
			if m := meters[k]; m != nil {
				n := m.ways[d]
				way.Bytes, way.Rate, way.Waiting, way.Dropped, way.Delay = n.bytes, n.rate, n.waiting, n.dropped, n.delay()
			}
		}
	}
	var out []QoSClass
	for _, v := range found {
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b QoSClass) int {
		return cmp.Or(cmp.Compare(b.Down.Rate+b.Up.Rate, a.Down.Rate+a.Up.Rate), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Class, b.Class))
	})
	return out
}

// classNames says what each class is called: that of a rule after the rule.
func (e *Engine) classNames() map[flow.AppClass]string {
	out := map[flow.AppClass]string{0: "default"}
	for i, name := range policy.ClassNames() {
		out[flow.AppClass(i+1)] = name
	}
	p := e.policy.current()
	for i := range p.Len() {
		if k := p.OwnClass(i); k != 0 && out[k] == "" {
			out[k] = p.Rule(i).ID
		} else if k != 0 {
			out[k] += ", " + p.Rule(i).ID // of another device
		}
	}
	return out
}
