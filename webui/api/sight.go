package api

import (
	"context"
	"slices"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/auth"
)

// sight is what somebody may see: everything, or, for a member, what belongs to their person. It is made for each answer, so that
// a device that changes its owner is gone from the next one.
type sight struct {
	h      *Handlers
	all    bool
	person string
	own    map[string]bool // device ids
}

func (h *Handlers) sight(ctx context.Context) sight {
	p := auth.Of(ctx)
	s := sight{h: h, all: p.Role == auth.Admin || p.Role == auth.Viewer, person: p.Person, own: map[string]bool{}}
	if s.all || s.person == "" {
		return s
	}
	for _, d := range h.engine.Devices() {
		if d.Owner == s.person {
			s.own[d.ID] = true
		}
	}
	return s
}

func (s sight) device(id string) bool { return s.all || s.own[id] }

func (s sight) deviceViews(list []engine.DeviceView) []engine.DeviceView {
	return slices.DeleteFunc(list, func(d engine.DeviceView) bool { return !s.device(d.ID) })
}

// links tells a member which links there are and how they fare, not what others send over them.
func (s sight) links(list []engine.LinkView) []engine.LinkView {
	if s.all {
		return list
	}
	out := make([]engine.LinkView, len(list))
	for i, l := range list {
		out[i] = engine.LinkView{ID: l.ID, Name: l.Name, Role: l.Role, State: l.State, Usable: l.Usable, Reason: l.Reason, Since: l.Since,
			RTT: l.RTT, Jitter: l.Jitter, Loss: l.Loss, Capacity: l.Capacity, Metered: l.Metered, History: l.History}
	}
	return out
}

func (s sight) status(st engine.Status) engine.Status {
	if s.all {
		return st
	}
	out := engine.Status{Version: st.Version, Started: st.Started, Now: st.Now, Sentence: st.Sentence, Links: s.links(st.Links)}
	for _, d := range s.deviceViews(s.h.engine.Devices()) {
		out.Devices++
		out.Flows += d.Flows
		if st.Now.Sub(d.LastSeen) < engine.ActiveFor {
			out.Active++
		}
	}
	return out
}

func (s sight) flows(f engine.FlowFilter) []engine.FlowView {
	if s.all || f.Device != "" {
		if !s.device(f.Device) && !s.all {
			return nil
		}
		return s.h.engine.Flows(f)
	}
	// The busiest of each device first: the limit is of all together.
	var out []engine.FlowView
	for id := range s.own {
		f.Device = id
		out = append(out, s.h.engine.Flows(f)...)
	}
	slices.SortStableFunc(out, func(a, b engine.FlowView) int {
		return int(int64(b.RateDown+b.RateUp) - int64(a.RateDown+a.RateUp))
	})
	if limit := f.Limit; limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

func (s sight) usage(list []store.Usage) []store.Usage {
	return slices.DeleteFunc(list, func(u store.Usage) bool { return !s.device(u.Device) })
}

// maxEvents is how many events are looked at for those that a member may see.
const maxEvents = 1000

func (s sight) events(limit int) []engine.EventView {
	if s.all {
		return s.h.engine.Events(limit)
	}
	var out []engine.EventView
	for _, e := range s.h.engine.Events(maxEvents) {
		if s.event(e) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out
}

// event tells whether an event may be seen: a member hears of links and of their own devices.
func (s sight) event(e engine.EventView) bool {
	return s.all || e.Kind == "link" || e.Kind == "device" && s.own[e.Subject] || e.Kind == "person" && e.Subject == s.person
}

// live leaves out of a second of the router's life what others do.
func (s sight) live(l engine.Live) engine.Live {
	if s.all {
		return l
	}
	out := engine.Live{At: l.At, Links: s.links(l.Links), Devices: map[string]engine.Rates{}, Apps: map[string]engine.Rates{}}
	for id, r := range l.Devices {
		if s.own[id] {
			out.Devices[id] = r
		}
	}
	for _, d := range s.deviceViews(s.h.engine.Devices()) {
		out.Flows += d.Flows
	}
	return out
}

// effects leaves out of what a policy would change what it does to others.
func (s sight) effects(e engine.Effects, next *policy.Compiled) engine.Effects {
	if s.all {
		return e
	}
	out := engine.Effects{}
	for _, id := range e.Devices {
		if s.own[id] {
			out.Devices = append(out.Devices, id)
		}
	}
	for _, m := range e.Moves {
		if s.own[m.Flow.Device] {
			out.Moves = append(out.Moves, m)
		}
	}
	out.Flows = len(out.Moves)
	mine := map[string]bool{}
	for _, r := range next.Policy().User {
		mine[r.ID] = r.Owner == s.person
	}
	others := func(f policy.Finding) bool { return !mine[f.RuleID] }
	out.Lost, out.Found = slices.DeleteFunc(e.Lost, others), slices.DeleteFunc(e.Found, others)
	return out
}
