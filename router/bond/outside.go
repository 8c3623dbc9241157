package bond

import (
	"slices"
	"time"
)

// Control sends a message to the other end's Output.Control, over the living path with the shortest way. It may be lost.
func (c *Core) Control(message []byte, now time.Duration) {
	if p := c.shortest(nil, now); p != nil {
		c.frame = append(appendFloor(c.frame[:0], controlKind, clockOf(now), c.floor()), message...)
		c.transmit(p, nil, false, now)
	}
}

// Close stops the use of a path that is known to be dead, such as one whose device lost its carrier, until Open. What it held goes over the
// others at once.
func (c *Core) Close(id PathID, now time.Duration) {
	if p := c.path(id); p != nil && !p.closed {
		p.closed = true
		c.takeOut(p, now)
	}
}

// Open allows the use of a path that was closed; it is taken in when it has proved its life.
func (c *Core) Open(id PathID, now time.Duration) {
	if p := c.path(id); p != nil && p.closed {
		p.closed = false
		p.proof = p.ledger.next
		p.lastSent = now - probeUnknown
	}
}

// Has tells whether the bond has this path.
func (c *Core) Has(id PathID) bool { return c.path(id) != nil }

// Meter says that each byte on a path costs: it is asked for its delay only while packets come and go.
func (c *Core) Meter(id PathID, on bool) {
	if p := c.path(id); p != nil {
		p.metered = on
	}
}

// Unanswered is how long ago the first datagram of a path left of which nothing is known yet, and the path's longest round trip of late. ok is
// false when there is none.
func (c *Core) Unanswered(id PathID, now time.Duration) (age, round time.Duration, ok bool) {
	p := c.path(id)
	if p == nil {
		return 0, 0, false
	}
	number := p.answered + 1
	if p.last.bytes == 0 { // nothing was ever answered
		number = p.ledger.oldest()
	}
	d := p.ledger.find(number)
	if d == nil {
		return 0, p.roundMost, false
	}
	return now - d.at, p.roundMost, true
}

// Status is what a Core knows of its paths and packets.
type Status struct {
	Paths   []PathStatus
	Queued  int             // bytes at the entrance
	Dropped uint64          // packets that the entrance dropped
	Resent  uint64          // packets that were sent again
	Held    int             // packets that wait for an earlier one of their flow
	Late    uint64          // packets handed out after their place was given up
	Copies  uint64          // that came twice and were dropped
	Given   uint64          // holes given up
	Mended  uint64          // packets made from repairs
	Modes   map[Mode]uint64 // packets of the packet device, those of none left out
	Classes map[Class]uint64
}

// PathStatus is one path, both directions.
type PathStatus struct {
	ID       PathID
	Up       bool          // given packets
	Rate     float64       // bytes a second that it is thought to carry from here
	Round    time.Duration // smoothed round trip; 0: never measured
	Queue    time.Duration // in its buffer, from here
	Jitter   time.Duration
	Largest  int    // packet that passes; 0: not known
	Sent     uint64 // bytes, with headers
	Received uint64
	Out      uint64 // datagrams
	In       uint64
	LostOut  uint32 // datagrams that the other end missed
	LostIn   uint32
}

// Status reads all of it; the paths come in order of their numbers.
func (c *Core) Status() Status {
	s := Status{Queued: c.entrance.lanes.bytes, Dropped: c.entrance.drops, Resent: c.resent, Late: c.order.late, Copies: c.order.copies, Given: c.order.given, Mended: c.mender.mended}
	s.Modes, s.Classes = counted[Mode](c.taken.modes[:]), counted[Class](c.taken.classes[:])
	for _, id := range c.order.holes {
		s.Held += c.order.flows[id].n
	}
	for _, p := range c.paths {
		s.Paths = append(s.Paths, PathStatus{
			ID: p.id, Up: p.up, Rate: p.rate.now, Round: p.rate.rtt, Queue: p.rate.queue, Jitter: p.rate.jitter,
			Largest: max(0, p.search.good-dataHeader),
			Sent:    p.ledger.bytes, Received: p.receipt.bytes, Out: p.ledger.next, In: p.receipt.count, LostOut: p.last.lost, LostIn: p.receipt.lost,
		})
	}
	slices.SortFunc(s.Paths, func(a, b PathStatus) int { return int(a.ID) - int(b.ID) })
	return s
}

// counted names what is not zero.
func counted[K ~uint8](n []uint64) map[K]uint64 {
	out := map[K]uint64{}
	for k, v := range n {
		if v > 0 {
			out[K(k)] = v
		}
	}
	return out
}

// Failed says that a datagram could not be sent: the path is out of use until it proves its life.
func (c *Core) Failed(id PathID, now time.Duration) {
	if p := c.path(id); p != nil {
		c.takeOut(p, now)
	}
}
