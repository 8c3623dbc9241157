package qos

import (
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// IdleTime is how long a class is kept after its last packet.
const IdleTime = 5 * time.Minute

// demandMemory is the time in which an old measurement loses half of its weight.
const demandMemory = time.Second

// Activity remembers which classes have traffic. It belongs to one goroutine at a time.
type Activity struct{ classes map[Class]*usage }

type usage struct {
	last   time.Time // that somebody used the class
	demand [2]Rate
	at     [2]time.Time // of the measurement before
}

func NewActivity() *Activity { return &Activity{classes: map[Class]*usage{}} }

// Seen tells of a flow: its class is wanted from now on. It reports whether the class is new, so that the caller can
// build the trees at once. Flows without a link or device have no class of their own.
func (a *Activity) Seen(now time.Time, c Class) (fresh bool) {
	if c.Link == 0 || c.Device == 0 {
		return false
	}
	u, ok := a.classes[c]
	if !ok {
		u = &usage{at: [2]time.Time{now, now}}
		a.classes[c] = u
	}
	u.last = now
	return !ok
}

// Measured tells what a class's counters have said since the last time: bytes that left it, and bytes that wait in it now. A
// class that nobody has seen, or that has been forgotten, is left alone.
func (a *Activity) Measured(now time.Time, c Class, d Direction, sent, waiting uint64) {
	u, ok := a.classes[c]
	if !ok {
		return
	}
	span := now.Sub(u.at[d])
	if span <= 0 {
		return // the clock was set back, or this is the same moment: wait for a span that says something
	}
	u.at[d] = now
	if sent+waiting > 0 {
		u.last = now
	}
	measured := float64(sent+waiting) * 8 / span.Seconds()
	weight := span.Seconds() / (span + demandMemory).Seconds()
	u.demand[d] = Rate(float64(u.demand[d])*(1-weight) + min(measured, float64(MaxCapacity))*weight)
}

// Forget drops what is known of a device that is gone.
func (a *Activity) Forget(d flow.DeviceID) {
	for c := range a.classes {
		if c.Device == d {
			delete(a.classes, c)
		}
	}
}

// Demands lists the classes in use, in order of their marks, and forgets those that were idle for IdleTime.
func (a *Activity) Demands(now time.Time) []Demand {
	out := make([]Demand, 0, len(a.classes))
	for c, u := range a.classes {
		if now.Sub(u.last) >= IdleTime {
			delete(a.classes, c)
			continue
		}
		out = append(out, Demand{c, Rates{Up: u.demand[Up], Down: u.demand[Down]}})
	}
	slices.SortFunc(out, func(x, y Demand) int { return x.Class.compare(y.Class) })
	return out
}
