package link

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

func TestComesUpAtOnceTheFirstTime(t *testing.T) {
	s := newSim(t, well, four...)
	s.run(100 * ms)
	s.state(Up)
}

func TestSilentDeathIsNoticedInTime(t *testing.T) {
	for _, targets := range [][]Target{{pingA}, {webD}, {pingA, nameC}, four} {
		for off := time.Duration(0); off < 1200*ms; off += 37 * ms {
			death := 40*sec + off
			s := newSim(t, during(death, time.Hour, silent, well), targets...)
			s.run(death - 1)
			s.state(Up)
			limit := s.machine.probes.Detection()
			if limit > 2500*ms {
				t.Fatalf("the defaults allow %s", limit)
			}
			s.run(death + limit)
			s.state(Down)
			if r := s.machine.Verdict().Reason; !strings.Contains(r, "answer") {
				t.Errorf("reason %q", r)
			}
		}
	}
}

// A handover of a mobile link or a route replaced: a second of silence is no death.
func TestShortGapIsNoDeath(t *testing.T) {
	for off := time.Duration(0); off < 1200*ms; off += 37 * ms {
		s := newSim(t, during(40*sec+off, 41*sec+off, silent, well), four...)
		s.run(60 * sec)
		if len(s.log) != 1 {
			t.Errorf("a gap of a second from %s on: %v", 40*sec+off, s.log)
		}
	}
}

func TestComesBackAfterProof(t *testing.T) {
	s := newSim(t, during(40*sec, 60*sec, silent, well), four...)
	s.run(62 * sec)
	s.state(Down) // two seconds are not yet proven
	s.run(64 * sec)
	s.state(Up)
}

func TestOneGoodRoundIsNoProof(t *testing.T) {
	flicker := during(50*sec, 51200*ms, well, during(55*sec, 56500*ms, well, silent))
	s := newSim(t, during(40*sec, 100*sec, flicker, well), four...)
	s.run(99 * sec)
	if diff := cmp.Diff(2, len(s.log)); diff != "" {
		t.Errorf("transitions %v", s.log)
	}
	s.state(Down)
}

func TestFlappingIsHeldBack(t *testing.T) {
	p := Probes{}.WithDefaults()
	// Four seconds dead, eight seconds alive, for ten minutes.
	s := newSim(t, func(tg Target, sent time.Duration) (time.Duration, bool, bool) {
		if sent%(12*sec) < 4*sec && sent > 10*sec {
			return silent(tg, sent)
		}
		return well(tg, sent)
	}, four...)
	s.run(10 * time.Minute)
	ups := 0
	for _, tr := range s.log {
		if tr.State == Up {
			ups++
		}
	}
	// The first time, the allowed ones and a few with a growing wait: then eight seconds are too short a proof, until the
	// flaps are forgotten.
	if ups > 3*(p.FlapsAllowed+3) {
		t.Errorf("came up %d times in ten minutes: %v", ups, s.log)
	}
}

func TestCarrierAndAddressActAtOnce(t *testing.T) {
	s := newSim(t, well, four...)
	s.physical[10*sec] = Physical{IPv4: true, IPv6: true}
	s.physical[20*sec] = Physical{Carrier: true}
	s.physical[30*sec] = Physical{Carrier: true, IPv4: true}
	s.run(10*sec + 1)
	s.state(Down)
	if r := s.machine.Verdict().Reason; !strings.Contains(r, "no carrier") {
		t.Error(r)
	}
	probes := s.probes
	s.run(21 * sec)
	if r := s.machine.Verdict().Reason; !strings.Contains(r, "no address") {
		t.Error(r)
	}
	s.run(29 * sec)
	if s.probes != probes {
		t.Error("probes were sent over a link without carrier or address")
	}
	s.run(31 * sec)
	s.state(Down)
	s.run(33 * sec)
	s.state(Up)
}

func TestOnlyFamiliesThatTheLinkHasAreAsked(t *testing.T) {
	s := newSim(t, func(tg Target, sent time.Duration) (time.Duration, bool, bool) {
		if tg == pingB {
			t.Error("an IPv6 target was asked")
		}
		return well(tg, sent)
	}, four...)
	s.machine.SetPhysical(s.now(), Physical{Carrier: true, IPv4: true})
	s.run(time.Minute)
	s.state(Up)
}

func TestDeadTargetIsNotADeadLink(t *testing.T) {
	s := newSim(t, func(tg Target, sent time.Duration) (time.Duration, bool, bool) {
		if sent > 10*sec && (tg == nameC || tg == webD) {
			return silent(tg, sent)
		}
		return well(tg, sent)
	}, four...)
	s.run(10 * time.Minute)
	if diff := cmp.Diff([]transition{{20 * ms, Up}}, s.log); diff != "" {
		t.Error(diff)
	}
	if st := s.machine.Stats(); st.Loss > 0.05 {
		t.Errorf("loss %v", st.Loss)
	}
}

func TestCaptive(t *testing.T) {
	s := newSim(t, during(0, 60*sec, login, during(120*sec, 180*sec, login, well)), four...)
	s.run(5 * sec)
	s.state(Captive)
	s.run(60 * sec)
	s.state(Captive)
	s.run(64 * sec)
	s.state(Up)
	s.run(120*sec + dearInterval + 2*sec)
	s.state(Captive)
	s.run(185 * sec)
	s.state(Up)
	s = newSim(t, during(5*sec, time.Hour, silent, login), four...)
	s.run(9 * sec)
	s.state(Down)
}

func TestDegradedByLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	lossy := func(share float64) line {
		return func(tg Target, sent time.Duration) (time.Duration, bool, bool) {
			if rng.Float64() < share {
				return silent(tg, sent)
			}
			return well(tg, sent)
		}
	}
	s := newSim(t, during(2*time.Minute, 5*time.Minute, lossy(0.25), well), four...)
	s.run(2 * time.Minute)
	s.state(Up)
	s.run(4 * time.Minute)
	s.state(Degraded)
	s.run(7 * time.Minute)
	s.state(Up)
	if len(s.log) > 8 {
		t.Errorf("many transitions: %v", s.log)
	}
	// A mobile link's ordinary loss is nothing.
	s = newSim(t, lossy(0.005), four...)
	s.run(6 * time.Hour)
	if len(s.log) > 1 {
		t.Errorf("half a percent of loss: %v", s.log)
	}
}

func TestDegradedByDelay(t *testing.T) {
	slow := func(Target, time.Duration) (time.Duration, bool, bool) { return 600 * ms, false, true }
	s := newSim(t, during(time.Minute, 2*time.Minute, slow, well), four...)
	s.run(100 * sec)
	s.state(Degraded)
	s.run(150 * sec)
	s.state(Up)
	for _, tr := range s.log {
		if tr.State == Down {
			t.Errorf("went down: %v", s.log)
		}
	}
}

func TestOwnStallIsNoFailure(t *testing.T) {
	s := newSim(t, well, four...)
	s.machine.probes.FailCount = 1 // a single failure would be enough
	stalled := false
	s.stall = func(at time.Duration) time.Duration {
		if at > 30*sec && !stalled {
			stalled = true
			// What was in flight is lost: its timeouts are noticed when the process runs again.
			for i := range s.pending {
				s.pending[i].res = Result{Target: s.pending[i].res.Target, Err: errTest}
			}
			return 10 * sec
		}
		return 0
	}
	s.run(2 * time.Minute)
	if len(s.log) != 1 {
		t.Errorf("%v", s.log)
	}
	if s.machine.Stats().Loss != 0 {
		t.Error("the stall is counted as loss")
	}
}

func TestEndlessStallsDoNotHideDeath(t *testing.T) {
	s := newSim(t, during(30*sec, time.Hour, silent, well), four...)
	s.stall = func(at time.Duration) time.Duration {
		if at > 20*sec {
			return 600 * ms
		}
		return 0
	}
	s.run(90 * sec)
	s.state(Down)
}

func TestArrivingPacketsExcuseForAWhile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		rate    uint64 // packets/s
		outage  time.Duration
		want    State
		noLater time.Duration
	}{
		{"a full queue", 1000, 2500 * ms, Up, 0},
		{"a babbling neighbour", 1000, time.Hour, Down, 9 * sec},
		{"a few broadcasts", 5, time.Hour, Down, 2500 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, during(30*sec, 30*sec+tt.outage, silent, well), pingA, pingB)
			s.received = func(at time.Duration) uint64 { return 1000 + uint64(at)*tt.rate/uint64(sec) }
			s.run(30*sec + max(tt.noLater, 5*sec))
			s.state(tt.want)
			for _, tr := range s.log {
				if tt.want != Down && tr.State == Down {
					t.Errorf("%v", s.log)
				}
			}
		})
	}
}

func TestProbesAreSparing(t *testing.T) {
	s := newSim(t, well, four...)
	s.run(time.Hour)
	if s.probes > 3600+4*121 {
		t.Errorf("%d probes in a well hour", s.probes)
	}
	s = newSim(t, well, four...)
	s.machine.SetIdle(true)
	s.run(time.Hour)
	if s.probes > 420 {
		t.Errorf("%d probes in an idle hour", s.probes)
	}
	before := s.probes
	s.machine.SetIdle(false)
	s.run(s.at + 1100*ms)
	if n := s.probes - before; n < 1 {
		t.Error("not looked at when needed again")
	}
}

func TestOneLostProbeCostsOneRound(t *testing.T) {
	run := func(l line) int {
		s := newSim(t, l, four...)
		s.run(25 * sec)
		return s.probes
	}
	lost := 0
	one := func(tg Target, sent time.Duration) (time.Duration, bool, bool) {
		if sent > 10*sec && lost == 0 {
			lost++
			return silent(tg, sent)
		}
		return well(tg, sent)
	}
	if extra := run(one) - run(well); lost != 1 || extra < 3 || extra > 4 {
		t.Errorf("a lost probe cost %d more", extra)
	}
}

func TestAssumedUp(t *testing.T) {
	s := newSim(t, silent, four...)
	s.machine = NewMachine(s.machine.probes, Up, s.start)
	s.run(500 * ms)
	s.state(Up)
	s.run(3 * sec)
	s.state(Down)
}

// Whatever the line and the cable do: the state is one the physical condition allows, a link does not come up faster than its hold
// allows, what is usable has answered lately, and memory is bounded.
func TestMachineKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type span struct {
			length time.Duration
			line   line
			phys   Physical
		}
		var spans []span
		total := time.Duration(0)
		for range rapid.IntRange(1, 12).Draw(t, "spans") {
			sp := span{length: time.Duration(rapid.IntRange(50, 20000).Draw(t, "ms")) * ms, phys: Physical{true, true, true}}
			sp.line = rapid.SampledFrom([]line{well, silent, login}).Draw(t, "line")
			if rapid.IntRange(0, 4).Draw(t, "physical") == 0 {
				sp.phys = Physical{rapid.Bool().Draw(t, "carrier"), rapid.Bool().Draw(t, "v4"), rapid.Bool().Draw(t, "v6")}
			}
			spans = append(spans, sp)
			total += sp.length
		}
		targets := four[:rapid.IntRange(1, 4).Draw(t, "targets")]
		lastAnswer := time.Duration(-1)
		s := newSim(t, func(tg Target, sent time.Duration) (time.Duration, bool, bool) {
			at := time.Duration(0)
			for _, sp := range spans {
				if at += sp.length; sent < at {
					rtt, captive, ok := sp.line(tg, sent)
					if ok {
						lastAnswer = sent
					}
					return rtt, captive, ok
				}
			}
			return 0, false, false
		}, targets...)
		at := time.Duration(0)
		var phys Physical
		var downs []time.Duration
		up := 0
		for _, sp := range spans {
			s.machine.SetPhysical(s.now(), sp.phys)
			phys = sp.phys
			s.note()
			for end := at + sp.length; at < end; {
				at = min(at+100*ms, end)
				logged := len(s.log)
				s.run(at)
				st := s.machine.Verdict().State
				if !phys.ready() && st != Down {
					t.Fatalf("%s without carrier or address", st)
				}
				if st.Usable() && lastAnswer >= 0 && s.at-lastAnswer > s.machine.probes.Detection()+100*ms {
					t.Fatalf("at %s usable, the last answer was to a probe at %s: %v", s.at, lastAnswer, s.log)
				}
				for _, tr := range s.log[logged:] {
					if tr.State.Usable() {
						if up++; len(downs) > 0 && up > 1 && tr.At-downs[len(downs)-1] < s.machine.probes.Hold {
							t.Fatalf("up again after %s: %v", tr.At-downs[len(downs)-1], s.log)
						}
					} else {
						downs = append(downs, tr.At)
					}
				}
			}
			if len(s.machine.rounds) > 20 || len(s.machine.failed) > 20 || len(s.machine.flaps) > 100 || len(s.machine.history.samples) > maxSamples {
				t.Fatalf("%d rounds, %d failed, %d flaps", len(s.machine.rounds), len(s.machine.failed), len(s.machine.flaps))
			}
		}
	})
}

// TestStatsBeginWithTheFirstAnswer: losses from before a link's first answer are not its figures; later ones are.
func TestStatsBeginWithTheFirstAnswer(t *testing.T) {
	s := newSim(t, during(0, 20*sec, silent, during(40*sec, 50*sec, silent, well)), four...)
	s.run(19 * time.Second)
	if st := s.machine.Stats(); st.Loss != 1 {
		t.Errorf("never up: loss %v, want all", st.Loss)
	}
	s.run(30 * time.Second)
	s.state(Up)
	if st := s.machine.Stats(); st.Loss != 0 || st.RTT == 0 {
		t.Errorf("in use: loss %v, RTT %v, want no loss and a time", st.Loss, st.RTT)
	}
	s.run(70 * time.Second)
	s.state(Up)
	if st := s.machine.Stats(); st.Loss == 0 {
		t.Error("back after an outage: no loss, want that of the outage")
	}
}
