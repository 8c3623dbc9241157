package engine

import (
	"context"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/lru"
	"github.com/trenza-router/trenza/router/plan"
)

const (
	// heldPackets of a flow, and no longer than heldTime, wait for its name: a hello with post-quantum keys takes two packets.
	heldPackets = 4
	heldTime    = 50 * time.Millisecond
	// maxOpenings bounds the flows that are remembered to have begun.
	maxOpenings = 1024
)

// opening is a flow that begins. Its fields belong to the lock of its openings.
type opening struct {
	held []func(hal.PacketVerdict) // verdicts that are awaited, in the order of the packets
	over bool                      // what comes now passes at once
}

// openings are the QUIC flows that begin towards hosts not known yet.
type openings struct {
	mu      sync.Mutex
	flows   *lru.Map[flow.Key, *opening]
	tracker *dpi.Tracker // of the task that reads the queue
}

// holdOpenings is the task that holds the first packets of QUIC flows until their name is in the kernel's maps, so that the flow is judged by it from
// its first packet.
func (e *Engine) holdOpenings(ctx context.Context) error {
	o := &openings{flows: lru.New[flow.Key, *opening](maxOpenings), tracker: dpi.NewTracker(dpi.Limits{Flows: maxOpenings}, dpi.Parsers())}
	return e.machine.HoldPackets(ctx, plan.HoldQueue, func(c hal.PacketCopy, tell func(hal.PacketVerdict)) {
		var p dpi.Packet
		if err := dpi.Decode(c.Packet, &p); err != nil {
			tell(hal.PacketVerdict{})
			return
		}
		began, first := o.hold(p.Key, tell)
		if first {
			time.AfterFunc(heldTime, func() { o.let(began) })
		}
		f, ok := o.tracker.ObservePacket(&p, dpi.FromClient, e.now())
		named := ok && f.NamesServer()
		if named {
			e.tell(ctx, e.names.LearnWire(c.Mark.Device(), f, e.now()))
			if !f.ECH && !f.Front {
				e.tell(ctx, e.names.LearnNext(c.Mark.Device(), f, e.now()))
			}
		}
		if named || o.full(began) {
			o.let(began)
		}
	})
}

// hold takes the verdict that a packet waits for. First is true for the first packet of a flow.
func (o *openings) hold(key flow.Key, tell func(hal.PacketVerdict)) (f *opening, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if known := o.flows.Get(key); known != nil {
		f = *known
	} else {
		f, first = &opening{}, true
		o.flows.Put(key, f)
	}
	f.held = append(f.held, tell)
	return f, first
}

// full tells whether no packet of the flow may wait any longer.
func (o *openings) full(f *opening) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return f.over || len(f.held) >= heldPackets
}

// let lets go of what is held of a flow; nothing of it is held any more.
func (o *openings) let(f *opening) {
	o.mu.Lock()
	held := f.held
	f.held, f.over = nil, true
	o.mu.Unlock()
	for _, tell := range held {
		tell(hal.PacketVerdict{})
	}
}
