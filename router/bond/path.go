package bond

import "time"

const (
	early   = 500 * time.Microsecond // a datagram may leave so much before its time
	catchUp = time.Millisecond       // that is made up for after a late wake-up

	probeIdle    = 100 * time.Millisecond
	probeUnknown = 30 * time.Millisecond
	// Nobody has sent a packet for idleAfter: then probes only keep translators' entries, and show a death before the next packet does.
	idleAfter    = 10 * time.Second
	probeAsleep  = time.Second
	probeMetered = 20 * time.Second // RFC 4787 asks translators for two minutes, many give 30 seconds

	questions    = 3                      // datagrams without an answer that make a path suspect: one may be lost
	suspectAfter = 50 * time.Millisecond  // without news, on top of the longest round trip
	restartAfter = 500 * time.Millisecond // out of use: what was known of the rate is stale
)

// path is one way to the other end, both directions of it.
type path struct {
	id     PathID
	rate   rate
	ledger ledger
	last   record // the newest of the other end about what was sent here
	queues [kinds]ring[*parcel]
	queued [kinds]int    // bytes
	next   time.Duration // when the path is free again

	closed    bool          // known to be dead, from outside
	metered   bool          // each byte costs
	up        bool          // may be given packets
	outSince  time.Duration // when it was not, last
	proof     uint64        // a datagram from which on an answer proves life
	lastSent  time.Duration
	lastNews  time.Duration // of a record that went on
	answered  uint64        // the datagram that it named
	roundMost time.Duration // longest round trip of late, falls slowly

	loss  lossMeter
	guard guard

	receipt receipt
	search  search
}

// backlog is how many bytes stand before a parcel of a kind.
func (p *path) backlog(kind parcelKind) int {
	n := 0
	for k := range kind + 1 {
		n += p.queued[k]
	}
	return n
}

func (p *path) enqueue(x *parcel, kind parcelKind) {
	p.queues[kind].push(x)
	p.queued[kind] += len(x.packet)
	x.kind = kind
	x.copies++
}

// pick takes the parcel that goes next, nil when none waits.
func (p *path) pick() *parcel {
	for k := range p.queues {
		if p.queues[k].len() > 0 {
			x := p.queues[k].pop()
			p.queued[k] -= len(x.packet)
			return x
		}
	}
	return nil
}

func (p *path) waiting() bool {
	for k := range p.queues {
		if p.queues[k].len() > 0 {
			return true
		}
	}
	return false
}

// wait is how long a parcel of a kind would stand here before it leaves.
func (p *path) wait(kind parcelKind, now time.Duration) time.Duration {
	return max(0, p.next-now) + p.rate.takes(p.backlog(kind))
}
