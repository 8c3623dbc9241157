package link

import (
	"cmp"
	"slices"
	"time"
)

// outcome is what a round says.
type outcome uint8

const (
	undecided outcome = iota
	good              // an answer from beyond the link
	bad               // no answer at all
	captive           // answers, but the web is somebody else's
	void              // nothing can be concluded
)

// round is one set of probes in flight.
type round struct {
	seq      uint64
	sent     time.Time
	lateAt   time.Time
	received uint64 // packets on the device when it was sent; 0: not known
	targets  []*target
	missing  []*target // those that did not answer
	waiting  int       // for so many results
	web      int       // of these, of HTTP targets that usually answer
	ok       bool      // an answer from beyond the link
	urgent   bool      // sent in a suspicion
	judged   bool
	stalled  bool // a timeout was noticed late
	pages    int  // answers of HTTP targets
	foreign  int  // of these, somebody else's
}

// open tells whether the round may still fail and mean something: no answer yet, and no later one answered.
func (r *round) open(lastGood time.Time) bool {
	return !r.ok && r.foreign == 0 && r.sent.After(lastGood)
}

// target is a Target with what is known about it.
type target struct {
	Target
	silent int // times in a row that it did not answer while another one did
	rtt    rttEstimate
	usual  baseline
}

// speaks tells whether the target's silence means anything.
func (t *target) speaks() bool { return t.silent < silentAfter }

// rttEstimate is a smoothed delay with its variation (RFC 6298 §2), both 0 before the first answer.
type rttEstimate struct{ smooth, variation, last time.Duration }

func (e *rttEstimate) add(rtt time.Duration) {
	e.last = rtt
	if e.smooth == 0 {
		e.smooth, e.variation = rtt, rtt/2
		return
	}
	e.variation = (3*e.variation + (e.smooth - rtt).Abs()) / 4
	e.smooth = (7*e.smooth + rtt) / 8
}

// late is when an answer of the target is worth a suspicion.
func (t *target) late(p Probes) time.Duration {
	if t.rtt.smooth == 0 {
		return p.late()
	}
	return min(max(2*t.rtt.smooth+4*t.rtt.variation, p.late()/4), p.late())
}

// Next is when the next round is due; false while none makes sense.
func (m *Machine) Next(now time.Time) (time.Time, bool) {
	if !m.physical.ready() || len(m.usableTargets()) == 0 {
		return time.Time{}, false
	}
	if m.lastSent.IsZero() {
		return now, true
	}
	if m.suspect() {
		return m.lastSent.Add(m.probes.spacing()), true
	}
	due := m.lastSent.Add(m.probes.Interval)
	if !m.verdict.State.Usable() {
		return due, true
	}
	if m.idle {
		due = m.lastSent.Add(m.probes.Idle)
	}
	for _, r := range m.rounds {
		// A round in flight may become late before that.
		if r.open(m.lastGood) {
			due = earlier(due, later(r.lateAt, m.lastSent.Add(m.probes.spacing())))
		}
	}
	return due, true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// suspect tells whether the link is in use and something has failed.
func (m *Machine) suspect() bool {
	return m.verdict.State.Usable() && len(m.failed)+m.captive > 0
}

// Begin starts a round: it returns its number and the targets to ask now. received is the device's count of received
// packets, or 0 if it is not known.
func (m *Machine) Begin(now time.Time, received uint64) (uint64, []Target) {
	r := &round{sent: now, urgent: m.urgent(), received: received}
	r.targets = m.choose(now, r.urgent)
	m.seq++
	r.seq, r.waiting, m.lastSent = m.seq, len(r.targets), now
	var out []Target
	late := time.Duration(0)
	for _, t := range r.targets {
		out = append(out, t.Target)
		if t.web() {
			r.web++
		}
		if late == 0 || t.late(m.probes) < late {
			late = t.late(m.probes)
		}
	}
	r.lateAt = now.Add(late)
	m.rounds = append(m.rounds, r)
	return r.seq, out
}

// urgent tells whether the link is suspected now.
func (m *Machine) urgent() bool {
	return m.suspect() || slices.ContainsFunc(m.rounds, func(r *round) bool { return r.open(m.lastGood) })
}

// choose picks a round's targets: all of them when something is to be found out, else one, to spare metered links.
func (m *Machine) choose(now time.Time, urgent bool) []*target {
	usable := m.usableTargets()
	if urgent || !m.verdict.State.Usable() || m.dearAt.IsZero() || now.Sub(m.dearAt) >= m.dearInterval() {
		m.dearAt = now
		return usable
	}
	regular := slices.DeleteFunc(slices.Clone(usable), func(t *target) bool { return !t.cheap() || !t.speaks() })
	if len(regular) == 0 {
		regular = slices.DeleteFunc(slices.Clone(usable), func(t *target) bool { return !t.speaks() })
	}
	if len(regular) == 0 {
		regular = usable
	}
	m.turn++
	return []*target{regular[m.turn%len(regular)]}
}

func (m *Machine) dearInterval() time.Duration {
	if m.idle {
		return dearInterval * cmp.Or(m.probes.Idle/m.probes.Interval, 1)
	}
	return dearInterval
}

// usableTargets are those of the families that the link has.
func (m *Machine) usableTargets() []*target {
	return slices.DeleteFunc(slices.Clone(m.targets), func(t *target) bool {
		return t.v6() && !m.physical.IPv6 || !t.v6() && !m.physical.IPv4
	})
}

// Done hands in the result of one probe of a round. received is as in Begin. A round that is not known any more, because
// the link's physical state has changed since, is ignored.
func (m *Machine) Done(now time.Time, seq uint64, res Result, received uint64) {
	i := slices.IndexFunc(m.rounds, func(r *round) bool { return r.seq == seq })
	if i < 0 {
		return
	}
	r := m.rounds[i]
	j := slices.IndexFunc(r.targets, func(t *target) bool { return t.Target == res.Target })
	if j < 0 || r.waiting == 0 {
		return
	}
	t := r.targets[j]
	r.waiting--
	if t.web() {
		r.web--
	}
	m.note(now, r, t, res)
	out := m.outcome(now, r, received)
	if out != undecided {
		r.judged = true
		m.judge(now, r, out)
	}
	if r.waiting == 0 {
		m.rounds = slices.DeleteFunc(m.rounds, func(o *round) bool { return o == r })
		m.noteSilence(r)
	}
}

// web tells whether a round waits for this target before it is called good: the others cannot tell a captive portal.
func (t *target) web() bool { return t.Kind == HTTP && t.speaks() }

// note enters a result into the round, the target and the history.
func (m *Machine) note(now time.Time, r *round, t *target, res Result) {
	speaks := t.speaks()
	s := Sample{At: r.sent, Target: t.Target, Lost: !res.OK && !res.Captive, urgent: r.urgent}
	switch {
	case res.OK:
		s.RTT, s.jitter = res.RTT, (res.RTT - t.rtt.last).Abs()
		if t.rtt.last == 0 {
			s.jitter = 0
		}
		t.rtt.add(res.RTT)
		s.excess = t.usual.excess(r.sent, res.RTT)
		r.ok = true
		m.lastGood = later(m.lastGood, r.sent)
		m.failed = slices.DeleteFunc(m.failed, func(at time.Time) bool { return !at.After(m.lastGood) })
	case res.Captive:
		r.foreign++
	default:
		if now.Sub(r.sent) > m.probes.Timeout+stallTolerance {
			r.stalled = true
			return
		}
		r.missing = append(r.missing, t)
		if !speaks {
			return
		}
	}
	if t.Kind == HTTP && !s.Lost {
		r.pages++
	}
	if !s.Lost {
		t.silent = 0
	}
	m.history.add(s)
}

// noteSilence remembers which targets were silent in a round that others answered: they are at fault, not the link.
func (m *Machine) noteSilence(r *round) {
	if r.ok {
		for _, t := range r.missing {
			t.silent++
		}
	}
}

// outcome says what a round means, as soon as it is certain and once.
func (m *Machine) outcome(now time.Time, r *round, received uint64) outcome {
	switch {
	case r.judged:
		return undecided
	case r.ok && (r.web == 0 || r.waiting == 0) && r.foreign < max(r.pages, 1):
		return good
	case r.waiting > 0:
		return undecided
	case r.foreign > 0:
		return captive
	case r.stalled && m.voids < maxVoids:
		m.voids++
		return void
	case m.alive(now, r, received):
		return void
	}
	m.voids = 0
	return bad
}

// alive tells whether packets that arrive on the device excuse that a round was not answered.
func (m *Machine) alive(now time.Time, r *round, received uint64) bool {
	if !m.verdict.State.Usable() || r.received == 0 || received < r.received+lifePackets {
		return false
	}
	if m.excused.IsZero() {
		m.excused = r.sent
	}
	return now.Sub(m.excused) <= maxExcuse
}
