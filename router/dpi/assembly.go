package dpi

// assembly puts the pieces of one stream in order: pieces may come twice, overlap and come in any order. What comes
// first stays. It holds at most limit bytes from the start of the stream; what lies behind is left out.
type assembly struct {
	limit int
	buf   []byte // by stream offset
	spans []span // what is known of buf: sorted, disjoint, not touching; at most maxSpans
}

// maxSpans bounds the gaps of a stream. Browsers cut their QUIC hello into about ten shuffled pieces.
const maxSpans = 24

// maxStream is how much of a direction of a flow is put in order; it fits a span.
const maxStream = 16<<10 + 512

// keptBuffer is the largest buffer that is kept for the next stream.
const keptBuffer = 4 << 10

type span struct{ from, to uint16 }

func (a *assembly) reset(limit int) {
	a.limit, a.buf, a.spans = limit, a.buf[:0], a.spans[:0]
	if cap(a.buf) > keptBuffer {
		a.buf = nil
	}
}

// prefix returns the stream's bytes up to the first gap. They are good until the next call of another method.
func (a *assembly) prefix() []byte {
	if len(a.spans) == 0 || a.spans[0].from > 0 {
		return nil
	}
	return a.buf[:a.spans[0].to]
}

// full tells whether the prefix has reached the limit.
func (a *assembly) full() bool { return len(a.prefix()) >= a.limit }

// add takes the piece at the stream offset. It returns false when the piece was lost: it lies behind the limit, or there are too
// many gaps already.
func (a *assembly) add(offset int, piece []byte) bool {
	if offset < 0 || offset >= a.limit {
		return false
	}
	piece = piece[:min(len(piece), a.limit-offset)]
	if len(piece) == 0 {
		return true
	}
	end := offset + len(piece)
	first := 0
	for first < len(a.spans) && int(a.spans[first].to) < offset {
		first++
	}
	last := first // one past the spans that touch the piece
	for last < len(a.spans) && int(a.spans[last].from) <= end {
		last++
	}
	if first == last && len(a.spans) == maxSpans {
		return false
	}
	a.grow(end)
	joined := span{uint16(offset), uint16(end)}
	at := offset
	for _, s := range a.spans[first:last] {
		if from := int(s.from); at < from {
			copy(a.buf[at:from], piece[at-offset:])
		}
		at = max(at, int(s.to))
		joined.from, joined.to = min(joined.from, s.from), max(joined.to, s.to)
	}
	if at < end {
		copy(a.buf[at:end], piece[at-offset:])
	}
	if first == last {
		a.spans = append(a.spans, span{})
		copy(a.spans[first+1:], a.spans[first:])
	} else {
		a.spans = append(a.spans[:first+1], a.spans[last:]...)
	}
	a.spans[first] = joined
	return true
}

// grow makes the buffer reach to the offset. Bytes in the gaps are never read.
func (a *assembly) grow(end int) {
	if end <= len(a.buf) {
		return
	}
	if end > cap(a.buf) {
		bigger := make([]byte, end, min(max(2*end, 2<<10), a.limit))
		copy(bigger, a.buf)
		a.buf = bigger
		return
	}
	a.buf = a.buf[:end]
}

// shift moves the start of the stream n bytes back, because an earlier piece turned up. It returns false when the stream would no
// longer fit.
func (a *assembly) shift(n int) bool {
	old := len(a.buf)
	if n < 0 || n > a.limit-old {
		return false
	}
	a.grow(old + n)
	copy(a.buf[n:], a.buf[:old])
	for i := range a.spans {
		a.spans[i].from += uint16(n)
		a.spans[i].to += uint16(n)
	}
	return true
}
