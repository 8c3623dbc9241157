package bond

import "time"

// Mode is what a flow asks of the bond beyond what its rate already tells.
type Mode uint8

const (
	// Speed uses all paths, each packet once.
	Speed Mode = iota
	// Reliable sends each packet over two paths: one of them may die, and nothing is lost or late.
	Reliable
	// Latency takes the path where a packet arrives first, also for flows of a higher rate, and hands datagrams out without waiting for earlier ones.
	Latency
	// Saver leaves paths alone on which bytes cost while the others are enough.
	Saver
	modes
)

func (m Mode) String() string {
	return [modes]string{"speed", "reliable", "latency", "saver"}[m%modes]
}

const (
	// latencyRate is what a flow of mode Latency may send past the queue: a game's or a screen's, not a download's.
	latencyRate  = 8e6 / 8
	latencyBurst = 64 << 10
	// saverWait is how long the oldest packet waits until paths on which bytes cost help: the others are not enough then.
	saverWait = standing * 2 / 3
	// answeredIn is how long a flow's packets are answered in their mode after the last one.
	answeredIn = time.Minute
)

// wish is how the other end sent a flow's packets, under the slot of what goes the other way.
type wish struct {
	service Service
	tag     uint32
	at      time.Duration
}

// serviceOf is how a packet is carried: as this end was told, and for the rest as what it answers.
func (e *entrance) serviceOf(l looked, told Service, now time.Duration) Service {
	if w := &e.wishes[uint16(l.hash)&(slots-1)]; !w.service.plain() && w.tag == uint32(l.hash>>32) && now-w.at < answeredIn {
		return told.or(w.service)
	}
	return told
}

// wished notes how a packet came from the other end, for the answers to it.
func (e *entrance) wished(packet []byte, s Service, now time.Duration) {
	if s.plain() {
		return // what answers it may be asked for otherwise here; an old wish ends by itself
	}
	hash := lookBack(packet).hash
	e.wishes[uint16(hash)&(slots-1)] = wish{service: s, tag: uint32(hash >> 32), at: now}
}

// second queues another copy of a parcel on the path where it arrives first, but for the one that has it. Acknowledgements without data
// have a later one that says the same, and twice the same would look like a loss. Realtime has a second copy within its budget, where bytes cost nothing.
func (c *Core) second(first *path, x *parcel, kind parcelKind, now time.Duration) {
	urgent := x.service == Service{Class: Realtime} && kind == sparse
	if x.service.Mode != Reliable && !urgent || x.unordered || first == nil {
		return
	}
	p := c.chooseBut(first, x, min(kind, again), now)
	if p == nil || x.service.Mode != Reliable && (p.metered || !c.spare.take(len(x.packet), c.summed(), now)) {
		return
	}
	x.twice = true
	c.give(p, x, kind)
}

// spared tells whether a path is left alone by a parcel because bytes cost there.
func (c *Core) spared(p *path, x *parcel, now time.Duration) bool {
	if x.service.Mode != Saver || !p.metered || x.kind == bulk && c.entrance.lanes.of[x.service.Class].sojourn(now) > saverWait {
		return false
	}
	for _, o := range c.paths {
		if o.up && !o.metered {
			return true
		}
	}
	return false
}
