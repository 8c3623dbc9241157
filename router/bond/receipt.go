package bond

import "time"

const (
	// aside is how long a number may be missing before it counts as lost: links reorder a little.
	aside = 2 * time.Millisecond
	// maxGaps bounds the gaps that are remembered and reported; what is older counts as settled.
	maxGaps = 32
	gapLife = 500 * time.Millisecond
)

// receipt is what arrived on one path, for the reports to the sender.
type receipt struct {
	any     bool
	highest uint64
	arrived time.Duration // of highest
	bytes   uint64
	count   uint64 // datagrams
	lost    uint32
	least   int32 // one-way delay since the last record, in clock units, against the bond's reference
	most    int32
	fresh   bool          // something arrived since the last record
	gaps    ring[gap]     // by number
	heard   time.Duration // when anything arrived last
	passed  uint32        // number of the bond below which nothing more comes over this path
}

// gap is a run of numbers that have not arrived.
type gap struct {
	from, to uint64 // inclusive
	noticed  time.Duration
	counted  bool
}

func (r *receipt) arrival(number uint64, size int, delay int32, now time.Duration) {
	if !r.fresh {
		r.least, r.most, r.fresh = delay, delay, true
	}
	r.least, r.most = min(r.least, delay), max(r.most, delay)
	r.bytes += uint64(size)
	r.count++
	r.heard = now
	switch {
	case !r.any:
		r.any, r.highest, r.arrived = true, number, now
	case number > r.highest:
		if number > r.highest+1 {
			r.gaps.push(gap{from: r.highest + 1, to: number - 1, noticed: now})
			if r.gaps.len() > maxGaps {
				r.gaps.pop()
			}
		}
		r.highest, r.arrived = number, now
	default:
		r.fill(number)
	}
}

// fill takes a number that came late out of its gap.
func (r *receipt) fill(number uint64) {
	for i := r.gaps.len() - 1; i >= 0; i-- {
		g := r.gaps.at(i)
		switch {
		case number > g.to:
			return
		case number < g.from:
			continue
		case number == g.from:
			g.from++
		case number == g.to:
			g.to--
		default: // in the middle: the older part stays in place, the newer one is added behind it
			newer := gap{from: number + 1, to: g.to, noticed: g.noticed, counted: g.counted}
			g.to = number - 1
			r.insert(i+1, newer)
		}
		return
	}
}

func (r *receipt) insert(at int, g gap) {
	r.gaps.push(g)
	for i := r.gaps.len() - 1; i > at; i-- {
		*r.gaps.at(i), *r.gaps.at(i - 1) = *r.gaps.at(i - 1), *r.gaps.at(i)
	}
	if r.gaps.len() > maxGaps {
		r.gaps.pop()
	}
}

// report makes the record of this path. missing is appended to and kept by the record.
func (r *receipt) report(id PathID, now time.Duration, missing []span) record {
	for r.gaps.len() > 0 && (r.gaps.at(0).to < r.gaps.at(0).from || now-r.gaps.at(0).noticed > gapLife) {
		r.gaps.pop()
	}
	rec := record{path: id, highest: r.highest, judged: r.highest, bytes: r.bytes, arrived: r.arrived, least: r.least, most: r.most}
	for i := range r.gaps.len() {
		g := r.gaps.at(i)
		if now-g.noticed < aside {
			rec.judged = g.from - 1
			break
		}
		if g.to < g.from {
			continue
		}
		if !g.counted {
			g.counted = true
			r.lost += uint32(g.to - g.from + 1)
		}
		missing = append(missing, span{g.from, g.to})
	}
	rec.lost, rec.missing = r.lost, missing
	r.fresh = false
	return rec
}
