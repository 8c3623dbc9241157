package bond

import (
	"slices"
	"time"
)

// suspects takes paths out of use that say nothing although they were asked more than once.
func (c *Core) suspects(now time.Duration) {
	if now < c.stalled {
		return
	}
	for _, p := range c.paths {
		asked := p.ledger.find(p.answered + questions)
		if !p.up || asked == nil || now-asked.at < p.roundMost+suspectAfter || now-p.lastNews < suspectAfter {
			continue
		}
		if slices.ContainsFunc(c.paths, func(o *path) bool { return o != p && o.up && now-o.lastNews < 2*probeIdle+o.roundMost }) {
			c.takeOut(p, now)
		}
	}
}

// takeOut moves everything that a path holds to the others.
func (c *Core) takeOut(p *path, now time.Duration) {
	if !p.up {
		return
	}
	p.up, p.outSince, p.proof = false, now, p.ledger.next
	if !slices.ContainsFunc(c.paths, func(o *path) bool { return o.up }) {
		return // nowhere to move it; the path is tried on by probes, and by what waits
	}
	for n := max(p.ledger.settled, p.ledger.oldest()); n < p.ledger.next; n++ {
		if d := p.ledger.find(n); d.parcel != nil {
			x := d.parcel
			d.parcel = nil
			c.resend(x, now)
			c.parcels.drop(x)
		}
	}
	p.ledger.settled = p.ledger.next
	for k := range p.queues {
		for p.queues[k].len() > 0 {
			x := p.queues[k].pop()
			p.queued[k] -= len(x.packet)
			kind := again
			if parcelKind(k) == sparse {
				kind = sparse
			}
			if !x.twice || x.copies == 1 { // else another path has it already
				c.assign(x, kind, now)
			}
			c.parcels.drop(x)
		}
	}
}

// takeIn uses a path again that has proved its life.
func (c *Core) takeIn(p *path, now time.Duration) {
	if now-p.outSince > restartAfter {
		p.rate.reset(now)
	}
	p.up, p.next = true, now
}
