package link

import (
	"cmp"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Config is a WAN link as the household described it.
type Config struct {
	Name    string
	ID      flow.LinkID
	Device  string
	Role    flow.Role
	Weight  int // share among links of the same role
	Metered bool
	Quota   Quota
	Rate    Rate
	Probes  Probes
}

// Rate is what the line can carry, in bit/s; 0 is "not said".
type Rate struct{ Down, Up uint64 }

// Probes says how the link's health is found out. The zero value of each field stands for its default.
type Probes struct {
	Interval     time.Duration // between rounds while all is well; 1 s
	Idle         time.Duration // between rounds while the link is idle (see Monitor.SetIdle) and well; 10 intervals
	Targets      []Target      // at least one
	Timeout      time.Duration // for an answer; 800 ms
	FailCount    int           // rounds without any answer until the link is down; 3
	RecoverCount int           // good rounds in a row until it is up again; 3
	Hold         time.Duration // least time over which they must be good; 2 s
	MaxHold      time.Duration // that time doubles with every flap beyond FlapsAllowed, up to this; 60 s
	FlapsAllowed int           // times that a link may go down within FlapWindow without penalty; 3
	FlapWindow   time.Duration // 5 min
	BadLoss      float64       // share of lost probes in the last minute from which the link is degraded; 0.1
	BadDelay     time.Duration // median delay above the usual one from which the link is degraded; 400 ms
}

// WithDefaults fills in what is not said.
func (p Probes) WithDefaults() Probes {
	p.Interval = cmp.Or(p.Interval, time.Second)
	p.Idle = cmp.Or(p.Idle, 10*p.Interval)
	p.Timeout = cmp.Or(p.Timeout, 800*time.Millisecond)
	p.FailCount = cmp.Or(p.FailCount, 3)
	p.RecoverCount = cmp.Or(p.RecoverCount, 3)
	p.Hold = cmp.Or(p.Hold, 2*time.Second)
	p.MaxHold = cmp.Or(p.MaxHold, max(time.Minute, p.Hold))
	p.FlapsAllowed = cmp.Or(p.FlapsAllowed, 3)
	p.FlapWindow = cmp.Or(p.FlapWindow, 5*time.Minute)
	p.BadLoss = cmp.Or(p.BadLoss, 0.1)
	p.BadDelay = cmp.Or(p.BadDelay, 400*time.Millisecond)
	return p
}

// Validate checks a Probes with its defaults filled in; the error says which value and what would be right.
func (p Probes) Validate() error {
	between := func(what string, d, low, high time.Duration) error {
		if d < low || d > high {
			return fmt.Errorf("probes: %s is %s: use %s to %s", what, d, low, high)
		}
		return nil
	}
	number := func(what string, n, low, high int) error {
		if n < low || n > high {
			return fmt.Errorf("probes: %s is %d: use %d to %d", what, n, low, high)
		}
		return nil
	}
	if p.BadLoss < 0.01 || p.BadLoss > 1 {
		return fmt.Errorf("probes: bad loss is %g: use 0.01 to 1", p.BadLoss)
	}
	if len(p.Targets) == 0 {
		return fmt.Errorf("probes: no targets: name at least one, better three, for example icmp:198.51.100.1")
	}
	return cmp.Or(
		number("the number of targets", len(p.Targets), 1, 16),
		between("interval", p.Interval, 100*time.Millisecond, time.Minute),
		between("idle interval", p.Idle, p.Interval, time.Hour),
		between("timeout", p.Timeout, 50*time.Millisecond, 10*time.Second),
		number("fail count", p.FailCount, 1, 20),
		number("recover count", p.RecoverCount, 1, 100),
		between("hold", p.Hold, 0, time.Hour),
		between("longest hold", p.MaxHold, p.Hold, 24*time.Hour),
		number("allowed flaps", p.FlapsAllowed, 1, 100),
		between("flap window", p.FlapWindow, p.Hold, 24*time.Hour),
		between("bad delay", p.BadDelay, time.Millisecond, time.Minute),
	)
}

// late is how long an answer may take until the link is suspected, when nothing is known about its usual delay.
func (p Probes) late() time.Duration { return p.Timeout / 2 }

// spacing is the time between the rounds that confirm a suspicion.
func (p Probes) spacing() time.Duration { return max(p.Interval/5, p.Timeout/4) }

// Detection is the longest time from the silent death of a link that is in use to the state Down: the wait for the next
// round, for the suspicion, for the rounds that confirm it to be sent, and for the last one to time out. 2.4 s by default.
func (p Probes) Detection() time.Duration {
	p = p.WithDefaults()
	d := p.Interval + p.Timeout
	if p.FailCount > 1 {
		d += p.late() + time.Duration(p.FailCount-2)*p.spacing()
	}
	return d
}
