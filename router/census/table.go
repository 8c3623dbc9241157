package census

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/classify"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
)

// How long a flow may be silent and go on. Programs hold connections for hours; the ports of a datagram flow are used again sooner.
const (
	tcpSilence   = 2 * time.Hour
	otherSilence = 10 * time.Minute
)

// ends are the two ends of a flow, the lower one first, so that both directions give the same. It holds no pointer.
type ends struct {
	a, b         [16]byte
	aPort, bPort uint16
	proto        flow.Proto
	v4           bool
}

func endsOf(k flow.Key) ends {
	src, dst := k.Src, k.Dst
	if src.Compare(dst) > 0 {
		src, dst = dst, src
	}
	return ends{src.Addr().As16(), dst.Addr().As16(), src.Port(), dst.Port(), k.Proto, src.Addr().Is4()}
}

// entry is a flow in the table.
type entry struct {
	Flow
	ends  ends
	clue  classify.Clue // from before its first packet
	said  dpi.Finding   // when spoke
	spoke bool
	seen  time.Time // its last packet
	sides [2]side   // by direction
	shut  bool      // FIN or RST was seen
	cut   bool      // the capture has not all of a packet
	data  bool      // a control connection of FTP announced it
}

// side is what was seen of one direction.
type side struct {
	start   uint32 // TCP: the first sequence number
	began   bool   // start is set
	syn     bool   // by a SYN
	payload bool
}

// note remembers what tells later where the flow ends and whether it was read from its start.
func (e *entry) note(p *dpi.Packet, dir dpi.Direction) {
	s := &e.sides[dir]
	if p.Key.Proto == flow.ProtoTCP {
		if syn := p.Flags&dpi.SYN != 0; !s.began || syn {
			s.start, s.began, s.syn = p.Seq, true, syn
		}
		e.shut = e.shut || p.Flags&(dpi.FIN|dpi.RST) != 0
	}
	s.payload = s.payload || len(p.Payload) > 0
	e.cut = e.cut || p.Cut
}

// wasRead tells that there was something to read, and from its start: what was not recognised then is nothing that we know.
func (e *entry) wasRead() bool {
	for _, s := range e.sides {
		if s.payload && !e.cut && (e.Key.Proto == flow.ProtoUDP || s.syn) {
			return true
		}
	}
	return false
}

// table holds the flows that are not handed out yet.
type table struct {
	limit int
	index map[ends]*entry
	queue []*entry // by first packet; those before head are gone
	head  int
	spare []*entry
}

func newTable(limit int) *table { return &table{limit: limit, index: map[ends]*entry{}} }

// find returns the flow of a packet, unless the packet begins another one with the same ends.
func (t *table) find(at ends, p *dpi.Packet, now time.Time) *entry {
	e := t.index[at]
	if e == nil || e.ended(p, now) {
		return nil
	}
	return e
}

// ended tells whether a packet cannot belong to the flow any more.
func (e *entry) ended(p *dpi.Packet, now time.Time) bool {
	silence := otherSilence
	if p.Key.Proto == flow.ProtoTCP {
		silence = tcpSilence
	}
	if now.Sub(e.seen) > silence {
		return true
	}
	if p.Key.Proto != flow.ProtoTCP || p.Flags&(dpi.SYN|dpi.ACK|dpi.RST) != dpi.SYN {
		return false
	}
	// A SYN: the same one again (or one that came late), another attempt, or the ports used anew.
	if s := e.sides[e.direction(p.Key)]; s.began && s.start == p.Seq {
		return false
	}
	return e.shut || e.sides[dpi.FromClient].payload || e.sides[dpi.FromServer].payload
}

func (e *entry) direction(k flow.Key) dpi.Direction {
	if k.Src == e.Key.Src && k.Dst == e.Key.Dst {
		return dpi.FromClient
	}
	return dpi.FromServer
}

// add begins a flow. No packet finds the one with the same ends any more, if there is one.
func (t *table) add(at ends, key flow.Key, now time.Time) *entry {
	var e *entry
	if n := len(t.spare); n > 0 {
		e, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		e = new(entry)
	}
	*e = entry{Flow: Flow{Key: key, First: now}, ends: at}
	t.index[at] = e
	t.queue = append(t.queue, e)
	return e
}

// full tells that the oldest flow must leave before another one begins.
func (t *table) full() bool { return len(t.queue)-t.head >= t.limit }

// oldest is the flow whose first packet came first; nil when there is none.
func (t *table) oldest() *entry {
	if t.head == len(t.queue) {
		return nil
	}
	return t.queue[t.head]
}

// pop takes the oldest flow out. It may be used again for another flow after the next call of add.
func (t *table) pop() {
	e := t.queue[t.head]
	t.queue[t.head] = nil
	if t.head++; t.head > len(t.queue)/2 && t.head > 64 {
		n := copy(t.queue, t.queue[t.head:])
		clear(t.queue[n:])
		t.queue, t.head = t.queue[:n], 0
	}
	if t.index[e.ends] == e {
		delete(t.index, e.ends)
	}
	if len(t.spare) < 1024 {
		t.spare = append(t.spare, e)
	}
}

// fromClient tells whether the first packet of a flow was sent by its client: who opens a connection, who talks to the port of a
// service, else who spoke first.
func fromClient(p *dpi.Packet) bool {
	if p.Key.Proto == flow.ProtoTCP && p.Flags&dpi.SYN != 0 {
		return p.Flags&dpi.ACK == 0
	}
	if !p.Key.Proto.HasPorts() || !isUnicast(p.Key.Dst.Addr()) {
		return true
	}
	return isService(p.Key.Proto, p.Key.Dst.Port()) || !isService(p.Key.Proto, p.Key.Src.Port())
}

func isService(proto flow.Proto, port uint16) bool {
	if port < 1024 {
		return true
	}
	_, ok := classify.PortProtocol(proto, port)
	return ok
}

func isUnicast(a netip.Addr) bool {
	return !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func withoutPorts(k flow.Key) flow.Key {
	k.Src, k.Dst = netip.AddrPortFrom(k.Src.Addr(), 0), netip.AddrPortFrom(k.Dst.Addr(), 0)
	return k
}
