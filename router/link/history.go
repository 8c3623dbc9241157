package link

import (
	"slices"
	"time"
)

// Sample is the result of one probe.
type Sample struct {
	At     time.Time // when it was sent
	Target Target
	RTT    time.Duration // 0 when lost or when a login page answered
	Lost   bool

	urgent bool          // sent in a suspicion
	jitter time.Duration // difference to the target's answer before
	excess time.Duration // over the target's usual delay
}

// Minute is the sum of the samples of one minute. Delays are 0 when no probe was answered.
type Minute struct {
	Start      time.Time
	Sent, Lost int
	Min, Max   time.Duration
	Mean       time.Duration
	Jitter     time.Duration // mean difference between one answer of a target and its next

	timed time.Duration // answers with a delay
}

// Stats are the figures of the last 60 probes.
type Stats struct {
	RTT, Jitter time.Duration // means; 0 when nothing was answered
	Loss        float64       // 0 to 1
}

const (
	maxSamples  = 1200 // five minutes and more, even while all targets are asked every second
	keepSamples = 5 * time.Minute
	maxMinutes  = 24 * 60
	statsWindow = 60
	lossSample  = 30 // fewer probes say nothing about loss
	delaySample = 10
)

// History keeps what probes found: each for five minutes, sums by the minute for a day. Its size is bounded.
type History struct {
	samples []Sample
	minutes []Minute // the last one is growing
}

func (h *History) add(s Sample) {
	if len(h.samples) >= maxSamples {
		h.samples = slices.Delete(h.samples, 0, maxSamples/4)
	}
	h.samples = append(h.samples, s)
	h.minute(s.At.Truncate(time.Minute)).add(s)
}

// minute finds or begins a minute. A probe that timed out is entered after those sent later, so it may belong to the last
// minute but one. A clock that was set back begins a new minute before the others.
func (h *History) minute(start time.Time) *Minute {
	for i := len(h.minutes) - 1; i >= max(0, len(h.minutes)-2); i-- {
		if h.minutes[i].Start.Equal(start) {
			return &h.minutes[i]
		}
	}
	if len(h.minutes) >= maxMinutes {
		h.minutes = slices.Delete(h.minutes, 0, 60)
	}
	h.minutes = append(h.minutes, Minute{Start: start})
	return &h.minutes[len(h.minutes)-1]
}

func (m *Minute) add(s Sample) {
	m.Sent++
	if s.Lost {
		m.Lost++
	}
	if s.RTT == 0 {
		return
	}
	m.timed++
	m.Mean += (s.RTT - m.Mean) / m.timed
	m.Jitter += (s.jitter - m.Jitter) / m.timed
	m.Max = max(m.Max, s.RTT)
	if m.Min == 0 || s.RTT < m.Min {
		m.Min = s.RTT
	}
}

// recent are the last samples, at most n and none sent before since.
func (h *History) recent(since time.Time, n int) []Sample {
	tail := h.samples[max(0, len(h.samples)-n):]
	for len(tail) > 0 && tail[0].At.Before(since) {
		tail = tail[1:]
	}
	return tail
}

// loss is the share of lost probes since a moment, and of how many, up to statsWindow. Two kinds of losses do not count.
// Probes sent in a suspicion are many and come just when others are lost: they would turn a gap of a second into a tenth of
// a minute. And silence at the end of a target's record may be the target's, which says nothing about the link; when it
// speaks again, the gap does count.
func (h *History) loss(since time.Time) (share float64, sent int) {
	spoken := map[Target]bool{}
	lost := 0
	for i := len(h.samples) - 1; i >= 0 && sent < statsWindow && !h.samples[i].At.Before(since); i-- {
		switch s := h.samples[i]; {
		case !s.Lost:
			spoken[s.Target] = true
			if !s.urgent {
				sent++
			}
		case spoken[s.Target] && !s.urgent:
			lost++
			sent++
		}
	}
	return float64(lost) / float64(max(sent, 1)), sent
}

// delay is the median of how much longer than usual the last answers took; 0 while there are too few.
func (h *History) delay(since time.Time) time.Duration {
	var d []time.Duration
	for _, s := range h.recent(since, 2*delaySample) {
		if s.RTT > 0 {
			d = append(d, s.excess)
		}
	}
	if len(d) < delaySample {
		return 0
	}
	d = slices.Clone(d[len(d)-delaySample:])
	slices.Sort(d)
	return d[delaySample/2]
}

// Stats are the figures of the last minute or so, since a moment.
func (h *History) Stats(since time.Time) Stats {
	var m Minute
	for _, s := range h.recent(since, statsWindow) {
		m.add(s)
	}
	return Stats{RTT: m.Mean, Jitter: m.Jitter, Loss: float64(m.Lost) / float64(max(m.Sent, 1))}
}

// Samples copies the probes of the last five minutes, oldest first.
func (h *History) Samples(now time.Time) []Sample {
	i := slices.IndexFunc(h.samples, func(s Sample) bool { return now.Sub(s.At) <= keepSamples })
	if i < 0 {
		return nil
	}
	return slices.Clone(h.samples[i:])
}

// Minutes copies the sums by the minute, oldest first, for a day at most. Minutes without a probe are missing.
func (h *History) Minutes() []Minute { return slices.Clone(h.minutes) }

// baseline is the usual delay of a target: the least of the last hour, kept as the least of each of its ten-minute spans.
type baseline struct {
	least [6]time.Duration
	span  int64
}

// excess enters a delay and tells how far it is above the usual.
func (b *baseline) excess(at time.Time, rtt time.Duration) time.Duration {
	const spanLength = 10 * 60             // seconds
	span := max(at.Unix(), 0) / spanLength // a clock may stand before 1970
	if gap := span - b.span; gap != 0 {
		for i := range min(max(gap, 0), int64(len(b.least))) {
			b.least[(span-i)%int64(len(b.least))] = 0
		}
		b.span = span
	}
	here := &b.least[span%int64(len(b.least))]
	if *here == 0 || rtt < *here {
		*here = rtt
	}
	usual := rtt
	for _, d := range b.least {
		if d > 0 {
			usual = min(usual, d)
		}
	}
	return rtt - usual
}
