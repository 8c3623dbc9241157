package bond

import "time"

// Datagram takes a decrypted datagram. number is the carrier's count of it on its path, at when it arrived, by the machine's clock if it
// tells.
func (c *Core) Datagram(id PathID, number uint64, frame []byte, at, now time.Duration) error {
	p := c.path(id)
	if p == nil {
		return errPath
	}
	if len(frame) == 0 {
		return errFrame
	}
	switch frameKind(frame[0]) {
	case dataKind:
		f, err := parseData(frame)
		if err != nil {
			return err
		}
		c.busy = now
		c.arrived(p, number, len(frame), f.sent, f.number, at)
		if f.flags&flagGuarded != 0 && !c.guarded(&f, now) {
			c.order.copies++
			return nil
		}
		c.entrance.wished(f.packet, f.service(), now)
		c.order.arrival(f, now)
	case probeKind, feedbackKind, controlKind, repairKind:
		sent, floor, err := parseFloor(frame)
		if err != nil {
			return err
		}
		c.arrived(p, number, len(frame), sent, floor-1, at)
		switch frameKind(frame[0]) {
		case feedbackKind:
			return c.feedback(frame[feedbackHeader:], now)
		case controlKind:
			c.out.Control(frame[feedbackHeader:])
		case repairKind:
			return c.repaired(frame[feedbackHeader:], now)
		}
	default:
		return errFrame
	}
	return nil
}

// arrived enters a datagram into its path's receipt.
func (c *Core) arrived(p *path, number uint64, size int, sent, passed uint32, at time.Duration) {
	delay := uint32(since(clockOf(at), sent))
	if !c.anchored {
		c.reference, c.anchored = delay, true
	}
	if !p.receipt.any || int32(passed-p.receipt.passed) > 0 {
		p.receipt.passed = passed
	}
	p.receipt.arrival(number, size+outer, since(delay, c.reference), at)
}

// feedback takes in what the other end says about all paths.
func (c *Core) feedback(b []byte, now time.Duration) error {
	for len(b) > 0 {
		r, rest, err := parseRecord(b, func(id PathID) (record, bool) {
			p := c.path(id)
			if p == nil {
				return record{}, false
			}
			return p.last, true
		}, c.missing[:0])
		if err != nil {
			return err
		}
		b, c.missing = rest, r.missing
		c.record(c.path(r.path), r, now)
	}
	return nil
}

// record settles what a record tells of one path.
func (c *Core) record(p *path, r record, now time.Duration) {
	d := p.ledger.find(r.highest)
	if d == nil || r.highest < p.last.highest {
		return // nonsense, or older than what is known
	}
	advanced := r.highest > p.last.highest || p.last.bytes == 0
	c.settle(p, r, now)
	if advanced {
		p.lastNews, p.answered = now, r.highest
		round := now - d.at
		p.roundMost = max(round, p.roundMost-p.roundMost/64)
		p.rate.record(heard{
			record: r, sentAt: d.at, sentThen: d.cum, sentNow: p.ledger.bytes, lostNew: r.lost - p.last.lost,
			fullSince: func(n uint64) (int, int) { return p.ledger.fullBetween(n, r.highest) },
		}, now)
		if !p.up && !p.closed && r.highest >= p.proof {
			c.takeIn(p, now)
		}
	}
	p.loss.record(&r)
	p.last = r
	p.last.missing = nil
	if c.entrance.lanes.packets > 0 && !p.waiting() && p.up {
		p.rate.hungry(now)
	}
	p.ledger.trim(now)
}

// settle ends the account of datagrams that arrived and sends again what was missed.
func (c *Core) settle(p *path, r record, now time.Duration) {
	missing := r.missing
	for n := max(p.ledger.settled, p.ledger.oldest()); n <= r.judged; n++ {
		for len(missing) > 0 && missing[0].to < n {
			missing = missing[1:]
		}
		d := p.ledger.find(n)
		x := d.parcel
		d.parcel = nil
		lost := len(missing) > 0 && missing[0].from <= n
		if p.search.asked > 0 && n == p.search.number {
			p.search.answered(!lost, now)
		}
		if x == nil {
			continue
		}
		if len(x.packet)+dataHeader > frameLeast {
			p.search.big(!lost, now)
		}
		if lost {
			c.resend(x, now)
		} else {
			x.done = true
		}
		c.parcels.drop(x)
	}
	p.ledger.settled = max(p.ledger.settled, r.judged+1)
}

// resend queues a parcel again that did not arrive, unless that cannot help any more or another copy is under way.
func (c *Core) resend(x *parcel, now time.Duration) {
	if x.done || x.unordered || x.copies > 1 || x.sent && now-x.first > resendYoung {
		return
	}
	c.resent++
	c.assign(x, again, now)
}
