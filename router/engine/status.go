package engine

import (
	"context"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/link"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/steer"
)

// planStats remembers how planning goes.
type planStats struct {
	mu   sync.Mutex
	view PlanView
}

func (s *planStats) planned(at time.Time, took time.Duration, state plan.State, conditions []steer.LinkCondition, rules int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Links = nil // not cut: whoever asked before still holds it
	for _, c := range conditions {
		if c.Usable {
			s.view.Links = append(s.view.Links, c.Name)
		}
	}
	s.view.Made, s.view.Took, s.view.Rules, s.view.Error = at, took, rules, ""
	s.view.Chains = len(state.Ruleset.Chains)
	s.view.Elements = 0
	for _, m := range state.Ruleset.Maps {
		s.view.Elements += len(m.Elements)
	}
	s.view.Applied++
}

func (s *planStats) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Error = err.Error()
}

func (s *planStats) healed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Healed++
}

func (s *planStats) get() PlanView {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// ActiveFor is how lately a device must have been seen to count as active.
const ActiveFor = 5 * time.Minute

// Status is the router at a glance.
func (e *Engine) Status() Status {
	snap := e.observer.Snapshot()
	st := Status{
		Version: e.version, Started: e.started, Now: e.now(), Links: e.links(snap, false),
		Flows: snap.Flows, Plan: e.stats.get(),
	}
	for _, d := range e.hosts.Devices() {
		st.Devices++
		if st.Now.Sub(d.LastSeen) < ActiveFor {
			st.Active++
		}
	}
	for _, w := range e.health.List() {
		st.Warnings = append(st.Warnings, Warning{Code: w.Code, Severity: w.Severity.String(), Subject: w.Subject, Text: w.Text, Fix: w.Fix, Since: w.Since})
	}
	st.Sentence = stateSentence(st)
	return st
}

// Links lists the links with their health of the last five minutes.
func (e *Engine) Links() []LinkView { return e.links(e.observer.Snapshot(), true) }

func (e *Engine) links(snap *observe.Snapshot, history bool) []LinkView {
	activity := map[flow.LinkID]observe.LinkActivity{}
	for _, a := range snap.Links {
		activity[a.Link] = a
	}
	var out []LinkView
	for _, w := range e.wans {
		s := w.monitor.Snapshot()
		a := activity[w.config.ID]
		v := LinkView{
			ID: w.config.ID, Name: w.config.Name, Device: w.shownDevice(), Role: w.config.Role, State: s.State.String(),
			Usable: s.State.Usable(), Reason: s.Reason, Since: s.Since, RTT: s.RTT, Jitter: s.Jitter, Loss: s.Loss,
			RateDown: a.Rate.Down, RateUp: a.Rate.Up, Metered: w.config.Metered, Flows: a.Flows,
		}
		v.Capacity.Down, v.Capacity.Up = uint64(w.config.Rate.Down), uint64(w.config.Rate.Up)
		w.mu.Lock()
		if w.bond == nil {
			v.Gateway4, v.Gateway6 = w.gatewaysLocked()
		} else if text := w.bond.text(); text != "" && !v.Usable {
			v.Reason = text
		}
		v.Metered = v.Metered || w.slot.device.Metered
		if text := w.slot.text(w.config); text != "" && !v.Usable {
			v.Reason = text
		}
		v.Address4, v.Address6 = w.addressLocked(false), w.addressLocked(true)
		if w.meter != nil {
			q := w.meter.Status()
			v.Quota = QuotaView{Limit: q.Limit, Used: q.Used, Resets: q.End, State: quotaWord(q.Level)}
			if q.Level == link.Spent && v.Usable {
				v.Usable, v.Reason = false, "the month's data is used up"
			}
		}
		w.mu.Unlock()
		if history {
			samples, _ := w.monitor.History()
			for _, h := range samples {
				sample := LinkSample{At: h.At, RTT: h.RTT}
				if h.Lost {
					sample.Loss = 1
				}
				v.History = append(v.History, sample)
			}
		}
		out = append(out, v)
	}
	return out
}

func quotaWord(l link.Level) string {
	return map[link.Level]string{link.Plenty: "ok", link.Low: "warn", link.Spent: "spent"}[l]
}

// Devices lists the devices of the household.
func (e *Engine) Devices() []DeviceView {
	activity := map[flow.DeviceID]observe.DeviceActivity{}
	for _, a := range e.observer.Snapshot().Devices {
		activity[a.Device] = a
	}
	var out []DeviceView
	for _, d := range e.hosts.Devices() {
		v := e.deviceView(d)
		a := activity[d.Number]
		v.RateDown, v.RateUp, v.Flows = a.Rate.Down, a.Rate.Up, a.Flows
		out = append(out, v)
	}
	return out
}

// Flows lists running flows, the busiest first.
func (e *Engine) Flows(f FlowFilter) []FlowView {
	list, _ := e.observer.Flows(observe.FlowQuery{Device: f.Device, Link: f.Link, App: f.App, Limit: f.Limit})
	var out []FlowView
	for _, o := range list {
		id := e.names.Identify(o.Device, o.Key, e.now())
		out = append(out, FlowView{
			ID: o.ID, Key: o.Key, Device: o.DeviceName, Link: o.LinkName, App: id.App, Category: id.Category, Host: id.Host,
			Class: o.Class, Confident: id.Confidence, Reason: id.Reason, Lent: o.Lent, Inbound: o.Inbound, Since: o.Since,
			BytesDown: o.Total.Down, BytesUp: o.Total.Up, RateDown: o.Rate.Down, RateUp: o.Rate.Up,
		})
	}
	return out
}

// Events lists what happened, the newest first.
func (e *Engine) Events(limit int) []EventView {
	var out []EventView
	for _, ev := range e.events.List(observe.Info, limit) {
		out = append(out, eventView(ev))
	}
	return out
}

func eventView(ev observe.Event) EventView {
	return EventView{At: ev.At, Severity: ev.Severity.String(), Kind: ev.Kind, Subject: ev.Subject, Text: ev.Text}
}

// Watch calls live about once a second and event whenever something happens, until the context ends.
func (e *Engine) Watch(ctx context.Context, live func(Live) error, event func(EventView) error) error {
	events := e.watchers.join(ctx)
	for snaps := e.observer.Subscribe(ctx); ; {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case s, ok := <-snaps:
			if !ok {
				return nil
			}
			err = live(e.live(s))
		case ev := <-events:
			err = event(eventView(ev))
		}
		if err != nil {
			return err
		}
	}
}

func (e *Engine) live(s *observe.Snapshot) Live {
	l := Live{At: s.At, Links: e.links(s, false), Devices: map[string]Rates{}, Apps: map[string]Rates{}, Flows: s.Flows}
	for _, d := range s.Devices {
		l.Devices[d.Name] = Rates{d.Rate.Down, d.Rate.Up}
	}
	for _, a := range s.Apps {
		l.Apps[a.App] = Rates{a.Rate.Down, a.Rate.Up}
	}
	return l
}

// eventWatchers are those who want to hear of events as they happen. One who is slow misses some.
type eventWatchers struct {
	mu       sync.Mutex
	channels map[chan observe.Event]bool
}

const eventBacklog = 64

func (w *eventWatchers) join(ctx context.Context) <-chan observe.Event {
	ch := make(chan observe.Event, eventBacklog)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.channels == nil {
		w.channels = map[chan observe.Event]bool{}
	}
	w.channels[ch] = true
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.channels, ch)
	})
	return ch
}

func (w *eventWatchers) tell(ev observe.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.channels {
		select {
		case ch <- ev:
		default:
		}
	}
}
