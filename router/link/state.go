package link

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is what a link is good for.
type State uint8

const (
	Down     State = iota // carries nothing, or has not proved itself yet
	Up                    // well
	Degraded              // works, with loss or delay
	Captive               // something in between answers in the internet's place: a login page
)

func (s State) String() string {
	return [...]string{"down", "up", "degraded", "captive"}[min(s, Captive)]
}

// Usable tells whether new flows may take the link.
func (s State) Usable() bool { return s == Up || s == Degraded }

// Physical is what the link stands on. It changes by events and acts at once.
type Physical struct {
	Carrier    bool // the device exists, is up and has a peer
	IPv4, IPv6 bool // there is an address and a way out of that family
}

func (p Physical) ready() bool { return p.Carrier && (p.IPv4 || p.IPv6) }

// Verdict is the state of a link with its reason.
type Verdict struct {
	State  State
	Since  time.Time
	Reason string // in plain words
}

// Machine is the state machine of one link: probe rounds and physical events go in, a Verdict comes out. It is
// pure: it does not probe and has no clock. The caller asks Next when to probe, says Begin when it does, and hands every
// answer or timeout to Done. It is not safe for concurrent use.
//
// # How death is found
//
// While all is well one cheap target is asked in each interval, in turn. An answer that is late makes the link suspect:
// now all targets are asked, every fifth of an interval, without waiting for timeouts. A single answer to any of them ends
// the suspicion, whatever is still unanswered before it. When FailCount rounds sent after the last sign of life have timed
// out, the link is down; see Probes.Detection. So a gap shorter than about that time less an interval (a roaming
// radio, a route replaced) does not bring it down.
//
// Two things excuse a failed round. A timeout that was noticed too late says that this process stood still, not the link:
// the round is void. And when packets kept arriving on the device while the round waited, its answers may stand in
// a long queue: the round counts as loss alone. Both excuses have an end, so that a busy machine or a
// babbling neighbour does not keep a dead link alive.
//
// # How a link comes back
//
// By RecoverCount good rounds in a row over at least Hold; the first time at all, one good round suffices. A link that went down
// more than FlapsAllowed times within FlapWindow must hold twice as long for each time beyond, up to MaxHold.
type Machine struct {
	probes   Probes
	targets  []*target
	physical Physical
	idle     bool
	verdict  Verdict

	seq      uint64
	rounds   []*round  // in flight, oldest first
	lastSent time.Time // zero: send at once
	turn     int       // for the rotation of cheap targets
	dearAt   time.Time // when the dear ones were asked last

	lastGood time.Time   // when the latest round with an answer was sent
	failed   []time.Time // when rounds were sent that failed after lastGood
	captive  int         // captive rounds in a row
	voids    int         // void rounds in a row
	excused  time.Time   // since when failed rounds have been excused by arriving packets; zero: not
	streak   int         // good rounds in a row while not usable
	streakAt time.Time   // when the first of them was sent
	proven   bool        // has been up before
	flaps    []time.Time // when it went out of use

	usableSince time.Time
	firstGood   time.Time // when the round was sent that brought it into use for the first time

	history History
}

const (
	// A timeout noticed this late is our own stall.
	stallTolerance = 500 * time.Millisecond
	maxVoids       = 3
	// This many packets on the device while a round waits are a sign of life, for this long.
	lifePackets = 10
	maxExcuse   = 3 * time.Second
	// Targets that cost more than a few hundred bytes are asked this often while all is well.
	dearInterval = 30 * time.Second
	// A target that stayed silent this often while others answered is asked with the dear ones.
	silentAfter = 3
	// Captive rounds in a row that make a link captive.
	captiveRounds = 2
)

// NewMachine is a link at the moment now, in the state that is assumed of it: Down for one that must show itself, Up
// for one that was in use when the daemon stopped. probes has its defaults filled in and is valid.
func NewMachine(probes Probes, assumed State, now time.Time) *Machine {
	m := &Machine{probes: probes, verdict: Verdict{State: assumed, Since: now, Reason: "no probe has been answered yet"}}
	if assumed.Usable() {
		m.proven, m.lastGood, m.usableSince = true, now, now
		m.verdict.Reason = "was in use before the start"
	}
	m.physical = Physical{Carrier: true, IPv4: true, IPv6: true}
	for _, t := range probes.Targets {
		m.targets = append(m.targets, &target{Target: t})
	}
	return m
}

// Verdict is the present state.
func (m *Machine) Verdict() Verdict { return m.verdict }

// SetIdle says whether the link is out of use, so that its probes may be rare while it is well. A link that is
// needed again is due at once if the last probe is older than an interval.
func (m *Machine) SetIdle(idle bool) { m.idle = idle }

// SetPhysical hands in what the link stands on.
func (m *Machine) SetPhysical(now time.Time, p Physical) {
	was := m.physical
	m.physical = p
	if was == p {
		return
	}
	m.lastSent = time.Time{} // look at once
	if !was.ready() || !p.ready() || len(m.usableTargets()) == 0 {
		// What is in flight was sent under other conditions and says nothing about these. Where only a family comes or
		// goes, doubts stay: an unsteady one must not hide the death of the other.
		m.rounds, m.failed, m.captive, m.streak, m.excused = nil, nil, 0, 0, time.Time{}
	}
	switch {
	case !p.Carrier:
		m.become(now, Down, "no carrier: the cable is unplugged or the far end is off")
	case !p.ready():
		m.become(now, Down, "no address or no way out")
	case len(m.usableTargets()) == 0:
		m.become(now, Down, "no probe target is of an address family that the link has: name one of IPv4 or IPv6")
	case !was.ready():
		m.become(now, Down, "connected, but no probe has been answered yet")
	}
}

// Stats are the figures of the last minute or so. They begin with the first answer: what was lost before, without an address or
// a route yet, was no loss of the link that is there now.
func (m *Machine) Stats() Stats { return m.history.Stats(m.firstGood) }

// become changes the state; Since moves only when the state does.
func (m *Machine) become(now time.Time, s State, reason string) {
	was := m.verdict.State
	if was.Usable() && !s.Usable() {
		m.flaps = append(m.flaps, now)
	}
	if !was.Usable() && s.Usable() {
		if !m.proven {
			m.firstGood = m.lastGood
		}
		m.proven, m.usableSince = true, now
	}
	if was != s {
		m.failed, m.captive, m.streak, m.excused = nil, 0, 0, time.Time{}
		m.verdict.Since = now
	}
	m.verdict.State, m.verdict.Reason = s, reason
}

// hold is how long a link must be good until it is up again.
func (m *Machine) hold(now time.Time) time.Duration {
	m.flaps = slices.DeleteFunc(m.flaps, func(f time.Time) bool { return now.Sub(f) >= m.probes.FlapWindow })
	hold := m.probes.Hold
	for range len(m.flaps) - m.probes.FlapsAllowed {
		hold = min(max(2*hold, time.Second), m.probes.MaxHold)
	}
	return hold
}

// judge draws the conclusions of a round whose outcome is certain.
func (m *Machine) judge(now time.Time, r *round, out outcome) {
	switch out {
	case good:
		m.captive, m.voids, m.excused = 0, 0, time.Time{}
		if m.verdict.State.Usable() {
			m.quality(now)
		} else {
			m.prove(now, r)
		}
	case captive:
		m.streak, m.voids = 0, 0
		if m.captive++; m.captive >= captiveRounds && m.verdict.State != Captive {
			m.become(now, Captive, "a login page answers instead of the internet")
		}
	case bad:
		if m.verdict.State == Down {
			if m.streak > 0 {
				m.verdict.Reason = m.silence(now)
			}
			m.streak = 0
			return
		}
		m.streak, m.captive = 0, 0
		if r.sent.After(m.lastGood) {
			m.failed = append(m.failed, r.sent)
		}
		if len(m.failed) >= m.probes.FailCount {
			m.become(now, Down, m.silence(now))
		}
	}
}

func (m *Machine) silence(now time.Time) string {
	what := fmt.Sprintf("none of %d probe targets answers", len(m.targets))
	if len(m.targets) == 1 {
		what = m.targets[0].String() + " does not answer"
	}
	if !m.lastGood.IsZero() {
		what += fmt.Sprintf("; the last that was answered was sent %s ago", now.Sub(m.lastGood).Round(100*time.Millisecond))
	}
	return what
}

// prove counts a good round of a link that is not in use.
func (m *Machine) prove(now time.Time, r *round) {
	if m.streak == 0 {
		m.streakAt = r.sent
	}
	m.streak++
	hold, shown := m.hold(now), now.Sub(m.streakAt)
	switch {
	case !m.proven, m.streak >= m.probes.RecoverCount && shown >= hold:
		m.become(now, Up, "probes are answered")
	case m.verdict.State == Down:
		m.verdict.Reason = fmt.Sprintf("proving itself: good for %s, %s are needed", shown.Round(100*time.Millisecond), hold)
	}
}

// quality moves between Up and Degraded. A link gets well again at half of what made it ill.
func (m *Machine) quality(now time.Time) {
	loss, sent := m.history.loss(m.usableSince)
	delay := m.history.delay(m.usableSince)
	lossLimit, delayLimit := m.probes.BadLoss, m.probes.BadDelay
	if m.verdict.State == Degraded {
		lossLimit, delayLimit = lossLimit/2, delayLimit/2
	}
	var ill []string
	if sent >= lossSample && loss >= lossLimit {
		ill = append(ill, fmt.Sprintf("%.0f %% of the last %d probes were lost", 100*loss, sent))
	}
	if delay >= delayLimit {
		ill = append(ill, fmt.Sprintf("answers take %s longer than usual", delay.Round(time.Millisecond)))
	}
	switch {
	case len(ill) > 0:
		m.become(now, Degraded, strings.Join(ill, " and "))
	case m.verdict.State == Degraded:
		m.become(now, Up, "probes are answered")
	}
}
