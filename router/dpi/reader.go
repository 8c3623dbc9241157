package dpi

import "github.com/trenza-router/trenza/router/flow"

// Protocol says for which transport a parser is asked, and how to make one.
type Protocol struct {
	Transport flow.Proto
	New       func() Parser
}

// Protocols are all that are read, in order of trust: a result counts when every parser before it in the list has
// said NotMine, so that the answer does not depend on how the stream was cut.
func Protocols() []Protocol {
	return []Protocol{
		{flow.ProtoTCP, func() Parser { return NewTLS() }},
		{flow.ProtoTCP, func() Parser { return NewHTTP() }},
		{flow.ProtoUDP, func() Parser { return NewQUIC() }},
	}
}

// reader reads one flow: all parsers of its transport side by side, and for TCP the order of its segments. Readers are kept
// and used again.
type reader struct {
	parsers  []Parser
	verdicts []Verdict
	sides    [2]side // by Direction
}

// side is one direction of a TCP connection.
type side struct {
	assembly assembly
	base     uint32 // sequence number of stream offset 0
	known    bool   // base was seen in a SYN; else it is that of the earliest segment seen so far
	started  bool
}

// maxStream bounds the bytes of a direction that are put in order.
const maxStream = maxTLSStream

func (r *reader) reset() {
	r.resetParsers()
	for i := range r.sides {
		s := &r.sides[i]
		s.assembly.reset(maxStream, false)
		s.base, s.known, s.started = 0, false, false
	}
}

func (r *reader) resetParsers() {
	for i, p := range r.parsers {
		p.Reset()
		r.verdicts[i] = Need
	}
}

// feed gives a payload to every parser that still asks for more.
func (r *reader) feed(dir Direction, b []byte) {
	if len(b) == 0 {
		return
	}
	for i, p := range r.parsers {
		if r.verdicts[i] == Need {
			r.verdicts[i] = p.Feed(dir, b)
		}
	}
}

// verdict joins the parsers' verdicts in order of trust.
func (r *reader) verdict() (Verdict, *Result) {
	for i, v := range r.verdicts {
		switch v {
		case Found:
			return Found, r.parsers[i].Result()
		case Need:
			return Need, nil
		}
	}
	return NotMine, nil
}

// segment puts a TCP segment in its place and feeds what is now in order.
func (r *reader) segment(dir Direction, p *Packet) {
	s := &r.sides[dir]
	if p.Flags&SYN != 0 && !s.started {
		s.base, s.known = p.Seq, true
	}
	if len(p.Payload) == 0 {
		return
	}
	if !s.started {
		s.started = true
		if !s.known {
			s.base = p.Seq
			s.assembly.keep = true
		}
	}
	payload, offset := p.Payload, int(int32(p.Seq-s.base))
	if offset < 0 {
		switch {
		case s.known && -offset < len(payload): // a retransmission that begins before what we look at
			payload, offset = payload[-offset:], 0
		case s.known || !s.assembly.shift(-offset):
			return
		default: // what was taken for the start was not
			s.base, offset = p.Seq, 0
			r.resetParsers()
			other := &r.sides[1-dir]
			if other.assembly.keep {
				other.assembly.out = 0
			}
		}
	}
	ready, _ := s.assembly.add(offset, payload)
	r.feed(dir, ready)
}

// certain tells whether the start of what the client sent is known, so that a NotMine is final.
func (r *reader) certain() bool { return r.sides[FromClient].known }
