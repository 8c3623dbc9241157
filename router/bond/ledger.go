package bond

import "time"

// ledger is what was sent on one path and not settled yet, by datagram number.
type ledger struct {
	next    uint64 // number of the next datagram
	settled uint64 // every number below is known to have arrived, or is given up
	bytes   uint64 // sent so far
	entries ring[dispatch]
}

// dispatch is one datagram that was sent.
type dispatch struct {
	parcel  *parcel // nil: a probe or feedback, or settled
	at      time.Duration
	cum     uint64 // bytes sent on the path up to and with it
	carried uint32 // datagrams with a packet in them sent so far, with it
	full    uint32 // those of them that had more behind them
}

// maxOutstanding bounds the datagrams of a path that are remembered: 65,536 are 90 MB, half a second at 1.5 Gbit/s.
const maxOutstanding = 1 << 16

// note enters a datagram and returns its number.
func (l *ledger) note(x *parcel, size int, waited bool, now time.Duration) (number uint64) {
	l.bytes += uint64(size)
	d := dispatch{parcel: x, at: now, cum: l.bytes}
	if n := l.entries.len(); n > 0 {
		last := l.entries.at(n - 1)
		d.carried, d.full = last.carried, last.full
	}
	if x != nil {
		d.carried++
		if waited {
			d.full++
		}
	}
	l.entries.push(d)
	l.next++
	return l.next - 1
}

// oldest is the number of the oldest entry.
func (l *ledger) oldest() uint64 { return l.next - uint64(l.entries.len()) }

// find returns the entry of a number, nil when it is not remembered.
func (l *ledger) find(number uint64) *dispatch {
	if number >= l.next || number < l.oldest() {
		return nil
	}
	return l.entries.at(int(number - l.oldest()))
}

// fullBetween counts the datagrams with packets after since and up to highest, and those among them that had more behind them. Probes and
// feedback do not count: they come at times of their own, and on a slow path there are more of them than of packets.
func (l *ledger) fullBetween(since, highest uint64) (sent, full int) {
	a, b := l.find(since), l.find(highest)
	if a == nil || b == nil {
		return 0, 0
	}
	return int(b.carried - a.carried), int(b.full - a.full)
}

// ledgerLife is how long settled datagrams are remembered, for the rate's differences.
const ledgerLife = time.Second

func (l *ledger) trim(now time.Duration) {
	for l.entries.len() > 0 && l.oldest() < l.settled && (now-l.entries.at(0).at > ledgerLife || l.entries.len() > maxOutstanding) {
		l.entries.pop()
	}
}
