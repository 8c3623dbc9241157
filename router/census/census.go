package census

import (
	"errors"
	"time"

	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/classify"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
)

// Flow is one flow of a capture.
type Flow struct {
	Key         flow.Key // client first; without ports for ICMP and other protocols that have none
	First, Last time.Time
	Packets     uint64 // of both directions
	Bytes       uint64 // of those packets as they were on the wire, with the link header
	ALPN        dpi.ALPN
	ECH         bool
	Is          classify.Identity
}

// DefaultFlows is how many flows are held when nothing else is asked for: about 200 MB when all are there.
const DefaultFlows = 1 << 17

// Census reads packets in the order of a capture and hands out its flows in the order of their first packets.
type Census struct {
	emit    func(*Flow)
	frames  *capture.Reassembler
	tracker *dpi.Tracker
	memory  *memory
	waiting announced
	table   *table
	before  *entry    // while a packet is read that begins a flow: the one with the same ends before it
	now     time.Time // of the last packet
	stats   Stats
}

// Stats count since the Census was made.
type Stats struct {
	Packets  uint64 // records of the capture
	NotIP    uint64 // of them frames of something else, or broken
	Unread   uint64 // of them with a link type that cannot be read
	Flows    uint64
	Evicted  uint64           // flows that were handed out early, because there were too many
	LinkType capture.LinkType // of the last Unread
}

// New makes an empty census. limit is how many flows are held at most; emit gets each flow once, and must not keep it. When there are
// more flows than that the oldest one is handed out; what comes of it later counts as another flow.
func New(apps *catalog.Catalog, limit int, emit func(*Flow)) *Census {
	c := &Census{
		emit: emit, frames: capture.NewReassembler(), memory: newMemory(apps), waiting: announced{}, table: newTable(max(limit, 1)),
		tracker: dpi.NewTracker(dpi.Limits{Flows: readFlows, Readers: readAtOnce, Age: otherSilence}, dpi.Parsers()),
	}
	c.tracker.Ended = c.ended
	return c
}

// Bounds of the reading: a flow is read in its first packets, so that these hold far more flows than are in the table.
const (
	readFlows  = 1 << 16
	readAtOnce = 1 << 12
)

// Stats returns the counts so far.
func (c *Census) Stats() Stats { return c.stats }

// Packet counts one packet, and reads it.
func (c *Census) Packet(r capture.Record) {
	c.stats.Packets++
	if r.At.After(c.now) {
		c.now = r.At // in some captures packets stand a little out of order
	}
	ip, err := capture.Network(r.Link, r.Data)
	if err != nil {
		if errors.Is(err, capture.ErrLinkType) {
			c.stats.Unread++
			c.stats.LinkType = r.Link
		} else {
			c.stats.NotIP++
		}
		return
	}
	c.expire(false)
	if d, ok := c.frames.Add(ip, c.now, r.Length); ok {
		c.datagram(d)
	}
}

// Close hands out all flows that are left.
func (c *Census) Close() {
	c.expire(true)
	for c.table.oldest() != nil {
		c.handOut()
	}
}

// expire counts datagrams that will not become whole.
func (c *Census) expire(all bool) {
	for {
		d, ok := c.frames.Expired(c.now, all)
		if !ok {
			return
		}
		c.datagram(d)
	}
}

// IP protocols that carry whole IP packets (RFC 2003, RFC 4213).
const (
	ipInIP   = 4
	ipv6InIP = 41
)

// maxTunnels bounds the IP packets inside of each other.
const maxTunnels = 4

// datagram counts a whole packet. A packet in a bare tunnel counts as what is inside: it has no port, no key and no name of its own.
func (c *Census) datagram(d capture.Datagram) {
	var p, inner dpi.Packet
	if err := dpi.Decode(d.IP, &p); err != nil && !errors.Is(err, dpi.ErrNoHeader) {
		c.stats.NotIP++
		return
	}
	for range maxTunnels {
		if p.Key.Proto != ipInIP && p.Key.Proto != ipv6InIP || p.Fragment != dpi.Whole || dpi.Decode(p.Payload, &inner) != nil {
			break
		}
		p = inner
	}
	if !p.Key.Proto.HasPorts() { // an identifier of echoes is no port: all that two machines say with ICMP is one flow
		p.Key = withoutPorts(p.Key)
	}
	e, dir := c.flowOf(&p)
	e.Packets += uint64(d.Packets)
	e.Bytes += uint64(d.Bytes)
	e.seen, e.Last = c.now, c.now
	e.note(&p, dir)
	if f, ok := c.tracker.ObservePacket(&p, dir, c.now); ok {
		c.found(e, f)
	}
	c.before = nil
	c.waiting.learn(&p)
	if a, ok := dnsAnswer(&p); ok {
		device := c.memory.number(p.Key.Dst.Addr()) // may begin a new memory
		c.memory.names.LearnDNS(device, a.host, a.addrs, a.ttl, c.now)
	}
}

// flowOf finds the flow of a packet or begins one.
func (c *Census) flowOf(p *dpi.Packet) (*entry, dpi.Direction) {
	at := endsOf(p.Key)
	if e := c.table.find(at, p, c.now); e != nil {
		return e, e.direction(p.Key)
	}
	for c.table.full() {
		c.stats.Evicted++
		c.handOut()
	}
	key, dir := p.Key, dpi.FromClient
	if !fromClient(p) {
		key, dir = key.Reverse(), dpi.FromServer
	}
	c.stats.Flows++
	c.before = c.table.index[at]
	e := c.table.add(at, key, c.now)
	e.clue = c.memory.names.Recall(c.memory.known(key.Src.Addr()), key, c.now)
	e.data = c.waiting.take(key)
	return e, dir
}

// found takes over what the wire told.
func (c *Census) found(e *entry, f dpi.Finding) {
	if e.spoke && f.Host == "" {
		return // the reading began anew in the middle of the flow: what its start said is better
	}
	e.said, e.spoke = f, true
	device := c.memory.number(e.Key.Src.Addr()) // may begin a new memory
	c.memory.names.LearnWire(device, f, c.now)
}

// ended takes over what looked likely of a flow when its reading ended without a packet of its own.
func (c *Census) ended(f dpi.Finding) {
	at := endsOf(f.Key)
	e := c.table.index[at]
	if c.before != nil && c.before.ends == at {
		e = c.before
	}
	if e != nil && e.Key == f.Key {
		c.found(e, f)
	}
}

// handOut finishes the oldest flow.
func (c *Census) handOut() {
	e := c.table.oldest()
	if c.table.index[e.ends] == e {
		c.tracker.Forget(e.Key)
	}
	evidence := classify.Evidence{Clue: e.clue, Refused: !e.spoke && e.wasRead()}
	switch {
	case e.data && !(e.spoke && e.said.Protocol == dpi.TLS): // whatever the file in it looks like
		evidence.Announced = dpi.FTPData
	case e.spoke:
		evidence.Said = &e.said
		e.ALPN, e.ECH = e.said.ALPN, e.said.ECH
	}
	e.Is = c.memory.names.Judge(c.memory.known(e.Key.Src.Addr()), e.Key, evidence, e.First)
	switch {
	case e.spoke && e.said.Source == dpi.SourceDNS: // what is asked about; nothing else is known of a name server by name
		e.Is.Host, e.Is.HostSource = e.said.Host, "dns"
	case e.spoke && e.said.Literal:
		e.Is.Host, e.Is.HostSource = e.said.Host, e.said.Source.String()
	case e.Is.HostSource == "": // of another flow: good for the application, and its reason says so
		e.Is.Host = ""
	}
	c.emit(&e.Flow)
	c.table.pop()
}
