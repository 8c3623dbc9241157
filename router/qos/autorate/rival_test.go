package autorate

import "time"

// rival is a model of the control law of cake-autorate 3.2, written from its published rules and default settings, for one
// direction and its default way to probe (fping: round trips of 6 reflectors, 20 a second, of which half counts as the delay of a
// direction). Rules and names as in its defaults.sh:
//
//   - A reflector's baseline follows its delays: up by 0.001, down by 0.9 of the difference.
//   - A delay of 30 ms above it is one too many; 3 of the last 6 are bufferbloat. Thresholds grow by the time of a packet.
//   - Bufferbloat: the rate times 0.99 to 0.75, as the average of those 6 goes from 30 to 60 ms; then 300 ms nothing.
//   - Load above 75 %, judged every 200 ms: the rate times 1.04 to 1.0, as the average goes from 10 to 30 ms.
//   - Less load: every second 1 % towards the base rate.
type rival struct {
	rate, base, least, most Rate

	baselines map[int]float64 // ms
	deltas    [6]float64
	late      [6]bool
	next      int

	bytes        uint64
	counting     time.Duration
	achieved     Rate
	fresh        bool // achieved has changed since the last climb
	last         time.Time
	bloat, decay time.Time
}

func newRival(start, least, most Rate) *rival {
	return &rival{rate: start, base: start, least: least, most: most, baselines: map[int]float64{}}
}

func (r *rival) step(now time.Time, m Reading) Rate {
	if !r.last.IsZero() {
		r.counting += now.Sub(r.last)
		r.bytes += m.Bytes
	}
	r.last = now
	if r.counting >= 200*time.Millisecond {
		r.achieved = Rate(float64(r.bytes) * 8 / r.counting.Seconds())
		r.bytes, r.counting, r.fresh = 0, 0, true
	}
	for _, a := range m.Answers {
		if !a.Lost {
			r.answer(now, a)
		}
	}
	return r.rate
}

func (r *rival) answer(now time.Time, a Answer) {
	delay := float64(a.RTT) / 2 / float64(time.Millisecond)
	baseline, known := r.baselines[a.Reflector]
	if !known {
		baseline = 100
	}
	alpha := 0.9
	if delay >= baseline {
		alpha = 0.001
	}
	baseline = alpha*delay + (1-alpha)*baseline
	r.baselines[a.Reflector] = baseline

	packet := 1514 * 8 * 1000 / float64(r.rate) // ms
	up, threshold, down := 10+packet, 30+packet, 60+packet
	r.deltas[r.next], r.late[r.next] = delay-baseline, delay-baseline > threshold
	r.next = (r.next + 1) % len(r.deltas)
	average, late := 0.0, 0
	for i, d := range r.deltas {
		average += d / float64(len(r.deltas))
		if r.late[i] {
			late++
		}
	}
	quiet := now.Sub(r.bloat) > 300*time.Millisecond
	switch {
	case late >= 3:
		if quiet {
			severity := min(max((average-threshold)/(down-threshold), 0), 1)
			r.rate = part(r.rate, 0.99-severity*(0.99-0.75))
			r.bloat, r.decay = now, now
		}
	case r.achieved > part(r.rate, 0.75):
		if r.fresh && quiet {
			ease := min(max((threshold-average)/(threshold-up), 0), 1)
			r.rate = part(r.rate, 1+ease*0.04)
			r.fresh, r.decay = false, now
		}
	default:
		if now.Sub(r.decay) > time.Second {
			if r.rate > r.base {
				r.rate = max(part(r.rate, 0.99), r.base)
			} else {
				r.rate = min(part(r.rate, 1.01), r.base)
			}
			r.decay = now
		}
	}
	r.rate = min(max(r.rate, r.least), r.most)
}
