package bond

import (
	"errors"
	"slices"
	"time"
)

const (
	// outer is what a datagram weighs beyond its frame: IPv4, UDP, the carrier's header and tag. Paths are paced by what they carry.
	outer = 20 + 8 + 8 + 16

	reportEvery = 10 * time.Millisecond
	quiet       = 15 * time.Millisecond  // a path in use that is silent for longer may be dead
	resendYoung = 400 * time.Millisecond // an older packet is not sent again: who waited has given it up
)

// Output takes what a Core makes. Slices are valid during the call.
type Output interface {
	// Transmit sends a frame as a datagram of that number over a path. An error takes the path out of use until it proves its life.
	Transmit(path PathID, number uint64, frame []byte) error
	// Deliver hands a packet to the packet device.
	Deliver(packet []byte)
	// Control takes a message that the other end gave to Core.Control.
	Control(message []byte)
}

// Core is one end of a bond.
type Core struct {
	out      Output
	paths    []*path
	parcels  parcels
	entrance entrance
	spare    budget // for second copies of Realtime
	taken    taken
	order    order
	mender   mender

	number  uint32      // of the next parcel that is given to a path
	unsent  ring[given] // parcels given to paths, by number; what was sent leaves from the front
	frame   []byte
	missing []span

	reference uint32 // the first clock difference seen: all delays are told against it
	anchored  bool
	reported  time.Duration
	stalled   time.Duration // until when silence may be our own
	busy      time.Duration // when a packet came or went last
	resent    uint64
	wanted    time.Duration // when Tick wants to be called at the latest
}

// New makes one end of a bond without paths.
func New(out Output) *Core {
	c := &Core{out: out, wanted: never}
	c.order.deliver = out.Deliver
	return c
}

// taken counts the packets that came from the packet device.
type taken struct {
	modes   [modes]uint64
	classes [classes]uint64
}

// given is a parcel with the number it had: its memory may serve another one by now.
type given struct {
	parcel *parcel
	number uint32
}

// errPath is a path that does not exist.
var errPath = errors.New("the bond has no such path")

// AddPath begins to use a path that the other end knows by the same number.
func (c *Core) AddPath(id PathID, now time.Duration) error {
	if id >= MaxPaths || c.path(id) != nil {
		return errPath
	}
	p := &path{id: id, up: true, lastNews: now}
	p.rate.reset(now)
	c.paths = append(c.paths, p)
	return nil
}

func (c *Core) path(id PathID) *path {
	for _, p := range c.paths {
		if p.id == id {
			return p
		}
	}
	return nil
}

// Packet takes a packet of the packet device, with how it is to be carried; what that leaves open is as with the packets that it answers. Call Tick
// soon after the last one of a batch.
func (c *Core) Packet(packet []byte, told Service, now time.Duration) {
	c.busy = now
	found := c.entrance.classify(packet, told, now)
	kind := found.kind
	c.taken.modes[found.service.Mode]++
	c.taken.classes[found.service.Class]++
	x := c.parcels.get(packet)
	x.flow, x.born, x.unordered, x.service, x.kind = found.slot, now, found.unordered, found.service, kind
	if kind == bulk && !c.entrance.offer(x, c.summed()) {
		c.parcels.discard(x)
		return
	}
	if kind != bulk {
		c.second(c.assign(x, kind, now), x, kind, now)
	}
}

// summed is what all living paths carry together, in bytes a second.
func (c *Core) summed() (sum float64) {
	for _, p := range c.paths {
		if p.up {
			sum += p.rate.now
		}
	}
	return sum
}

// Tick sends what may leave and looks after everything that is due. It returns when it wants to be called again; earlier calls do no harm.
func (c *Core) Tick(now time.Duration) time.Duration {
	if late := now - c.wanted; late > suspectAfter/2 {
		c.stalled = now + 2*late // we were not running ourselves: silence proves nothing
	}
	c.suspects(now)
	c.pump(now)
	again := c.report(now)
	again = min(again, c.probe(now), c.repairs(now))
	c.measure(now)
	again = min(again, c.order.tick(now, c.passed))
	for _, p := range c.paths {
		if p.waiting() {
			again = min(again, p.next-early)
		}
	}
	c.wanted = max(again, now+time.Microsecond)
	return c.wanted
}

// send transmits a parcel that a path's queue gave out.
func (c *Core) send(p *path, x *parcel, now time.Duration) {
	if x.done || x.sent && now-x.first > resendYoung {
		c.parcels.drop(x)
		return
	}
	f := dataFrame{sent: clockOf(now), flow: x.flow, order: x.order, number: x.number, packet: x.packet}
	f.flags = x.service.flags()
	if x.unordered {
		f.flags |= flagUnordered
	}
	if c.guards(p, x) {
		f.flags |= flagGuarded
		p.guard.add(&f, now)
	}
	c.frame = f.append(c.frame[:0])
	if !x.sent {
		x.sent, x.first = true, now
	}
	c.transmit(p, x, p.waiting() || c.entrance.lanes.packets > 0, now)
	if p.guard.n == repairMost {
		c.repair(p, now)
	}
}

// transmit sends the frame that was built and notes it. x is nil for frames that carry no packet.
func (c *Core) transmit(p *path, x *parcel, waited bool, now time.Duration) {
	size := len(c.frame) + outer
	number := p.ledger.note(x, size, waited, now)
	p.next = max(p.next, now-catchUp) + p.rate.pace(size, now)
	p.lastSent = now
	if err := c.out.Transmit(p.id, number, c.frame); err != nil {
		c.takeOut(p, now)
	}
}

// floor is the number of the bond below which everything has been sent.
func (c *Core) floor() uint32 {
	for c.unsent.len() > 0 {
		if g := c.unsent.at(0); g.parcel.number == g.number && !g.parcel.sent && !g.parcel.done {
			return g.number
		}
		c.unsent.pop()
	}
	return c.number
}

// probe sends a tiny frame over paths that were silent, so that each has a known delay and shows its life.
func (c *Core) probe(now time.Duration) (again time.Duration) {
	again = never
	for _, p := range c.paths {
		if p.closed {
			continue
		}
		every := probeIdle
		if _, known := p.rate.least(); !known || !p.up || p.ledger.next > p.answered+1 && now-p.lastNews > p.roundMost {
			every = probeUnknown
		}
		if now-c.busy > idleAfter {
			every = probeAsleep
			if p.metered {
				every = probeMetered
			}
		}
		if now-p.lastSent >= every || p.ledger.next == 0 {
			c.frame = appendFloor(c.frame[:0], probeKind, clockOf(now), c.floor())
			c.transmit(p, nil, false, now)
		}
		again = min(again, p.lastSent+every)
	}
	return again
}

// report tells the other end what arrived, over the living path with the shortest way.
func (c *Core) report(now time.Duration) (again time.Duration) {
	fresh := slices.ContainsFunc(c.paths, func(p *path) bool { return p.receipt.fresh })
	if !fresh {
		return never
	}
	if now-c.reported < reportEvery {
		return c.reported + reportEvery
	}
	c.reported = now
	c.frame = appendFloor(c.frame[:0], feedbackKind, clockOf(now), c.floor())
	for _, p := range c.paths {
		if p.receipt.any && now-p.receipt.heard < gapLife {
			r := p.receipt.report(p.id, now, c.missing[:0])
			c.frame = r.append(c.frame)
			c.missing = r.missing
		}
	}
	best := c.shortest(nil, now)
	c.transmit(best, nil, false, now)
	// When the best path dies, news of the others must not die with it.
	if now-best.receipt.heard > quiet {
		if other := c.shortest(best, now); other != nil {
			c.transmit(other, nil, false, now)
		}
	}
	return never
}

// shortest is the living path with the least round trip that was heard of late, but for one; where bytes cost only if no other is left. nil: there is no
// other.
func (c *Core) shortest(but *path, now time.Duration) (best *path) {
	least := never
	for _, p := range c.paths {
		score := p.rate.rtt
		if !p.up {
			score += time.Hour
		}
		if p.metered {
			score += time.Second
		}
		if now-p.receipt.heard > 2*probeIdle {
			score += time.Minute
		}
		if p != but && !p.closed && score < least {
			best, least = p, score
		}
	}
	return best
}

// passed is the number of the bond that every path that was heard of late has gone beyond, how long a hole deserves to be kept open then
// for a second sending, and how long in any case.
func (c *Core) passed(now time.Duration) (number uint32, patience, most time.Duration) {
	first, round := true, never
	most = holeMost
	for _, p := range c.paths {
		silent := now - p.receipt.heard
		switch {
		case !p.receipt.any || silent > forgotten:
			continue
		case silent > heardOf: // it may have died: what it held is being sent again over the others
			patience, most = holeDeath, holeDeath
			continue
		}
		if first || int32(p.receipt.passed-number) < 0 {
			number, first = p.receipt.passed, false
		}
		if p.rate.rtt > 0 {
			round = min(round, p.rate.rtt)
		}
	}
	if round != never && patience == 0 {
		patience = min(4*round+holeMargin, holeMost)
	}
	return number, max(patience, holeMargin), most
}
