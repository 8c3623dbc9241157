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
	parcel *parcel // nil: a probe or feedback, or settled
	at     time.Duration
	cum    uint64 // bytes sent on the path up to and with it
	full   uint32 // datagrams sent so far that had more behind them, with it
}

// maxOutstanding bounds the datagrams of a path that are remembered: 65,536 are 90 MB, half a second at 1.5 Gbit/s.
const maxOutstanding = 1 << 16

// note enters a datagram and returns its number.
func (l *ledger) note(x *parcel, size int, waited bool, now time.Duration) (number uint64) {
	l.bytes += uint64(size)
	d := dispatch{parcel: x, at: now, cum: l.bytes}
	if n := l.entries.len(); n > 0 {
		d.full = l.entries.at(n - 1).full
	}
	if waited {
		d.full++
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

// fullBetween counts the datagrams after since and up to highest, and those among them that had more behind them.
func (l *ledger) fullBetween(since, highest uint64) (sent, full int) {
	a, b := l.find(since), l.find(highest)
	if a == nil || b == nil {
		return 0, 0
	}
	return int(highest - since), int(b.full - a.full)
}

// ledgerLife is how long settled datagrams are remembered, for the rate's differences.
const ledgerLife = time.Second

func (l *ledger) trim(now time.Duration) {
	for l.entries.len() > 0 && l.oldest() < l.settled && (now-l.entries.at(0).at > ledgerLife || l.entries.len() > maxOutstanding) {
		l.entries.pop()
	}
}
