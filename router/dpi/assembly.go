package dpi

// assembly puts the pieces of one stream in order: pieces may come twice, overlap and come in any order. What comes
// first stays. Bytes in order pass through without being copied; others wait in a buffer of at most limit bytes.
type assembly struct {
	limit int    // stream bytes from offset 0 that are accepted
	keep  bool   // remember bytes that were handed out, so that an earlier start can be accepted (see shift)
	out   int    // bytes handed out: the offset of the next one
	buf   []byte // by stream offset
	spans [maxSpans]span
	n     int // spans in use: sorted, disjoint, not touching
}

// maxSpans bounds the gaps of a stream. Browsers cut their QUIC hello into about ten shuffled pieces.
const maxSpans = 24

// keptBuffer is the largest buffer that is kept for the next stream.
const keptBuffer = 4 << 10

type span struct{ from, to int }

func (a *assembly) reset(limit int, keep bool) {
	a.limit, a.keep, a.out, a.n, a.buf = limit, keep, 0, 0, a.buf[:0]
	if cap(a.buf) > keptBuffer {
		a.buf = nil
	}
}

// add takes the piece at the stream offset and returns the bytes that are now next in order, which point into
// the piece or into the buffer and are good until the next call. ok is false when the piece does not fit the limits; it
// is then lost, and nothing else changes.
func (a *assembly) add(offset int, piece []byte) (ready []byte, ok bool) {
	if offset < 0 || offset > a.limit || len(piece) > a.limit-offset {
		return nil, false
	}
	if !a.keep {
		if skip := a.out - offset; skip > 0 {
			if skip >= len(piece) {
				return nil, true
			}
			offset, piece = a.out, piece[skip:]
		}
		if a.n == 0 && offset == a.out {
			a.out += len(piece)
			return piece, true
		}
	}
	if len(piece) == 0 {
		return nil, true
	}
	if !a.store(offset, piece) {
		return nil, false
	}
	// The span that covers the next byte, if any.
	for i := range a.n {
		s := a.spans[i]
		if s.from <= a.out && a.out < s.to {
			ready = a.buf[a.out:s.to]
			a.out = s.to
			if !a.keep {
				a.n = copy(a.spans[:], a.spans[i+1:a.n])
			}
			return ready, true
		}
	}
	return nil, true
}

// store copies the piece where nothing is yet and joins the spans it touches.
func (a *assembly) store(offset int, piece []byte) bool {
	end := offset + len(piece)
	first := 0
	for first < a.n && a.spans[first].to < offset {
		first++
	}
	last := first // one past the spans that touch the piece
	for last < a.n && a.spans[last].from <= end {
		last++
	}
	if first == last && a.n == maxSpans {
		return false
	}
	if len(a.buf) < end {
		a.buf = append(a.buf, make([]byte, end-len(a.buf))...)
	}
	joined := span{offset, end}
	at := offset
	for _, s := range a.spans[first:last] {
		if at < s.from {
			copy(a.buf[at:s.from], piece[at-offset:])
		}
		at = max(at, s.to)
		joined.from, joined.to = min(joined.from, s.from), max(joined.to, s.to)
	}
	if at < end {
		copy(a.buf[at:end], piece[at-offset:])
	}
	if first == last {
		copy(a.spans[first+1:a.n+1], a.spans[first:a.n])
		a.n++
	} else {
		copy(a.spans[first+1:], a.spans[last:a.n])
		a.n -= last - first - 1
	}
	a.spans[first] = joined
	return true
}

// shift moves the start of the stream n bytes back, because an earlier piece turned up, and begins to hand out from
// there. Only with keep. It returns false when the stream would no longer fit.
func (a *assembly) shift(n int) bool {
	if !a.keep || n < 0 || len(a.buf)+n > a.limit {
		return false
	}
	old := len(a.buf)
	a.buf = append(a.buf, make([]byte, n)...)
	copy(a.buf[n:], a.buf[:old])
	for i := range a.n {
		a.spans[i].from += n
		a.spans[i].to += n
	}
	a.out = 0
	return true
}
