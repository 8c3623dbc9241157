package seal

// A window remembers which datagram numbers of one path arrived, as RFC 6479 does: a ring of words, of which the newest is cleared when the
// numbers reach it. The ring holds one word more than the window promises.
type window struct {
	next uint64 // above every number that arrived
	ring [ringWords]uint64
}

const (
	ringWords = 256
	// Window is how far behind the newest datagram of its path another may arrive.
	Window = (ringWords - 1) * 64
)

// fresh tells whether a number may still arrive.
func (w *window) fresh(n uint64) bool {
	if n >= w.next {
		return true
	}
	return w.next-1-n < Window && w.ring[n/64%ringWords]&(1<<(n%64)) == 0
}

// arrived notes a number that is fresh.
func (w *window) arrived(n uint64) {
	if n >= w.next {
		first := w.next / 64 // this word may hold numbers already
		if w.next%64 != 0 {
			first++
		}
		last := n / 64
		if last >= first+ringWords {
			first = last - ringWords + 1
		}
		for word := first; word <= last; word++ {
			w.ring[word%ringWords] = 0
		}
		w.next = n + 1
	}
	w.ring[n/64%ringWords] |= 1 << (n % 64)
}

// complete finds the number that ends in 32 known bits and is closest to the one expected next, as RFC 9000 appendix A.3 does.
func complete(next uint64, low uint32) uint64 {
	const whole, half = 1 << 32, 1 << 31
	n := next&^(whole-1) | uint64(low)
	switch {
	case n+half <= next && n+whole > n:
		return n + whole
	case n > next+half && n >= whole:
		return n - whole
	}
	return n
}
