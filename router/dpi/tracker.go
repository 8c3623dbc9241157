package dpi

import (
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/lru"
)

// Finding is what the wire told about a flow.
type Finding struct {
	Key    flow.Key // client first
	Source Source
	Host   string // empty: the protocol was recognised, the client named no host
	ALPN   ALPN
	ECH    bool // see Result.ECH
}

// Limits bound a Tracker. Zero fields take the default.
type Limits struct {
	Flows   int           // flows remembered, those already answered included; default 4096
	Readers int           // flows being read at one time; default 512
	Packets int           // payload packets read of one flow; default 32
	Age     time.Duration // a flow not seen for so long is forgotten; default 30 s
}

// Tracker holds the flows whose first packets are being read. Copies may come out of order, twice, from the middle
// of a connection or not at all. Not safe for concurrent use.
type Tracker struct {
	limits    Limits
	protocols []Protocol
	flows     *lru.Map[flow.Key, tracked]
	idle      map[flow.Proto][]*reader
	reading   int
	stats     TrackerStats
}

// TrackerStats count since the Tracker was made.
type TrackerStats struct {
	Packets, Undecodable, Flows, Found, Unknown, Crowded uint64
}

type tracked struct {
	reader  *reader // nil: answered, or given up
	seen    time.Time
	packets [2]int // with payload, by Direction
	start   uint32 // TCP: the client's first sequence number, when its SYN was seen
	syn     bool
}

// uncertainPackets is how many packets of a flow without a recognised start are waited for.
const uncertainPackets = 4

// NewTracker makes an empty table that asks the given protocols' parsers.
func NewTracker(limits Limits, protocols []Protocol) *Tracker {
	limits.Flows = defaultTo(limits.Flows, 4096)
	limits.Readers = defaultTo(limits.Readers, 512)
	limits.Packets = defaultTo(limits.Packets, 32)
	limits.Age = defaultTo(limits.Age, 30*time.Second)
	return &Tracker{
		limits: limits, protocols: protocols,
		flows: lru.New[flow.Key, tracked](limits.Flows),
		idle:  map[flow.Proto][]*reader{},
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
// that completes an answer: once for each flow.
func (t *Tracker) Observe(packet []byte, dir Direction, now time.Time) (f Finding, ok bool) {
	t.stats.Packets++
	t.forget(now)
	var p Packet
	if err := Decode(packet, &p); err != nil {
		t.stats.Undecodable++
		return f, false
	}
	proto := p.Key.Proto
	if proto != flow.ProtoTCP && proto != flow.ProtoUDP || p.Fragment == LaterFragment {
		return f, false
	}
	key := p.Key
	if dir == FromServer {
		key = key.Reverse()
	}
	opening := proto == flow.ProtoTCP && dir == FromClient && p.Flags&(SYN|ACK) == SYN
	e := t.flows.Get(key)
	if e != nil && opening && !(e.syn && e.start == p.Seq) && (e.syn || e.reader == nil) {
		t.drop(key, e) // the ports are used again by another connection
		e = nil
	}
	if e == nil {
		if len(p.Payload) == 0 && !opening {
			return f, false
		}
		e = t.begin(key, now)
	}
	e.seen = now
	if opening {
		e.syn, e.start = true, p.Seq
	}
	if e.reader == nil {
		return f, false
	}
	if proto == flow.ProtoTCP {
		e.reader.segment(dir, &p)
	} else {
		e.reader.feed(dir, p.Payload)
	}
	if len(p.Payload) > 0 {
		e.packets[dir]++
	}
	return t.judge(key, e)
}

// judge ends the reading of a flow when there is an answer or no hope.
func (t *Tracker) judge(key flow.Key, e *tracked) (f Finding, ok bool) {
	verdict, result := e.reader.verdict()
	switch {
	case verdict == Found:
		t.stats.Found++
		f = Finding{Key: key, Source: result.Source, Host: string(result.Host()), ALPN: result.ALPN, ECH: result.ECH}
		t.release(key.Proto, e)
		return f, true
	case verdict == NotMine && (key.Proto != flow.ProtoTCP || e.reader.certain() || e.packets[FromClient] >= uncertainPackets),
		e.packets[FromClient]+e.packets[FromServer] >= t.limits.Packets:
		t.stats.Unknown++
		t.release(key.Proto, e)
	}
	return f, false
}

// begin adds a flow, with a reader if one may be had.
func (t *Tracker) begin(key flow.Key, now time.Time) *tracked {
	t.stats.Flows++
	if t.flows.Full() {
		old, e, _ := t.flows.Oldest()
		t.drop(old, e)
	}
	e := t.flows.Put(key, tracked{seen: now})
	if t.reading >= t.limits.Readers {
		t.stats.Crowded++
		t.endOldestReading()
	}
	e.reader = t.reader(key.Proto)
	t.reading++
	return e
}

// endOldestReading takes the reader from the flow that waited for longest: a flood of half-sent hellos cannot keep new flows
// from being read.
func (t *Tracker) endOldestReading() {
	var key flow.Key
	var oldest *tracked
	t.flows.All(func(k flow.Key, e *tracked) bool {
		if e.reader != nil {
			key, oldest = k, e
		}
		return true
	})
	if oldest != nil {
		t.release(key.Proto, oldest)
	}
}

func (t *Tracker) reader(proto flow.Proto) *reader {
	if idle := t.idle[proto]; len(idle) > 0 {
		r := idle[len(idle)-1]
		t.idle[proto] = slices.Delete(idle, len(idle)-1, len(idle))
		r.reset()
		return r
	}
	r := new(reader)
	for _, p := range t.protocols {
		if p.Transport == proto {
			r.parsers = append(r.parsers, p.New())
		}
	}
	r.verdicts = make([]Verdict, len(r.parsers))
	r.reset()
	return r
}

// maxIdleReaders bounds the readers kept for later, of each transport.
const maxIdleReaders = 32

func (t *Tracker) release(proto flow.Proto, e *tracked) {
	if e.reader == nil {
		return
	}
	if len(t.idle[proto]) < maxIdleReaders {
		t.idle[proto] = append(t.idle[proto], e.reader)
	}
	e.reader = nil
	t.reading--
}

func (t *Tracker) drop(key flow.Key, e *tracked) {
	t.release(key.Proto, e)
	t.flows.Delete(key)
}

// forget drops flows that were not seen for too long: a few at each packet, so that no packet waits for many.
func (t *Tracker) forget(now time.Time) {
	for range 4 {
		key, e, ok := t.flows.Oldest()
		if !ok || now.Sub(e.seen) < t.limits.Age {
			return
		}
		t.drop(key, e)
	}
}
