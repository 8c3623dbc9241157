package bond

import "time"

const (
	// holeMost is how long a packet is waited for at most; an earlier end needs proof that it cannot come any more.
	holeMost   = 150 * time.Millisecond
	holeMargin = 20 * time.Millisecond
	holeDeath  = 300 * time.Millisecond // instead of both, while a path may just have died
	heardOf    = 120 * time.Millisecond // a path that was silent for longer, probes included, has no say: perhaps it died
	forgotten  = 500 * time.Millisecond // certainly
	// maxHeld bounds the packets of one flow that wait behind a hole.
	maxHeld  = 4096
	slotBits = 12
	slots    = 1 << slotBits // flows share a slot when their hashes meet: they are ordered together, which costs nothing without loss

	orderBits = 24
	orderMask = 1<<orderBits - 1
)

// order puts the packets of each flow back into the order in which they entered the bond.
type order struct {
	flows   [slots]*sequence // made when first used
	holes   []uint16         // flows with something held
	deliver func(packet []byte)
	spare   parcels
	late    uint64 // handed out after their place was given up
	copies  uint64 // came twice
	given   uint64 // places given up
}

// sequence is one flow's order.
type sequence struct {
	begun   bool
	next    uint32 // order of the next packet to hand out
	held    []held // by order & (len-1): what came early
	n       int    // of them
	skipped [64]uint32
	skips   int // of them in use, the newest last
}

// held is a packet that waits for an earlier one.
type held struct {
	parcel *parcel // nil: not here
	at     time.Duration
}

// arrival takes a packet in and hands out what is in order now.
func (o *order) arrival(f dataFrame, now time.Duration) {
	if f.flags&flagUnordered != 0 {
		o.deliver(f.packet)
		return
	}
	s := o.flows[f.flow&(slots-1)]
	if s == nil {
		s = new(sequence)
		o.flows[f.flow&(slots-1)] = s
	}
	if !s.begun {
		s.begun, s.next = true, f.order
	}
	ahead := (f.order - s.next) & orderMask
	switch {
	case ahead == 0:
		o.deliver(f.packet)
		s.next = (s.next + 1) & orderMask
		o.run(s)
	case ahead >= 1<<(orderBits-1):
		if s.unskip(f.order) {
			o.late++
			o.deliver(f.packet) // late: its receiver can still use it
		} else {
			o.copies++
		}
	case ahead >= maxHeld: // too far: what is missing is given up
		o.skipTo(s, f.order)
		o.arrival(f, now)
	default:
		o.hold(s, f, int(ahead), now)
	}
}

func (o *order) hold(s *sequence, f dataFrame, ahead int, now time.Duration) {
	if ahead >= len(s.held) {
		s.grow(ahead)
	}
	slot := &s.held[f.order&uint32(len(s.held)-1)]
	if slot.parcel != nil {
		o.copies++
		return
	}
	if s.n == 0 {
		o.holes = append(o.holes, f.flow&(slots-1))
	}
	x := o.spare.get(f.packet)
	x.number, x.order, x.copies = f.number, f.order, 1
	*slot = held{x, now}
	s.n++
}

func (s *sequence) grow(ahead int) {
	size := max(16, len(s.held))
	for size <= ahead {
		size *= 2
	}
	old := s.held
	s.held = make([]held, size)
	for _, h := range old {
		if h.parcel != nil {
			s.held[h.parcel.order&uint32(size-1)] = h
		}
	}
}

// run hands out what was held and is in order now.
func (o *order) run(s *sequence) {
	for s.n > 0 {
		slot := &s.held[s.next&uint32(len(s.held)-1)]
		if slot.parcel == nil {
			return
		}
		o.deliver(slot.parcel.packet)
		o.spare.drop(slot.parcel)
		*slot = held{}
		s.n--
		s.next = (s.next + 1) & orderMask
	}
}

// skipTo gives up everything before an order and hands out what was held on the way.
func (o *order) skipTo(s *sequence, to uint32) {
	for ahead := (to - s.next) & orderMask; ahead != 0 && ahead < 1<<(orderBits-1); ahead = (to - s.next) & orderMask {
		if s.n == 0 {
			s.next = to
			return
		}
		if s.held[s.next&uint32(len(s.held)-1)].parcel == nil {
			o.given++
			s.skip(s.next)
			s.next = (s.next + 1) & orderMask
			continue
		}
		o.run(s)
	}
}

// skip remembers an order that was given up, so that its packet is still handed out if it comes, and once.
func (s *sequence) skip(order uint32) {
	if s.skips == len(s.skipped) {
		s.skips = copy(s.skipped[:], s.skipped[1:])
	}
	s.skipped[s.skips] = order
	s.skips++
}

func (s *sequence) unskip(order uint32) bool {
	for i := s.skips - 1; i >= 0; i-- {
		if s.skipped[i] == order {
			s.skips = i + copy(s.skipped[i:], s.skipped[i+1:s.skips])
			return true
		}
	}
	return false
}

// tick gives up holes that nothing will fill any more. passed tells the number of the bond that every living path has gone beyond, how long
// a hole that lies before it is kept for a second sending, and how long any is. It returns when to look again; never if nothing waits.
func (o *order) tick(now time.Duration, passed func(now time.Duration) (number uint32, patience, most time.Duration)) time.Duration {
	if len(o.holes) == 0 {
		return never
	}
	number, patience, most := passed(now)
	again := never
	keep := o.holes[:0]
	for _, id := range o.holes {
		s := o.flows[id]
		for s.n > 0 {
			first := s.first()
			limit := most
			if int32(number-first.parcel.number) >= 0 {
				limit = patience
			}
			if age := now - first.at; age < limit {
				again = min(again, first.at+limit)
				break
			}
			o.skipTo(s, first.parcel.order)
			o.run(s)
		}
		if s.n > 0 {
			keep = append(keep, id)
		}
	}
	o.holes = keep
	return again
}

// first is the held packet that is next in order.
func (s *sequence) first() held {
	for i := s.next; ; i = (i + 1) & orderMask {
		if h := s.held[i&uint32(len(s.held)-1)]; h.parcel != nil {
			return h
		}
	}
}
