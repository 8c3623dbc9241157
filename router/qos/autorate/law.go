package autorate

import (
	"cmp"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/qos"
)

// Rate is in bit/s.
type Rate = qos.Rate

// Config says what a law may do. The zero value of what has a default stands for it.
type Config struct {
	Direction qos.Direction
	Min, Max  Rate          // the rate never leaves them
	Start     Rate          // tried first; Min
	Static    Rate          // where delays say nothing; 0: 0.8 of what was delivered
	Bloat     time.Duration // delay above the baseline from which the queue is too long; 10 ms
}

// Tick is how often a Law wants to be told what was measured.
const Tick = 50 * time.Millisecond

// The law's numbers.
const (
	high        = 0.75 // part of the rate from which the link counts as loaded
	climbFar    = 0.08 // a tick, below nearPart of the remembered rate
	climbNear   = 0.01
	nearPart    = 0.9
	cutLeast    = 0.85 // what is left of the delivered rate when the queue is just too long
	cutMost     = 0.55
	cutSlowly   = 0.8                    // of the rate, where nothing tells what is delivered
	drainTime   = 300 * time.Millisecond // in which a cut should empty the queue
	memoryAge   = 3 * time.Second        // after which a remembered rate holds no longer back
	idleAfter   = 10 * time.Second       // after which a rate that nobody uses sinks to the remembered one
	bestFades   = 0.9999                 // a tick
	recently    = time.Second            // loaded a moment ago, or bloated for more than one
	calibration = time.Second            // at the least rate, to find out how far the reflectors are
	rebaseAfter = 2 * time.Second        // with a delay that does not go away
	stallAfter  = 500 * time.Millisecond // without answers and without traffic
	deadAfter   = 5 * time.Second        // without answers while traffic passes
	stallRate   = 10_000                 // bit/s; less is no traffic
	measured    = 200 * time.Millisecond // over which the delivered rate is averaged
	staticPart  = 0.8
)

// State is what a law is doing.
type State uint8

const (
	Idle    State = iota // too little traffic to learn from
	Climb                // no queue: more is tried
	Cut                  // a queue: less than is delivered
	Stalled              // neither answers nor traffic
	Deaf                 // traffic, but no reflector answers
	Blind                // delays say nothing about load: a static rate
)

func (s State) String() string {
	if int(s) >= len(stateNames()) {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return stateNames()[s]
}

func stateNames() []string {
	return []string{"idle", "climbing", "cutting", "stalled", "deaf", "blind"}
}

// Answer is the fate of a probe. Reflector numbers are the caller's.
type Answer struct {
	Reflector int
	Sent      time.Time
	RTT       time.Duration
	Lost      bool
}

// Reading is what was measured since the last tick.
type Reading struct {
	Bytes   uint64   // that passed the shaper in the law's direction
	Answers []Answer // that came in, or whose time ran out
	// Other tells that the link's other direction is loaded: its queue delays the answers as well.
	Other bool
	// Ceiling is what the modem says that the radio can carry now; 0: it says nothing.
	Ceiling Rate
}

// Law controls one direction of one link.
type Law struct {
	c     Config
	rate  Rate
	state State

	begun, last time.Time
	calibrated  bool
	passed      history
	delays      delays
	relation    relation

	remembered Rate      // what was delivered when the queue was too long
	since      time.Time // when
	best       Rate      // the most that was delivered; sinks by half in some minutes
	static     Rate      // while delays say nothing; 0: they do
	trusted    Rate      // the rate when a reflector last answered
	used       time.Time // when the link was last loaded
	heard      time.Time // when a reflector last answered
	stuck      time.Time // when the delay was last not high in spite of next to no traffic
	calm       time.Time // when there was no queue
	lastCut    time.Time
	lastQueue  time.Duration
	cutSince   time.Time // begin of an unbroken time of cutting; zero: not cutting
}

// New returns a law that begins at a moment.
func New(c Config, now time.Time) (*Law, error) {
	c.Bloat = cmp.Or(c.Bloat, 10*time.Millisecond)
	c.Start = cmp.Or(c.Start, c.Min)
	switch {
	case c.Min < qos.MinCapacity || c.Max > qos.MaxCapacity || c.Min > c.Max:
		return nil, fmt.Errorf("automatic rate: from %s to %s: use a minimum from %s and a maximum up to %s", c.Min, c.Max, qos.MinCapacity, qos.MaxCapacity)
	case c.Start < c.Min || c.Start > c.Max:
		return nil, fmt.Errorf("automatic rate: the start of %s is not between %s and %s", c.Start, c.Min, c.Max)
	case c.Static != 0 && (c.Static < c.Min || c.Static > c.Max):
		return nil, fmt.Errorf("automatic rate: the static rate of %s is not between %s and %s", c.Static, c.Min, c.Max)
	case c.Bloat < time.Millisecond || c.Bloat > time.Second:
		return nil, fmt.Errorf("automatic rate: a queue of %s: use 1ms to 1s", c.Bloat)
	}
	return &Law{c: c, rate: c.Min, begun: now, last: now, since: now, used: now, heard: now, calm: now, stuck: now}, nil
}

// Rate is what to shape to now.
func (l *Law) Rate() Rate { return l.rate }

// State is what the law is doing.
func (l *Law) State() State { return l.state }

// Delay is the queue's delay as the law sees it.
func (l *Law) Delay() time.Duration { return l.delays.queue() }

// Dead lists the reflectors that do not answer while others do, or none does: use others.
func (l *Law) Dead() []int { return l.delays.dead() }

// Step takes what was measured since the last step and returns the rate to shape to.
func (l *Law) Step(now time.Time, r Reading) Rate {
	if !now.After(l.last) {
		return l.rate
	}
	l.last = now
	heard := l.delays.add(now, r.Answers)
	l.passed.add(now, r.Bytes)
	switch {
	case now.Sub(l.begun) < calibration:
		if heard {
			l.heard = now
		}
		return l.rate
	case !l.calibrated:
		l.rate, l.trusted, l.used, l.calibrated = l.c.Start, l.c.Start, now, true
	}
	if heard {
		l.heard, l.trusted = now, l.rate
	}
	l.state = l.decide(now, r.Other)
	if r.Ceiling != 0 {
		l.rate = min(l.rate, r.Ceiling)
	}
	l.rate = min(max(l.rate, l.c.Min), l.c.Max)
	return l.rate
}

// Resume goes on after a time in which nobody probed: silence and load of that time tell nothing.
func (l *Law) Resume(now time.Time) {
	if !now.After(l.last) {
		return
	}
	if !l.calibrated && now.Sub(l.begun) >= calibration {
		l.begun = now // it has learned nothing yet
	}
	l.last, l.heard, l.calm, l.stuck, l.used = now, now, now, now, now
	l.cutSince = time.Time{}
	l.passed = history{}
	l.delays.recent, l.delays.answered = nil, time.Time{}
	l.relation.busy, l.relation.last = now, now
}

// Loaded tells whether the link was loaded in the law's direction a moment ago: see Reading.Other.
func (l *Law) Loaded(now time.Time) bool { return l.calibrated && now.Sub(l.used) <= recently }

func (l *Law) decide(now time.Time, other bool) State {
	sent := l.passed.sent(now)
	delivered := sent
	if d, ok := l.delays.delivered(&l.passed); ok && l.c.Direction == qos.Up {
		delivered = d
	}
	l.best = max(sent, part(l.best, bestFades))
	switch silent := now.Sub(l.heard); {
	case silent >= stallAfter && sent < stallRate:
		l.cutSince = time.Time{}
		return Stalled
	case silent >= deadAfter:
		l.cutSince = time.Time{}
		if l.state != Deaf {
			l.rate = part(l.trusted, staticPart)
		}
		return Deaf
	}
	loaded := sent >= part(l.rate, high)
	if loaded {
		l.used = now
	}
	if other && now.Sub(l.used) > recently {
		// A direction that is not loaded has no part in the delay: less would not help, and it would soon be too little for the other
		// direction's acknowledgements.
		l.calm, l.stuck, l.cutSince, l.relation.busy = now, now, time.Time{}, now
		return Idle
	}
	queue := l.delays.queue()
	bloated := queue > l.threshold()
	relieved := sent <= part(l.c.Min, 1.1)
	l.relation.add(now, bloated, loaded && !relieved, relieved)
	if l.relation.blind() {
		l.cutSince = time.Time{}
		if l.static == 0 { // once: what is delivered from now on is what this lets pass
			l.static = cmp.Or(l.c.Static, part(l.best, staticPart))
		}
		l.rate = l.static
		return Blind
	}
	l.static = 0
	if !bloated {
		l.calm = now
	}
	if !bloated || !relieved {
		l.stuck = now
	}
	// Longer than a queue lasts when next to nothing is added to it: it is not a queue.
	if now.Sub(l.stuck) >= rebaseAfter+queue {
		l.delays.rebase()
		l.stuck = now
	}
	switch {
	case bloated && (now.Sub(l.used) <= recently || !l.cutSince.IsZero()):
		// A link that slows down delivers less than it is asked for: that it was loaded a moment ago is enough.
		l.cut(now, delivered, queue)
		return Cut
	case bloated && now.Sub(l.calm) >= recently:
		// It may carry much less than it was ever asked for, or nobody asks for much and something else delays the answers: slowly.
		if now.Sub(l.lastCut) >= measured {
			l.lastCut, l.lastQueue = now, queue
			l.rate = max(part(l.rate, cutSlowly), min(delivered, l.rate))
		}
		return Cut
	case !loaded:
		l.cutSince = time.Time{}
		if l.remembered != 0 && now.Sub(l.used) >= idleAfter && l.rate > l.remembered {
			l.rate = max(part(l.rate, 1-climbNear), l.remembered)
		}
		return Idle
	}
	l.cutSince = time.Time{}
	l.climb(now)
	return Climb
}

// threshold is the delay from which the queue is too long; on a slow link, a packet or two are long by themselves.
func (l *Law) threshold() time.Duration {
	const packet = 1514 * 8
	return l.c.Bloat + 2*packet*time.Second/time.Duration(l.rate)
}

func (l *Law) cut(now time.Time, delivered Rate, queue time.Duration) {
	if l.cutSince.IsZero() {
		l.cutSince = now
	}
	left := 1 - float64(queue)/float64(drainTime)
	rate := part(delivered, min(max(left, cutMost), cutLeast))
	// The first cut shows its effect only after a while. Until then what is delivered may be what was cut, and cutting that
	// again would have no end.
	if rate < l.rate && queue <= l.lastQueue && now.Sub(l.lastCut) < measured {
		return
	}
	if rate < l.rate {
		l.lastCut, l.lastQueue = now, queue
	}
	l.remembered, l.since, l.rate = delivered, now, rate
}

func (l *Law) climb(now time.Time) {
	step := climbFar
	if l.remembered != 0 && l.rate >= part(l.remembered, nearPart) {
		age := min(float64(now.Sub(l.since))/float64(memoryAge), 1)
		step = climbNear + (climbFar-climbNear)*age
	}
	l.rate = part(l.rate, 1+step)
}

func part(r Rate, f float64) Rate { return Rate(float64(r) * f) }
