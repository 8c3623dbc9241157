package link

import (
	"errors"
	"slices"
	"time"
)

// line is the pretended other side of a link: what a target answers to a probe sent at a moment.
type line func(t Target, sent time.Duration) (rtt time.Duration, captive bool, ok bool)

// well answers everything after 20 ms.
func well(Target, time.Duration) (time.Duration, bool, bool) {
	return 20 * time.Millisecond, false, true
}

// during is another line for a span of time.
func during(from, to time.Duration, there, else_ line) line {
	return func(t Target, sent time.Duration) (time.Duration, bool, bool) {
		if sent >= from && sent < to {
			return there(t, sent)
		}
		return else_(t, sent)
	}
}

func silent(Target, time.Duration) (time.Duration, bool, bool) { return 0, false, false }

// login is a captive portal: pings and names pass, the web does not.
func login(t Target, sent time.Duration) (time.Duration, bool, bool) {
	if t.Kind == HTTP {
		return 5 * time.Millisecond, true, false
	}
	return well(t, sent)
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// sim runs a Machine against a line in virtual time.
type sim struct {
	t        failer
	machine  *Machine
	line     line
	start    time.Time
	at       time.Duration
	stall    func(at time.Duration) time.Duration // how long the process stands still from a moment on; may be nil
	received func(at time.Duration) uint64
	physical map[time.Duration]Physical
	pending  []event
	probes   int
	log      []transition
}

type event struct {
	at    time.Duration
	round uint64
	res   Result
}

type transition struct {
	At    time.Duration
	State State
}

var (
	pingA = mustTarget("icmp:198.51.100.1")
	pingB = mustTarget("icmp:[2001:db8::1]")
	nameC = mustTarget("dns:198.51.100.53")
	webD  = mustTarget("http://198.51.100.11/generate_204")
	four  = []Target{pingA, pingB, nameC, webD}
)

func mustTarget(s string) Target {
	t, err := ParseTarget(s)
	if err != nil {
		panic(err)
	}
	return t
}

func newSim(t failer, l line, targets ...Target) *sim {
	p := Probes{Targets: targets}.WithDefaults()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return &sim{t: t, machine: NewMachine(p, Down, start), line: l, start: start,
		received: func(time.Duration) uint64 { return 0 }, physical: map[time.Duration]Physical{}}
}

func (s *sim) now() time.Time { return s.start.Add(s.at) }

func (s *sim) note() {
	st := s.machine.Verdict().State
	last := Down
	if n := len(s.log); n > 0 {
		last = s.log[n-1].State
	}
	if st != last {
		s.log = append(s.log, transition{s.at, st})
	}
}

// run goes on until a moment, from event to event.
func (s *sim) run(until time.Duration) {
	for {
		next := until + 1
		if at, ok := s.machine.Next(s.now()); ok {
			next = max(at.Sub(s.start), s.at)
		}
		if len(s.pending) > 0 {
			next = min(next, s.pending[0].at)
		}
		for at := range s.physical {
			next = min(next, at)
		}
		if next > until {
			s.at = until
			return
		}
		s.at = max(s.at, next)
		if s.stall != nil {
			s.at += s.stall(s.at)
		}
		s.step()
		s.note()
	}
}

func (s *sim) step() {
	for at, p := range s.physical {
		if at <= s.at {
			delete(s.physical, at)
			s.machine.SetPhysical(s.now(), p)
			return
		}
	}
	if len(s.pending) > 0 && s.pending[0].at <= s.at {
		e := s.pending[0]
		s.pending = s.pending[1:]
		s.machine.Done(s.now(), e.round, e.res, s.received(s.at))
		return
	}
	if at, ok := s.machine.Next(s.now()); !ok || at.After(s.now()) {
		return
	}
	round, targets := s.machine.Begin(s.now(), s.received(s.at))
	if len(targets) == 0 {
		s.t.Fatal("a round without targets")
	}
	for _, t := range targets {
		s.probes++
		rtt, captive, ok := s.line(t, s.at)
		e := event{s.at + rtt, round, Result{Target: t, OK: ok, Captive: captive, RTT: rtt}}
		if limit := s.machine.probes.Timeout; !ok && !captive || rtt > limit {
			e = event{s.at + limit, round, Result{Target: t, Err: errors.New("no answer")}}
		}
		s.pending = append(s.pending, e)
	}
	slices.SortStableFunc(s.pending, func(a, b event) int { return int(a.at - b.at) })
}

func (s *sim) state(want State) {
	s.t.Helper()
	if v := s.machine.Verdict(); v.State != want {
		s.t.Fatalf("at %s: %s (%s), want %s; %v", s.at, v.State, v.Reason, want, s.log)
	}
}

var errTest = errors.New("no answer")
