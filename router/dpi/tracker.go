package dpi

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/lru"
)

// Finding is what the wire told about a flow.
type Finding struct {
	Key        flow.Key // client first
	Protocol   Protocol
	Confidence uint8  // see Result
	Host       string // empty: the protocol was recognised, the client named no host
	Source     Source // of Host
	ALPN       ALPN
	ECH        bool // see Result.ECH
	Literal    bool // see Result.Literal
	Front      bool // see Result.Front
}

// NamesServer tells whether the client itself named the server's host, so that the address may be learned by it.
func (f *Finding) NamesServer() bool {
	return f.Host != "" && !f.Literal && (f.Source == SourceTLS || f.Source == SourceHTTP || f.Source == SourceQUIC)
}

// Limits bound a Tracker. Zero fields take the default.
type Limits struct {
	Flows   int           // flows remembered, those already answered included; default 4096
	Readers int           // flows being read at one time; default 512
	Age     time.Duration // a flow not seen for so long is forgotten; default 30 s
}

// Tracker holds the flows whose first packets are being read. Copies may come out of order, twice, from the middle
// of a connection or not at all. Not safe for concurrent use.
type Tracker struct {
	// Ended is called with what looked likely of a flow whose reading ended without Observe being called for it: it was
	// not seen for long, had to make room, its ports were used again, or Flush was called. It may be nil and must not call
	// the Tracker.
	Ended func(Finding)

	limits  Limits
	desk    *desk
	flows   *lru.Map[trackKey, tracked]
	order   []trackKey // flows that are or were being read, oldest first from next on
	next    int
	reading int
	hosts   map[string]string
	stats   TrackerStats
}

// TrackerStats count since the Tracker was made. Found counts the proofs, Likely the answers without proof, Unknown the flows that were
// read to the end in vain.
type TrackerStats struct {
	Packets, Undecodable, Flows, Found, Likely, Unknown, Crowded uint64
}

// trackKey is a flow.Key in a form that hashes fast and is small.
type trackKey struct {
	client, server         [16]byte
	clientPort, serverPort uint16
	proto                  flow.Proto
	is4                    bool
}

// trackKeyOf is the key of a flow of which dir sent a packet with the key k.
func trackKeyOf(k *flow.Key, dir Direction) trackKey {
	client, server := &k.Src, &k.Dst
	if dir == FromServer {
		client, server = server, client
	}
	return trackKey{
		client: client.Addr().As16(), server: server.Addr().As16(),
		clientPort: client.Port(), serverPort: server.Port(), proto: k.Proto, is4: client.Addr().Is4(),
	}
}

func (k *trackKey) key() flow.Key {
	client, server := netip.AddrFrom16(k.client), netip.AddrFrom16(k.server)
	if k.is4 {
		client, server = client.Unmap(), server.Unmap()
	}
	return flow.Key{Proto: k.proto, Src: netip.AddrPortFrom(client, k.clientPort), Dst: netip.AddrPortFrom(server, k.serverPort)}
}

type tracked struct {
	reading  reading // not active: answered, or given up
	seen     int64   // Unix nanoseconds
	start    uint32  // TCP: the client's first sequence number, when its SYN was seen
	syn      bool
	answered bool // once already: what is still read is a hello inside
}

// NewTracker makes an empty table that asks the given parsers, of which there are at most 192 for a transport.
func NewTracker(limits Limits, parsers []Parser) *Tracker {
	limits.Flows = defaultTo(limits.Flows, 4096)
	limits.Readers = defaultTo(limits.Readers, 512)
	limits.Age = defaultTo(limits.Age, 30*time.Second)
	return &Tracker{
		limits: limits, desk: newDesk(parsers),
		flows: lru.New[trackKey, tracked](limits.Flows),
		hosts: map[string]string{},
	}
}

func defaultTo[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

func (t *Tracker) Stats() TrackerStats { return t.stats }

// Len is the number of flows remembered.
func (t *Tracker) Len() int { return t.flows.Len() }

// Observe reads one copy of an IP packet. dir says whether the flow's client or its server sent it. ok is true for the packet
// that completes an answer: once for each flow, and a second time when a host is named inside a protocol that carries TLS later (a
// proxy, STARTTLS); the second finding has the outer protocol and the inner host.
func (t *Tracker) Observe(packet []byte, dir Direction, now time.Time) (f Finding, ok bool) {
	var p Packet
	if err := Decode(packet, &p); err != nil {
		t.stats.Packets++
		t.stats.Undecodable++
		return f, false
	}
	return t.ObservePacket(&p, dir, now)
}

// ObservePacket is Observe for a packet that is decoded already.
func (t *Tracker) ObservePacket(p *Packet, dir Direction, now time.Time) (f Finding, ok bool) {
	t.stats.Packets++
	t.forget(now.UnixNano())
	proto := p.Key.Proto
	if proto != flow.ProtoTCP && proto != flow.ProtoUDP || p.Fragment == LaterFragment {
		return f, false
	}
	k := trackKeyOf(&p.Key, dir)
	opening := proto == flow.ProtoTCP && dir == FromClient && p.Flags&(SYN|ACK) == SYN
	e := t.flows.Get(k)
	if e != nil && opening && !(e.syn && e.start == p.Seq) && (e.syn || !e.reading.active()) {
		t.drop(k, e) // the ports are used again by another connection
		e = nil
	}
	if e == nil {
		if len(p.Payload) == 0 && !opening {
			return f, false
		}
		e = t.begin(k)
	}
	e.seen = now.UnixNano()
	if opening {
		e.syn, e.start = true, p.Seq
	}
	if !e.reading.active() {
		return f, false
	}
	if r := t.read(&k, e, dir, p); r != nil {
		return t.finding(&k, r), true
	}
	return f, false
}

// read reads a packet and ends the reading of a flow when there is an answer, which it returns, or no hope.
func (t *Tracker) read(k *trackKey, e *tracked, dir Direction, p *Packet) *Result {
	verdict, result := t.desk.read(e.reading, k, dir, p)
	client, server := e.reading.count()
	switch {
	case verdict == Found:
		return t.found(e, result)
	case verdict == Likely: // waits for the end of a message
	case verdict == NotMine && e.reading.final(), client > clientPackets, server > serverPackets:
		return t.conclude(k, e)
	}
	return nil
}

// found notes an answer, and has the reading go on where a hello may follow.
func (t *Tracker) found(e *tracked, r *Result) *Result {
	s := e.reading.stream
	if e.answered { // the hello inside
		r.Protocol = s.outer
		t.release(e)
		if r.n == 0 {
			return nil
		}
		return r
	}
	t.stats.Found++
	e.answered = true
	if s != nil && t.desk.tls >= 0 && carriesHello(r) {
		t.desk.goOn(s, r.Protocol)
	} else {
		t.release(e)
	}
	return r
}

// conclude ends a reading without a proof and returns what the flow looks like, or nil.
func (t *Tracker) conclude(k *trackKey, e *tracked) (r *Result) {
	if !e.answered {
		var verdict Verdict
		switch verdict, r = t.desk.conclude(e.reading, k); verdict {
		case Found:
			t.stats.Found++
		case Likely:
			t.stats.Likely++
		default:
			t.stats.Unknown++
			r = nil
		}
		e.answered = true
	}
	t.release(e)
	return r
}

// finding is good for as long as the caller likes; the result only until the next flow is read.
func (t *Tracker) finding(k *trackKey, r *Result) Finding {
	return Finding{
		Key: k.key(), Protocol: r.Protocol, Confidence: r.Confidence, Source: r.Source,
		Host: t.intern(r.Host()), ALPN: r.ALPN, ECH: r.ECH, Literal: r.Literal, Front: r.Front,
	}
}

// maxHosts bounds the names of which one copy is kept for all findings: they repeat.
const maxHosts = 512

func (t *Tracker) intern(host []byte) string {
	if len(host) == 0 {
		return ""
	}
	if s, ok := t.hosts[string(host)]; ok {
		return s
	}
	if len(t.hosts) >= maxHosts {
		clear(t.hosts)
	}
	s := string(host)
	t.hosts[s] = s
	return s
}

// Flush ends the reading of all flows, as at the end of a capture, and calls Ended for what looks likely. The flows are forgotten.
func (t *Tracker) Flush() {
	for {
		key, e, ok := t.flows.Oldest()
		if !ok {
			return
		}
		t.drop(key, e)
	}
}

// Forget ends the reading of one flow, client first, and calls Ended if something looks likely.
func (t *Tracker) Forget(key flow.Key) {
	k := trackKeyOf(&key, FromClient)
	if e := t.flows.Peek(k); e != nil {
		t.drop(k, e)
	}
}

// begin adds a flow, with a reader.
func (t *Tracker) begin(k trackKey) *tracked {
	t.stats.Flows++
	if t.flows.Full() {
		old, e, _ := t.flows.Oldest()
		t.drop(old, e)
	}
	if t.reading >= t.limits.Readers {
		t.stats.Crowded++
		t.endOldestReading()
	}
	e := t.flows.Put(k, tracked{})
	e.reading = t.desk.begin(k.proto)
	t.reading++
	t.enqueue(k)
	return e
}

// enqueue remembers the order in which flows began to be read, and leaves out those that no longer are when there are too many.
func (t *Tracker) enqueue(k trackKey) {
	if len(t.order) >= 4*t.limits.Readers {
		kept := t.order[:0]
		for _, old := range t.order[t.next:] {
			if e := t.flows.Peek(old); e != nil && e.reading.active() {
				kept = append(kept, old)
			}
		}
		t.order, t.next = kept, 0
	}
	t.order = append(t.order, k)
}

// endOldestReading takes the reader from the flow that waited for longest: a flood of half-sent hellos cannot keep new flows
// from being read.
func (t *Tracker) endOldestReading() {
	for t.next < len(t.order) {
		k := t.order[t.next]
		t.next++
		if e := t.flows.Peek(k); e != nil && e.reading.active() {
			t.end(k, e)
			return
		}
	}
}

// end concludes a reading that no packet will.
func (t *Tracker) end(k trackKey, e *tracked) {
	if !e.reading.active() {
		return
	}
	if r := t.conclude(&k, e); r != nil && t.Ended != nil {
		t.Ended(t.finding(&k, r))
	}
}

func (t *Tracker) release(e *tracked) {
	t.desk.end(e.reading)
	e.reading = reading{}
	t.reading--
}

func (t *Tracker) drop(k trackKey, e *tracked) {
	t.end(k, e)
	t.flows.Delete(k)
}

// forget drops flows that were not seen for too long: a few at each packet, so that no packet waits for many.
func (t *Tracker) forget(now int64) {
	for range 4 {
		key, e, ok := t.flows.Oldest()
		if !ok || now-e.seen < int64(t.limits.Age) {
			return
		}
		t.drop(key, e)
	}
}
