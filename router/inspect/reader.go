package inspect

import (
	"time"

	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/lru"
	"github.com/trenza-router/trenza/router/policy"
)

const (
	maxFlows = 1024             // at maxBytes each 8 MiB when full
	flowAge  = 30 * time.Second // a flow not seen for so long is begun anew
)

// Reader reads flows that a rule about content means, each from its first packets.
type Reader struct {
	tracker *dpi.Tracker
	flows   *lru.Map[flow.Key, reading]
}

// reading is what a flow has said so far.
type reading struct {
	stream  stream
	content policy.Content
	mark    flow.Mark
	seen    time.Time
}

// NewReader makes a reader that has seen nothing.
func NewReader() *Reader {
	r := &Reader{flows: lru.New[flow.Key, reading](maxFlows)}
	r.tracker = dpi.NewTracker(dpi.Limits{Flows: maxFlows, Age: flowAge}, dpi.Parsers())
	r.tracker.Ended = func(f dpi.Finding) {
		if s := r.flows.Peek(f.Key); s != nil {
			Told(&s.content, f)
		}
	}
	return r
}

// Seen is what a flow says up to a packet.
type Seen struct {
	Key     flow.Key       // client first
	Mark    flow.Mark      // of the client's packets: the kernel restores none on a server's
	Content policy.Content // its payload is valid until the next packet
}

// Read takes a packet of a flow with its mark. It returns what the flow says up to it; false when that is no more than before. A server's packets count
// for flows of which the client was heard.
func (r *Reader) Read(p *dpi.Packet, mark flow.Mark, now time.Time) (Seen, bool) {
	if p.Fragment == dpi.LaterFragment || p.Key.Proto != flow.ProtoTCP && p.Key.Proto != flow.ProtoUDP {
		return Seen{}, false
	}
	if back := p.Key.Reverse(); r.flows.Peek(p.Key) == nil {
		if f := r.flows.Get(back); f != nil {
			f.seen = now
			finding, ok := r.tracker.ObservePacket(p, dpi.FromServer, now)
			if ok {
				Told(&f.content, finding)
			}
			return Seen{back, f.mark, f.content}, ok
		}
	}
	opening := p.Key.Proto == flow.ProtoTCP && p.Flags&dpi.SYN != 0
	f := r.flows.Get(p.Key)
	if f == nil || now.Sub(f.seen) > flowAge || opening && f.stream.known && f.stream.base != p.Seq {
		f = r.flows.Put(p.Key, reading{})
	}
	f.seen, f.mark = now, mark
	var more bool
	if p.Key.Proto == flow.ProtoTCP {
		if more = f.stream.add(p); more {
			f.content.Payload = f.stream.bytes()
			f.content.HTTPPath = dpi.RequestPath(f.content.Payload)
		}
	} else if more = len(p.Payload) > 0; more {
		f.content.Payload = p.Payload
	}
	if finding, ok := r.tracker.ObservePacket(p, dpi.FromClient, now); ok {
		Told(&f.content, finding)
		more = true
	}
	seen := Seen{p.Key, mark, f.content}
	if p.Key.Proto == flow.ProtoUDP {
		f.content.Payload = nil // a datagram is looked at by itself, and is its sender's buffer
	}
	return seen, more
}

// Told adds to a content what the wire told of its flow.
func Told(c *policy.Content, f dpi.Finding) {
	if f.Protocol != dpi.Unknown {
		c.Protocol = f.Protocol.String()
	}
	switch f.Source {
	case dpi.SourceTLS, dpi.SourceQUIC:
		c.TLSName = f.Host
	case dpi.SourceHTTP:
		c.HTTPHost = f.Host
	}
}
