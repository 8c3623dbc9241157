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
)

const (
	// latencyRate is what a flow of mode Latency may send past the queue: a game's or a screen's, not a download's.
	latencyRate  = 8e6 / 8
	latencyBurst = 64 << 10
	// saverWait is how long the oldest packet waits until paths on which bytes cost help: the others are not enough then.
	saverWait = standing * 2 / 3
	// answeredIn is how long a flow's packets are answered in their mode after the last one.
	answeredIn = time.Minute
)

// wish is the mode in which the other end sent a flow's packets, under the slot of what goes the other way.
type wish struct {
	mode Mode
	tag  uint32
	at   time.Duration
}

// modeOf is the mode of a packet: what this end was told, or that of what it answers.
func (e *entrance) modeOf(l looked, told Mode, now time.Duration) Mode {
	if told != Speed {
		return told
	}
	if w := &e.wishes[uint16(l.hash)&(slots-1)]; w.mode != Speed && w.tag == uint32(l.hash>>32) && now-w.at < answeredIn {
		return w.mode
	}
	return Speed
}

// wished notes the mode of a packet that came from the other end, for the answers to it.
func (e *entrance) wished(packet []byte, mode Mode, now time.Duration) {
	if mode == Speed {
		return // what answers it may be asked for otherwise here; an old wish ends by itself
	}
	hash := lookBack(packet).hash
	e.wishes[uint16(hash)&(slots-1)] = wish{mode: mode, tag: uint32(hash >> 32), at: now}
}

// second queues another copy of a parcel on the path where it arrives first, but for the one that has it. Acknowledgements without data
// have a later one that says the same, and twice the same would look like a loss.
func (c *Core) second(first *path, x *parcel, kind parcelKind, now time.Duration) {
	if x.mode != Reliable || x.unordered || first == nil {
		return
	}
	if p := c.chooseBut(first, x, min(kind, again), now); p != nil {
		c.give(p, x, kind)
	}
}

// spared tells whether a path is left alone by a parcel because bytes cost there.
func (c *Core) spared(p *path, x *parcel, now time.Duration) bool {
	if x.mode != Saver || !p.metered || x.kind == bulk && c.entrance.sojourn(now) > saverWait {
		return false
	}
	for _, o := range c.paths {
		if o.up && !o.metered {
			return true
		}
	}
	return false
}
