package dpi

// stream is what is kept of a TCP connection that is being read.
//
// Parsers are pure functions of the start of both directions, so only one has to be asked: the first in order of trust that has not said
// NotMine. The others wait until it does, or until the reading ends. While the first segment decides, nothing is copied.
type stream struct {
	sides  [2]side // by Direction
	room   *room
	leader uint8    // parsers before it said NotMine
	count  [2]uint8 // segments with something new, by Direction
	outer  Protocol // known already: only a hello inside it is still waited for
}

// side is one direction of a TCP connection.
type side struct {
	kept    *assembly // nil before anything had to be kept
	base    uint32    // sequence number of stream offset 0
	known   bool      // base was seen in a SYN; else it is that of the earliest segment seen so far
	started bool
}

func (s *side) prefix() []byte {
	if s.kept == nil {
		return nil
	}
	return s.kept.prefix()
}

// forget drops the bytes kept of a stream.
func (d *desk) forget(s *stream) {
	for i := range s.sides {
		if a := s.sides[i].kept; a != nil {
			a.reset(0)
			d.assemblies.give(a)
		}
	}
	s.sides = [2]side{}
}

func (d *desk) readStream(s *stream, dir Direction, p *Packet) (Verdict, *Result) {
	if s.outer != Unknown && !s.sides[dir].started && (dir == FromServer || !startsHello(p.Payload)) {
		if len(p.Payload) > 0 {
			s.count[dir]++
		}
		return Need, nil
	}
	this := &s.sides[dir]
	payload, offset, ok := s.place(dir, p)
	if !ok {
		return Need, nil
	}
	if offset+len(payload) > len(this.prefix()) && s.count[dir] < 255 {
		s.count[dir]++
	}
	direct := this.kept == nil && offset == 0
	if direct {
		payload = payload[:min(len(payload), maxStream)]
	} else {
		before := len(this.prefix())
		if d.keep(s, this, offset, payload); len(this.prefix()) == before {
			return Need, nil
		}
	}
	d.view.Client, d.view.Server = s.sides[FromClient].prefix(), s.sides[FromServer].prefix()
	if direct && dir == FromClient {
		d.view.Client = payload
	} else if direct {
		d.view.Server = payload
	}
	d.view.room = s.room
	v := d.lead(s)
	s.room = d.view.room
	if v == Found {
		return Found, &d.asked
	}
	if direct {
		d.keep(s, this, 0, payload)
	}
	if v == Likely && this.kept.full() {
		v = Need
	}
	return v, nil
}

// place finds the payload's place in the stream.
func (s *stream) place(dir Direction, p *Packet) (payload []byte, offset int, ok bool) {
	this := &s.sides[dir]
	if p.Flags&SYN != 0 && !this.started {
		this.base, this.known = p.Seq, true
	}
	if payload = p.Payload; len(payload) == 0 {
		return nil, 0, false
	}
	if !this.started {
		this.started = true
		if !this.known {
			this.base = p.Seq
		}
	}
	offset = int(int32(p.Seq - this.base))
	switch {
	case offset >= 0:
	case this.known: // a retransmission that begins before what we look at
		if -offset >= len(payload) {
			return nil, 0, false
		}
		payload, offset = payload[-offset:], 0
	case this.kept == nil || this.kept.shift(-offset): // what was taken for the start was not
		this.base, offset, s.leader = p.Seq, 0, 0
	default:
		return nil, 0, false
	}
	return payload, offset, true
}

// keep copies a piece for as long as some parser may want it.
func (d *desk) keep(s *stream, this *side, offset int, payload []byte) {
	if this.kept == nil {
		this.kept = d.assemblies.take()
	}
	wanted := d.budget[s.leader]
	if !this.known { // an earlier start may turn up, and be asked about anew
		wanted = d.budget[0]
	}
	this.kept.limit = max(wanted, len(this.kept.buf))
	this.kept.add(offset, payload)
}

// lead asks the leading parser, and the next one when it says NotMine. Likely stands for: it waits for the end of its message.
func (d *desk) lead(s *stream) Verdict {
	if s.outer != Unknown {
		switch v := d.ask(&d.tcp[d.tls], &d.asked); {
		case v == Likely && !d.asked.waits:
			return Need
		default:
			return v
		}
	}
	for ; int(s.leader) < len(d.tcp); s.leader++ {
		switch d.ask(&d.tcp[s.leader], &d.asked) {
		case Found:
			return Found
		case Likely:
			if d.asked.waits {
				return Likely
			}
			return Need
		case Need:
			return Need
		}
	}
	return NotMine
}

// concludeStream asks everyone who has not said NotMine for the last time: the first who is sure, else the likeliest. Where the start of
// the connection was not seen, who was taken for the client may be the server.
func (d *desk) concludeStream(s *stream) (Verdict, *Result) {
	d.view.Client, d.view.Server, d.view.room = s.sides[FromClient].prefix(), s.sides[FromServer].prefix(), s.room
	if len(d.view.Client)+len(d.view.Server) == 0 {
		return NotMine, nil
	}
	from := int(s.leader)
	if s.outer != Unknown {
		return NotMine, nil
	}
	v := d.last(d.tcp[from:])
	if v == NotMine && !s.sides[FromClient].known && !s.sides[FromServer].known {
		d.view.Client, d.view.Server = d.view.Server, d.view.Client
		d.view.ClientPort, d.view.ServerPort = d.view.ServerPort, d.view.ClientPort
		v = d.last(d.tcp)
	}
	s.room = d.view.room
	return v, &d.best
}

func (d *desk) last(parsers []Parser) Verdict {
	found := NotMine
	for i := range parsers {
		switch d.ask(&parsers[i], &d.asked) {
		case Found:
			d.best = d.asked
			return Found
		case Likely:
			if found == NotMine || d.asked.Confidence > d.best.Confidence {
				found, d.best = Likely, d.asked
			}
		}
	}
	return found
}

// goOn has the reading of a recognised stream wait for a hello inside it: after STARTTLS, behind a proxy.
func (d *desk) goOn(s *stream, outer Protocol) {
	d.forget(s)
	s.count, s.outer = [2]uint8{}, outer
}

// carriesHello tells which protocols turn into TLS on the way.
func carriesHello(r *Result) bool {
	switch r.Protocol {
	case SMTP, IMAP, POP3, NNTP, FTP, IRC, XMPP, LDAP, SOCKS, RDP, MySQL, PostgreSQL, AMQP:
		return true
	}
	return r.inner
}

// startsHello tells whether a payload begins with a handshake record of TLS that begins with a ClientHello.
func startsHello(b []byte) bool {
	return len(b) >= 6 && b[0] == recordHandshake && b[1] == 3 && b[5] == helloClient
}
