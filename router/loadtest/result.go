package loadtest

import (
	"slices"
	"time"
)

// Phase is what a test does to the link.
type Phase string

const (
	Idle Phase = "idle" // nothing: how long pings take without a load
	Down Phase = "down"
	Up   Phase = "up"
)

// Point is a quarter of a second of a test.
type Point struct {
	At    time.Duration `json:"at"` // its end, since the begin of the test
	Phase Phase         `json:"phase"`
	Rate  uint64        `json:"rate"`            // bit/s that the link carried in the phase's direction; while idle, down
	Delay time.Duration `json:"delay,omitempty"` // median of the pings that were answered in it; 0: none
	Worst time.Duration `json:"worst,omitempty"`
	Lost  int           `json:"lost,omitempty"` // pings that were given up in it
}

// Load is what a phase came to, without its first quarter, in which connections gather speed.
type Load struct {
	Rate     uint64        `json:"rate"`   // bit/s
	Median   time.Duration `json:"median"` // of the pings' delay
	P95      time.Duration `json:"p95"`
	Pings    int           `json:"pings"` // answered
	LostPart float64       `json:"lost"`  // of all pings, 0 to 1
}

// Result is what a test found out. A direction that was not tested is zero.
type Result struct {
	Idle   Load    `json:"idle"`
	Down   Load    `json:"down"`
	Up     Load    `json:"up"`
	Grade  string  `json:"grade"`  // A+ to F, see Grade
	Probes string  `json:"probes"` // "icmp", or "tcp" where the server answers no pings
	Points []Point `json:"points"`
}

// Added is how much longer a ping takes under the worse of the loads: the 95th percentile there less the median without one.
func (r Result) Added() time.Duration {
	return max(0, max(r.Down.P95, r.Up.P95)-r.Idle.Median)
}

// grades are the bounds in general use for delay under load.
var grades = [...]struct {
	below time.Duration
	name  string
}{{5 * time.Millisecond, "A+"}, {30 * time.Millisecond, "A"}, {60 * time.Millisecond, "B"}, {200 * time.Millisecond, "C"}, {400 * time.Millisecond, "D"}}

// Grade names how much a load adds to the delay: A+ below 5 ms, A below 30, B below 60 (calls are still good), C below 200, D below 400, F beyond.
func Grade(added time.Duration) string {
	for _, g := range grades {
		if added < g.below {
			return g.name
		}
	}
	return "F"
}

// percentile is the value below which that part of the values lies; 0 of none.
func percentile(values []time.Duration, part float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}
