package autorate

import (
	"slices"
	"time"
)

// history is what passed of late: how many bytes had passed at a moment since the beginning.
type history struct{ marks []mark }

type mark struct {
	at    time.Time
	total uint64
}

// remembers is how long a history is: as old as the probes can be whose answers come in now.
const remembers = 5 * time.Second

func (h *history) add(now time.Time, bytes uint64) {
	if n := len(h.marks); n > 0 {
		bytes += h.marks[n-1].total
	}
	h.marks = append(h.marks, mark{now, bytes})
	if old := now.Add(-remembers); len(h.marks) > 2 && h.marks[1].at.Before(old) {
		h.marks = slices.Delete(h.marks, 0, 1)
	}
}

// at is how many bytes had passed at a moment, as if they had passed evenly between the marks.
func (h *history) at(when time.Time) float64 {
	i, exact := slices.BinarySearchFunc(h.marks, when, func(m mark, t time.Time) int { return m.at.Compare(t) })
	switch {
	case exact || i == 0:
		return float64(h.marks[i].total)
	case i == len(h.marks):
		return float64(h.marks[i-1].total)
	}
	a, b := h.marks[i-1], h.marks[i]
	return float64(a.total) + float64(b.total-a.total)*float64(when.Sub(a.at))/float64(b.at.Sub(a.at))
}

// sent is the rate at which bytes passed the shaper of late.
func (h *history) sent(now time.Time) Rate {
	from := h.marks[0].at
	if recent := now.Add(-measured); recent.After(from) {
		from = recent
	}
	return perSecond(h.at(now)-h.at(from), now.Sub(from))
}

func perSecond(bytes float64, span time.Duration) Rate {
	if span <= 0 {
		return 0
	}
	return Rate(bytes * 8 / span.Seconds())
}

const (
	// window is how many answers are looked at together: what only one of two saw is not the link's queue.
	window = 2
	// steepest is how fast a queue grows that is sent three times of what leaves it.
	steepest = 2
	// tremble is what delays vary by without meaning anything.
	tremble = 5 * time.Millisecond
	// trail is how many answers tell how fast the queue grows.
	trail = 5
	// spacing is the longest time between two probes, of which one may get lost.
	spacing = 2 * 50 * time.Millisecond
	// patience is how late answers may be without meaning anything: some probes' time.
	patience = 200 * time.Millisecond
	// The baseline is the least delay in parts of a minute.
	baselinePart  = 10 * time.Second
	baselineParts = 6
	// lostInARow makes a reflector dead.
	lostInARow = 5
)

// delays turns answers of several reflectors into one delay of the queue.
type delays struct {
	reflectors map[int]*reflector
	recent     []sample // the last trail, the newest last
	now        time.Time
	answered   time.Time     // when the newest probe that was answered had been sent
	baseline   time.Duration // of the reflector that answered it
}

type sample struct {
	sent  time.Time
	at    time.Time     // that the answer came
	delay time.Duration // above the reflector's baseline
	rtt   time.Duration
	from  int
}

type reflector struct {
	least []least // the newest last
	lost  int     // in a row
}

type least struct {
	since time.Time
	rtt   time.Duration
}

func (r *reflector) baseline() time.Duration {
	b := r.least[0].rtt
	for _, l := range r.least[1:] {
		b = min(b, l.rtt)
	}
	return b
}

func (r *reflector) add(now time.Time, rtt time.Duration) {
	n := len(r.least)
	if n == 0 || now.Sub(r.least[n-1].since) >= baselinePart {
		r.least = append(r.least, least{now, rtt})
		if len(r.least) > baselineParts {
			r.least = slices.Delete(r.least, 0, 1)
		}
		return
	}
	r.least[n-1].rtt = min(r.least[n-1].rtt, rtt)
}

// add takes answers in the order in which they came and tells whether any reflector spoke.
func (d *delays) add(now time.Time, answers []Answer) (heard bool) {
	d.now = now
	if d.reflectors == nil {
		d.reflectors = map[int]*reflector{}
	}
	for _, a := range answers {
		r := d.reflectors[a.Reflector]
		if r == nil {
			r = &reflector{}
			d.reflectors[a.Reflector] = r
		}
		if a.Lost {
			r.lost++
			continue
		}
		heard, r.lost = true, 0
		least := a.RTT
		if n := len(d.recent); n > 0 && len(r.least) == 0 {
			// A reflector that answers for the first time: the queue that others see is not part of its distance.
			least -= max(min(d.recent[n-1].delay, least), 0)
		}
		r.add(now, least)
		if a.Sent.After(d.answered) {
			d.answered, d.baseline = a.Sent, r.baseline()
		}
		d.recent = append(d.recent, sample{a.Sent, a.Sent.Add(a.RTT), a.RTT - r.baseline(), a.RTT, a.Reflector})
	}
	if len(d.recent) > trail {
		d.recent = slices.Delete(d.recent, 0, len(d.recent)-trail)
	}
	return heard
}

// queue is the delay that the last answers agree on, the least of them; or, when none comes any more, what they must have at
// least to be so late.
func (d *delays) queue() time.Duration {
	if len(d.recent) < window {
		return 0
	}
	last := d.recent[len(d.recent)-window:]
	if d.jumped() {
		last = d.recent
	}
	q := last[0].delay
	for _, s := range last[1:] {
		q = min(q, s.delay)
	}
	return max(q, d.silence()-d.baseline-patience, 0)
}

// jumped tells whether the delay has just grown faster than a queue does: by more than steepest of the time that passed. It may
// be one all the same, when the link suddenly carries a third; what stays is believed.
func (d *delays) jumped() bool {
	for i, s := range d.recent[1:] {
		before := d.recent[i]
		if s.delay-before.delay > max(steepest*s.sent.Sub(before.sent), 0)+tremble {
			return true
		}
	}
	return false
}

// silence is the age of the newest probe that was answered.
func (d *delays) silence() time.Duration {
	if d.answered.IsZero() {
		return 0
	}
	return d.now.Sub(d.answered)
}

// delivered is the rate at which what h says was sent came out of the slow place. What went in between two probes came out
// between their answers, whatever the way from there to the reflectors is.
func (d *delays) delivered(h *history) (Rate, bool) {
	if len(d.recent) < trail {
		return 0, false
	}
	a, b := d.recent[0], d.recent[trail-1]
	in := b.sent.Sub(a.sent)
	if in <= 0 {
		return 0, false
	}
	// Answers are few and tremble: they are believed up to a factor of two.
	out := min(max(in+b.delay-a.delay, in/2), 2*in)
	rate := perSecond(h.at(b.sent)-h.at(a.sent), out)
	// A link that has all but stopped lets no answer tell of it. Since the last one, not even the next probe has come out.
	if quiet := d.now.Sub(b.at); quiet > spacing {
		rate = min(rate, perSecond(h.at(b.sent.Add(spacing))-h.at(b.sent), quiet))
	}
	return rate, true
}

// rebase forgets what the delay was before.
func (d *delays) rebase() {
	for _, r := range d.reflectors {
		r.least = nil
	}
	for _, s := range d.recent {
		d.reflectors[s.from].add(s.at, s.rtt)
	}
	for id, r := range d.reflectors {
		if len(r.least) == 0 {
			delete(d.reflectors, id)
		}
	}
	d.recent = nil
}

func (d *delays) dead() []int {
	var out []int
	for id, r := range d.reflectors {
		if r.lost >= lostInARow {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// relation finds out whether delays have to do with load: how often they are high when the link is filled, and when it is
// relieved, which is to say that it carries no more than the least rate.
type relation struct {
	filled, relieved tally
	last             time.Time
	busy             time.Time // when the link last carried more than the least
	isBlind          bool
}

// tally counts ticks, each with a weight that fades.
type tally struct{ all, high float64 }

const (
	relationMemory = time.Minute
	// settled is how long after it was filled a link may still have a queue.
	settled = time.Second
	// enough is the weight of ticks that a judgement needs: some seconds of each.
	enough = 100
)

func (t *tally) add(high bool) {
	t.all++
	if high {
		t.high++
	}
}

func (t *tally) fade(by float64) { t.all, t.high = t.all*by, t.high*by }

func (t *tally) part() float64 {
	if t.all == 0 {
		return 0
	}
	return t.high / t.all
}

func (r *relation) add(now time.Time, bloated, filled, relieved bool) {
	if !r.last.IsZero() {
		by := 1 - min(float64(now.Sub(r.last))/float64(relationMemory), 1)
		r.filled.fade(by)
		r.relieved.fade(by)
	}
	r.last = now
	if !relieved {
		r.busy = now
	}
	switch {
	case filled:
		r.filled.add(bloated)
	case now.Sub(r.busy) >= settled:
		r.relieved.add(bloated)
	}
}

// blind: high delays are about as frequent on a link that is not filled. It takes more to believe them again.
func (r *relation) blind() bool {
	if r.relieved.all < enough {
		return r.isBlind
	}
	idle, full := r.relieved.part(), r.filled.part()
	switch {
	case idle >= 0.2 && idle >= 0.7*full:
		r.isBlind = true
	case idle < 0.05:
		r.isBlind = false
	}
	return r.isBlind
}
