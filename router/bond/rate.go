package bond

import (
	"math"
	"time"
)

// Constants of the rate law, found by measurement on the reference links of docs/BOND.md.
const (
	startRate = 10e6 / 8  // bytes/s of a path of which nothing is known
	leastRate = 320e3 / 8 // bytes/s that a path is never held below

	rateWindow  = 40 * time.Millisecond  // between the two records that the delivered rate is taken from
	rateSlope   = 120 * time.Millisecond // of queue by which the rate changes by its whole self in one step
	baseBucket  = 10 * time.Second       // the least delay is that of this and the last bucket
	leastQueue  = 10 * time.Millisecond  // that a path is filled to
	jitterFree  = 2 * time.Millisecond   // spread of delays that is no jitter
	jitterMost  = 50 * time.Millisecond
	calmStep    = 20 * time.Millisecond // on top of the round trip: the unit that calm is counted in
	starvedStep = 300 * time.Millisecond

	drainShare = 0.5                  // of the rate while the path's buffer is emptied to see its least delay
	drainTouch = 2 * time.Millisecond // this near to the last bucket's least delay, it was seen
)

// rate estimates how fast a path carries, in bytes a second, and what stands in its queue. It is fed one record of the receiver at a
// time. The law is that of docs/BOND.md: follow what is delivered, corrected by how far the predicted queue is from the one wanted,
// and never conclude anything from a path that was not full.
type rate struct {
	now     float64       // bytes/s to send
	rtt     time.Duration // smoothed; 0: never measured
	jitter  time.Duration
	queue   time.Duration // in the path's own buffer, by the last record
	startup bool

	base    [2]time.Duration // least one-way delay of this and the last bucket; the offset of the clocks is in it
	bucket  time.Duration    // when this bucket began
	drain   time.Duration    // until when the buffer is being emptied
	blind   time.Duration    // until when records tell of that and not of the path
	calm    time.Duration    // since when neither queue nor loss
	starved time.Duration    // when the rate was last raised for want of use
	history ring[mark]       // records of the last moments, oldest first
}

// mark is what one record said, kept to take differences.
type mark struct {
	highest uint64
	bytes   uint64
	arrived time.Duration
}

// heard is a record with what the sender knows of the datagram it names.
type heard struct {
	record
	sentAt   time.Duration // of datagram highest
	sentThen uint64        // bytes sent on the path up to and with it
	sentNow  uint64        // bytes sent on the path by now
	lostNew  uint32        // given up since the record before
	// fullSince tells how many datagrams with packets after the given one, up to highest, were sent, and how many of them while more waited.
	fullSince func(number uint64) (sent, full int)
}

func (r *rate) reset(now time.Duration) {
	*r = rate{now: startRate, startup: true, calm: now, bucket: now, rtt: r.rtt, base: [2]time.Duration{never, never}, history: r.history}
	r.history.clear()
}

// never is later than any time.
const never = time.Duration(1<<63 - 1)

// least is the delay of the empty path, with the offset of the clocks in it; ok is false before the first record.
func (r *rate) least() (d time.Duration, ok bool) {
	d = min(r.base[0], r.base[1])
	return d, d != never
}

// wanted is how much queue the path is held at: more on a path whose delay trembles, or it would be taken for full.
func (r *rate) wanted() time.Duration {
	return leastQueue + 3*max(0, r.jitter-jitterFree)/2
}

// record takes in news of the receiver.
func (r *rate) record(h heard, now time.Duration) {
	if n := r.history.len(); n > 0 && h.highest <= r.history.at(n-1).highest {
		return
	}
	round := now - h.sentAt
	if r.rtt == 0 {
		r.rtt = round
	} else {
		r.rtt += (round - r.rtt) / 10
	}
	r.delays(h, now)
	defer r.remember(mark{h.highest, h.bytes, h.arrived})

	if now < r.blind {
		return
	}
	delivered, since, ok := r.delivered(h)
	wanted := r.wanted()
	if r.queue > wanted/2 || h.lostNew > 2 {
		r.calm = now
	}
	if r.queue > wanted {
		r.startup = false
	}
	if !ok {
		return
	}
	sent, full := h.fullSince(since)
	limited := 10*full > 7*sent
	if !limited && (r.queue < wanted || sent < 10) {
		return // a path that was not full tells nothing of what it could carry
	}
	inflight := float64(h.sentNow - h.sentThen)
	predicted := max(0, r.queue+seconds(inflight/delivered)-round)
	gain := 1 + float64(wanted-predicted)/float64(rateSlope)
	switch n := float64(now-r.calm) / float64(r.rtt+calmStep); {
	case r.startup:
		gain = max(gain, 2)
	case n > 2:
		gain = max(gain, min(1+0.1*math.Exp2(n-2), 2))
	}
	gain = max(gain, 0.4)
	if r.queue < wanted && h.lostNew < 3 {
		r.now = max(delivered*gain, 0.98*r.now)
	} else {
		r.now = min(1.02*r.now, delivered*gain)
	}
	r.now = max(r.now, leastRate)
}

// remembered is how many records are kept: some windows of them.
const remembered = 16

func (r *rate) remember(m mark) {
	r.history.push(m)
	if r.history.len() > remembered {
		r.history.pop()
	}
}

// delays takes in the one-way delays of a record.
func (r *rate) delays(h heard, now time.Duration) {
	if now-r.bucket >= baseBucket && now >= r.blind {
		// A path that is kept full never shows its least delay, and what stands in it would slowly become the base.
		if r.base[1] != never && r.base[0] > r.base[1]+drainTouch && r.blind < r.bucket+baseBucket {
			r.drain = now + seconds(r.queue.Seconds()/drainShare) + drainTouch
			r.blind = r.drain + r.rtt + rateWindow
		} else {
			r.base[1], r.base[0], r.bucket = r.base[0], never, now
		}
	}
	least, most := time.Duration(h.least)*clockUnit, time.Duration(h.most)*clockUnit
	r.base[0] = min(r.base[0], least)
	base, _ := r.least()
	r.queue = least - base
	r.jitter += (min(most-least, jitterMost) - r.jitter) / 20
}

// delivered is the rate between this record and the one about a window before it, by the receiver's clock.
func (r *rate) delivered(h heard) (bytesPerSecond float64, since uint64, ok bool) {
	for i := r.history.len() - 1; i >= 0; i-- {
		m := r.history.at(i)
		if h.arrived-m.arrived < rateWindow && i > 0 {
			continue
		}
		if h.arrived-m.arrived < rateWindow/4 || h.bytes <= m.bytes {
			return 0, 0, false
		}
		return float64(h.bytes-m.bytes) / (h.arrived - m.arrived).Seconds(), m.highest, true
	}
	return 0, 0, false
}

// hungry raises the rate of a path that could not show what it carries, because it was thought too slow to be given anything.
func (r *rate) hungry(now time.Duration) {
	if now-r.starved < starvedStep || r.now >= startRate || r.queue >= r.wanted()/2 {
		return
	}
	r.starved = now
	r.now = min(1.5*r.now, startRate)
}

// takes is how long the path needs to carry so many bytes.
func (r *rate) takes(bytes int) time.Duration { return seconds(float64(bytes) / r.now) }

// pace is how long to wait after so many bytes before the next ones.
func (r *rate) pace(bytes int, now time.Duration) time.Duration {
	if now < r.drain {
		return seconds(float64(bytes) / (drainShare * r.now))
	}
	return r.takes(bytes)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
