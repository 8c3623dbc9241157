package bond

import "time"

const (
	maxSlower = 250 * time.Millisecond // a path that is slower by more carries no bulk
	bulkSlack = 10 * time.Millisecond  // that bulk may wait at a path beyond what the delays excuse
	damping   = 0.4                    // share of the difference of delays that bulk respects
)

// pump gives bulk to paths that take it, and sends what is due.
func (c *Core) pump(now time.Duration) {
	for {
		var aside [classes]bool // whose oldest packet no path takes: those of mode Saver may be the only ones
		for {
			class, ok := c.entrance.lanes.next(aside)
			if !ok {
				break
			}
			if c.entrance.lanes.of[class].tooLong(now) {
				c.parcels.discard(c.entrance.take(class, false))
				continue
			}
			x := c.entrance.lanes.head(class)
			p := c.choose(x, bulk, now)
			if p == nil {
				aside[class] = true
				continue
			}
			c.give(p, c.entrance.take(class, true), bulk)
			c.second(p, x, bulk, now)
		}
		sent := false
		for _, p := range c.paths {
			for p.up && p.next-now <= early {
				x := p.pick()
				if x == nil {
					break
				}
				c.send(p, x, now)
				sent = true
			}
		}
		if !sent {
			return
		}
	}
}

// give queues a parcel at a path. Its number follows the order of giving, by which the other end knows what can still come.
func (c *Core) give(p *path, x *parcel, kind parcelKind) {
	if !x.numbered {
		x.number, x.numbered = c.number, true
		c.number++
		if !x.unordered {
			x.order = c.entrance.order(x.flow)
		}
		c.unsent.push(given{x, x.number})
	}
	p.enqueue(x, kind)
}

// assign gives a parcel to the path where it arrives first, whatever waits there, and returns it.
func (c *Core) assign(x *parcel, kind parcelKind, now time.Duration) *path {
	p := c.choose(x, kind, now)
	if p == nil { // no path lives: the first one is as good as any
		if len(c.paths) == 0 {
			c.parcels.discard(x)
			return nil
		}
		p = c.paths[0]
	}
	c.give(p, x, kind)
	return p
}

// choose finds the path where a parcel arrives first. Bulk respects a part of the difference of delays alone, so that paths of a long way
// are used too, and waits at the entrance rather than in a long queue of a path: then choose returns nil.
func (c *Core) choose(x *parcel, kind parcelKind, now time.Duration) *path {
	return c.chooseBut(nil, x, kind, now)
}

// chooseBut is choose among all paths but one.
func (c *Core) chooseBut(but *path, x *parcel, kind parcelKind, now time.Duration) *path {
	best, most := never, -never
	size := len(x.packet) + dataHeader
	if !c.fitting(x) {
		size = 0 // too long for all of them: one may have changed
	}
	open := func(p *path) bool { return p.up && p != but && p.search.fits(size) && !c.spared(p, x, now) }
	for _, p := range c.paths {
		if base, ok := p.rate.least(); ok && open(p) {
			best, most = min(best, base), max(most, base)
		}
	}
	e := 1.0
	if kind == bulk {
		e = damping
	}
	var chosen *path
	least := never
	for _, p := range c.paths {
		if !open(p) {
			continue
		}
		base, known := p.rate.least()
		if !known {
			if best != never {
				continue // others are known: nothing is risked on it before its first answer
			}
			base, best, most = 0, 0, 0
		}
		if kind == bulk && base-best > maxSlower {
			continue
		}
		wait := p.wait(kind, now)
		extra := time.Duration(e * float64(base-best))
		if kind == bulk && wait+extra > time.Duration(e*float64(most-best))+bulkSlack {
			continue
		}
		if at := wait + p.rate.takes(len(x.packet)+dataHeader+outer) + extra; at < least {
			chosen, least = p, at
		}
	}
	return chosen
}
