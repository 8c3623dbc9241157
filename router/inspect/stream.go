package inspect

import (
	"cmp"
	"slices"

	"github.com/trenza-router/trenza/router/dpi"
)

const (
	maxSegments = 8       // of a flow; the kernel sends up fewer
	maxBytes    = 8 << 10 // of a flow: what lies behind is not looked at
)

// stream is the start of what a client sends over TCP. Segments come in any order, and twice.
type stream struct {
	base     uint32 // sequence number of the first byte
	known    bool   // by a SYN; else the earliest segment begins the stream
	segments []segment
	size     int
}

type segment struct {
	seq   uint32
	bytes []byte
}

// add keeps a segment and tells whether there is more to read.
func (s *stream) add(p *dpi.Packet) bool {
	if p.Flags&dpi.SYN != 0 {
		s.base, s.known = p.Seq, true
	}
	b := p.Payload[:min(len(p.Payload), maxBytes-s.size)]
	if len(b) == 0 || len(s.segments) >= maxSegments {
		return false
	}
	s.segments = append(s.segments, segment{p.Seq, slices.Clone(b)})
	s.size += len(b)
	slices.SortStableFunc(s.segments, func(a, b segment) int { return cmp.Compare(int32(a.seq-b.seq), 0) })
	return true
}

// bytes is the stream up to the first gap.
func (s *stream) bytes() []byte {
	if len(s.segments) == 0 {
		return nil
	}
	base := s.base
	if !s.known {
		base = s.segments[0].seq
	}
	var out []byte
	for _, g := range s.segments {
		offset := int(int32(g.seq - base))
		switch {
		case offset > len(out):
			return out
		case offset < 0:
			g.bytes, offset = g.bytes[min(-offset, len(g.bytes)):], 0
		}
		if have := len(out) - offset; have < len(g.bytes) {
			out = append(out, g.bytes[have:]...)
		}
	}
	return out
}
