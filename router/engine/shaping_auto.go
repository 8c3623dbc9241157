package engine

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/link"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/qos"
	"github.com/trenza-router/trenza/router/qos/autorate"
)

const (
	// watchLoad is how often a link that is not loaded is looked at.
	watchLoad = 250 * time.Millisecond
	// loadedPart of the rate that a link is shaped to is a load: from then on probes are sent at each tick.
	loadedPart = 0.3
	// calmAfter so long without a load the probes end.
	calmAfter = 5 * time.Second
	// probeTimeout is after when a probe counts as lost.
	probeTimeout = time.Second
	// A new rate that differs by less than smallStep from the one in force is not worth a message to the kernel.
	smallStep = 0.01
)

// autoRate finds out what a link carries. shaper.mu guards what is read by others.
type autoRate struct {
	laws [2]*autorate.Law // by qos.Direction; of the task that follows the rate alone

	rate  [2]qos.Rate
	state [2]autorate.State
	delay [2]time.Duration
	busy  bool // probes are sent
}

// blind tells whether the delay of a direction says nothing about its load.
func (a *autoRate) blind() bool {
	return a.state[qos.Up] == autorate.Blind || a.state[qos.Down] == autorate.Blind
}

func (a *autoRate) rates() qos.Rates { return qos.Rates{Up: a.rate[qos.Up], Down: a.rate[qos.Down]} }

// reflectors are whom probes of a link's rate go to.
func (w *wan) reflectors() []netip.Addr {
	if len(w.config.Shape.Reflectors) > 0 {
		return w.config.Shape.Reflectors
	}
	var out []netip.Addr
	for _, text := range w.config.Probes.Targets {
		if t, err := link.ParseTarget(text); err == nil && t.Kind == link.ICMP {
			out = append(out, t.Addr.Addr())
		}
	}
	return out
}

func newAutoRate(c config.Link, now time.Time) (*autoRate, error) {
	a := &autoRate{}
	least := c.Least()
	for _, d := range []qos.Direction{qos.Up, qos.Down} {
		low, high := qos.Rate(least.Up), qos.Rate(c.Rate.Up)
		if d == qos.Down {
			low, high = qos.Rate(least.Down), qos.Rate(c.Rate.Down)
		}
		law, err := autorate.New(autorate.Config{Direction: d, Min: low, Max: high, Start: max(low, high*8/10)}, now)
		if err != nil {
			return nil, err
		}
		a.laws[d], a.rate[d] = law, max(low, high*8/10)
	}
	return a, nil
}

// followRate lets a link's rate follow what it carries, until the context ends.
func (e *Engine) followRate(ctx context.Context, w *wan) {
	a, err := newAutoRate(w.config, e.now())
	if err != nil {
		e.log.Error("the link's rate cannot be found out; it stays as configured", "link", w.config.Name, "error", err)
		return
	}
	s := e.shaper
	s.mu.Lock()
	s.auto[w.config.ID] = a
	s.mu.Unlock()
	e.planner.touch()
	p := &rateProbes{engine: e, wan: w, answers: make(chan autorate.Answer, 64)}
	defer p.wg.Wait()
	// The law begins with a second at the least rate, which nobody should feel: before the first load.
	for !w.monitor.Snapshot().State.Usable() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchLoad):
		}
	}
	e.followLoad(ctx, w, a, p)
	var last carried
	for {
		now, ok := p.carried()
		load := ok && !last.at.IsZero() && e.loaded(w, last, now)
		last = now
		if load {
			e.followLoad(ctx, w, a, p)
			last = carried{}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchLoad):
		}
	}
}

// carried is what a link's device has counted at a moment.
type carried struct {
	at    time.Time
	bytes [2]uint64 // by qos.Direction
}

// loaded tells whether a link carried much of what it is shaped to between two looks.
func (e *Engine) loaded(w *wan, a, b carried) bool {
	span := b.at.Sub(a.at).Seconds()
	capacity := e.capacity(w)
	for _, d := range []qos.Direction{qos.Up, qos.Down} {
		if b.bytes[d] >= a.bytes[d] && float64(b.bytes[d]-a.bytes[d])*8 > loadedPart*float64(capacity.Of(d))*span {
			return true
		}
	}
	return false
}

// followLoad probes and steers the rate at each tick until the link has been calm for a while.
func (e *Engine) followLoad(ctx context.Context, w *wan, a *autoRate, p *rateProbes) {
	reflectors := w.reflectors()
	if len(reflectors) == 0 {
		return
	}
	s := e.shaper
	mark := func(busy bool) {
		s.mu.Lock()
		a.busy = busy
		s.mu.Unlock()
	}
	mark(true)
	defer mark(false)
	for _, law := range a.laws {
		law.Resume(e.now())
	}
	tick := time.NewTicker(autorate.Tick)
	defer tick.Stop()
	before, ok := p.carried()
	second := before
	calm := e.now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.send(ctx, n%len(reflectors), reflectors[n%len(reflectors)])
		answers := p.take()
		now, there := p.carried()
		if !there || !ok {
			return // the device went
		}
		var rates qos.Rates
		loaded := [2]bool{qos.Up: a.laws[qos.Up].Loaded(now.at), qos.Down: a.laws[qos.Down].Loaded(now.at)}
		for _, d := range []qos.Direction{qos.Up, qos.Down} {
			var bytes uint64
			if now.bytes[d] > before.bytes[d] {
				bytes = now.bytes[d] - before.bytes[d]
			}
			reading := autorate.Reading{Bytes: bytes, Answers: answers, Other: loaded[1-d]}
			if d == qos.Down { // what the modem hears says nothing of what the mast hears
				reading.Ceiling = w.ceiling()
			}
			r := a.laws[d].Step(now.at, reading)
			if d == qos.Up {
				rates.Up = r
			} else {
				rates.Down = r
			}
		}
		before = now
		e.setRates(ctx, w, a, rates)
		if now.at.Sub(second.at) >= watchLoad {
			if e.loaded(w, second, now) {
				calm = now.at
			}
			second = now
		}
		if now.at.Sub(calm) >= calmAfter {
			return
		}
	}
}

// ceiling is what the signal of a link's modem rules out on the way down; 0: nothing.
func (w *wan) ceiling() qos.Rate {
	w.mu.Lock()
	sinr := w.slot.device.Modem.Signal.SINR
	w.mu.Unlock()
	return autorate.Ceiling(sinr, qos.Rate(w.config.Rate.Down))
}

// setRates puts a link's new rates in force: the link's own node at once, by one message; the classes below it follow within a second, or
// at once when they are promised more than there is now.
func (e *Engine) setRates(ctx context.Context, w *wan, a *autoRate, rates qos.Rates) {
	s := e.shaper
	s.mu.Lock()
	var changed []qos.Direction
	wasBlind := a.blind()
	for _, d := range []qos.Direction{qos.Up, qos.Down} {
		was, is := a.rate[d], rates.Of(d)
		if float64(max(was, is)-min(was, is)) >= smallStep*float64(was) {
			a.rate[d] = is
			changed = append(changed, d)
		}
		a.state[d], a.delay[d] = a.laws[d].State(), a.laws[d].Delay()
	}
	blind, text := a.blind(), stateText(a)
	s.mu.Unlock()
	if blind != wasBlind {
		e.health.Put(blind, observe.Warning{Code: "rate-blind", Subject: w.config.Name, Severity: observe.Info,
			Text: fmt.Sprintf("The rate of %s cannot be found out: %s.", w.config.Name, text),
			Fix:  "If the link always carries the same, set shape: {mode: fixed} and its rate; else name reflectors that are near."})
	}
	if len(changed) == 0 {
		return
	}
	p := e.planner
	if !p.mu.TryLock() {
		return // a plan is being made, which has the new rates or is followed by a reshape
	}
	whole := false
	for _, d := range changed {
		device := w.device()
		if d == qos.Down {
			device = hal.DownloadDevice
		}
		trees := append([]hal.Shaping(nil), p.state.Shapings...)
		for i, t := range trees {
			if t.Device != device {
				continue
			}
			next, class, fits := qos.Recap(t, w.config.ID, rates.Of(d))
			if !fits {
				whole = true
				continue
			}
			if err := e.machine.ChangeClass(ctx, device, class); err == nil {
				trees[i] = next
				p.state.Shapings = trees
			}
		}
	}
	p.mu.Unlock()
	if whole {
		if err := e.reshape(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("the class trees do not follow the link's rate", "link", w.config.Name, "error", err)
		}
	}
}

// rateProbes are the probes of a link that are on their way.
type rateProbes struct {
	engine  *Engine
	wan     *wan
	answers chan autorate.Answer
	wg      sync.WaitGroup
}

func (p *rateProbes) carried() (carried, bool) {
	received, sent, err := p.engine.machine.Traffic(p.wan.device())
	c := carried{at: p.engine.now()}
	c.bytes[qos.Up], c.bytes[qos.Down] = sent, received
	return c, err == nil
}

// send sends a probe; its fate comes with take.
func (p *rateProbes) send(ctx context.Context, reflector int, to netip.Addr) {
	sent := p.engine.now()
	p.wg.Go(func() {
		probe, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		rtt, err := p.engine.machine.Ping(probe, p.wan.via(), to)
		select {
		case p.answers <- autorate.Answer{Reflector: reflector, Sent: sent, RTT: rtt, Lost: err != nil}:
		default: // nobody has taken them for seconds
		}
	})
}

func (p *rateProbes) take() (out []autorate.Answer) {
	for {
		select {
		case a := <-p.answers:
			out = append(out, a)
		default:
			return out
		}
	}
}

// stateText says in plain words what the automatic rate of a link does.
func stateText(a *autoRate) string {
	for _, d := range []qos.Direction{qos.Down, qos.Up} {
		switch a.state[d] {
		case autorate.Blind:
			return fmt.Sprintf("its delay says nothing about its load %s: a static rate holds", d)
		case autorate.Deaf:
			return "nobody answers its probes: a rate below the last good one holds"
		case autorate.Stalled:
			return "it stands still"
		case autorate.Cut:
			return fmt.Sprintf("too slow %s for what is sent: the rate goes down", d)
		case autorate.Idle, autorate.Climb:
		}
	}
	if a.busy {
		return "loaded: the rate follows what it carries"
	}
	return "not loaded: the last rate holds"
}
