package dpi

import "github.com/trenza-router/trenza/router/flow"

// How much of a flow is read: payload packets of each direction. The next one ends the reading. A parser that has recognised its own
// message and waits for its end has the reading go on, up to maxStream bytes.
const (
	clientPackets = 8
	serverPackets = 4
	// uncertainPackets is how many packets of a client whose start was not seen are waited for, when the first are nobody's.
	uncertainPackets = 4
)

// desk is where flows are read, one after the other: the parsers, and memory that flows use in turns.
type desk struct {
	tcp, udp   []Parser // in order of trust
	budget     []int    // of tcp: the most that any parser from here on wants of a direction
	tls        int      // in tcp: who reads a hello inside another protocol
	view       View
	asked      Result // by the parser that is being asked
	best       Result
	streams    pool[stream]
	assemblies pool[assembly]
	datagrams  pool[datagrams]
	results    pool[Result]
	rooms      pool[room]
}

func newDesk(parsers []Parser) *desk {
	d := &desk{tls: -1}
	for _, p := range parsers {
		if p.Over == flow.ProtoUDP {
			d.udp = append(d.udp, p)
			continue
		}
		if p.Protocol == TLS {
			d.tls = len(d.tcp)
		}
		d.tcp = append(d.tcp, p)
	}
	d.budget = make([]int, len(d.tcp)+1)
	for i := len(d.tcp) - 1; i >= 0; i-- {
		d.budget[i] = min(max(d.budget[i+1], d.tcp[i].Budget), maxStream)
	}
	return d
}

// reading is one flow that is being read: a stream or datagrams.
type reading struct {
	stream    *stream
	datagrams *datagrams
}

func (r reading) active() bool { return r.stream != nil || r.datagrams != nil }

// count returns how many packets with something new were read.
func (r reading) count() (client, server uint8) {
	if r.stream != nil {
		return r.stream.count[FromClient], r.stream.count[FromServer]
	}
	return r.datagrams.count[FromClient], r.datagrams.count[FromServer]
}

// final tells whether NotMine is: the start of a stream may not have been seen yet.
func (r reading) final() bool {
	return r.stream == nil || r.stream.sides[FromClient].known || r.stream.count[FromClient] >= uncertainPackets
}

func (d *desk) begin(proto flow.Proto) reading {
	if proto == flow.ProtoTCP {
		s := d.streams.take()
		*s = stream{}
		return reading{stream: s}
	}
	u := d.datagrams.take()
	*u = datagrams{}
	return reading{datagrams: u}
}

// end gives back what the flow had.
func (d *desk) end(r reading) {
	if s := r.stream; s != nil {
		d.forget(s)
		d.giveRoom(s.room)
		d.streams.give(s)
	}
	if u := r.datagrams; u != nil {
		d.results.give(u.kept)
		d.giveRoom(u.room)
		d.datagrams.give(u)
	}
}

func (d *desk) giveRoom(r *room) {
	if r != nil {
		r.reset()
		d.rooms.give(r)
	}
}

// read asks the parsers what they make of one more packet. Found comes with a result that is good until the next call, Likely
// says that only the end of a message is waited for.
func (d *desk) read(r reading, k *trackKey, dir Direction, p *Packet) (Verdict, *Result) {
	d.look(k)
	if r.stream != nil {
		return d.readStream(r.stream, dir, p)
	}
	return d.readDatagram(r.datagrams, dir, p.Payload)
}

// conclude says what the flow is when nothing more will be read: Found, Likely or NotMine.
func (d *desk) conclude(r reading, k *trackKey) (Verdict, *Result) {
	d.look(k)
	if r.stream != nil {
		return d.concludeStream(r.stream)
	}
	switch u := r.datagrams; {
	case u.kept == nil:
		return NotMine, nil
	case u.found:
		return Found, u.kept
	default:
		return Likely, u.kept
	}
}

// look prepares the view for a flow.
func (d *desk) look(k *trackKey) {
	d.view = View{Proto: k.proto, ClientPort: k.clientPort, ServerPort: k.serverPort, rooms: &d.rooms}
}

func (d *desk) ask(p *Parser, r *Result) Verdict {
	r.reset(p.Protocol)
	return p.Read(&d.view, r)
}
