package engine

import (
	"context"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/qos"
)

// classMeter is what a class does now, by direction.
type classMeter struct{ ways [2]wayMeter }

// wayMeter is one direction of a class: bit/s, bytes that wait, packets dropped since the class was made.
type wayMeter struct {
	rate    uint64
	waiting uint64
	dropped uint64
	bytes   uint64 // since the class was made
}

// delay is how long what waits takes to leave at the present rate.
func (m wayMeter) delay() time.Duration {
	if m.rate == 0 {
		return 0
	}
	return time.Duration(float64(m.waiting) * 8 / float64(m.rate) * float64(time.Second))
}

// measureClasses reads what the classes did since the last time. It tells whether traffic waits in a default class that may be
// that of devices which need a class of their own.
func (e *Engine) measureClasses(ctx context.Context) (strange bool) {
	s := e.shaper
	now := e.now()
	inUse := e.observer.Classes()
	s.mu.Lock()
	shapings := s.now.shapings
	for mark := range inUse {
		s.activity.Seen(now, qos.ClassOf(mark))
	}
	s.mu.Unlock()
	meters := map[qos.Class]*classMeter{}
	for _, t := range shapings {
		counters, err := e.machine.ClassCounters(ctx, t.Device)
		if err != nil {
			continue // a device that went: its event makes a plan
		}
		way := wayOf(t.Device)
		s.mu.Lock()
		before := s.counted[t.Device]
		span := now.Sub(before.at)
		s.counted[t.Device] = deviceCounters{now, counters}
		for _, c := range t.Classes {
			if !c.Leaf() || span <= 0 || span > time.Minute {
				continue
			}
			class := qos.ClassOf(flow.Mark(c.ID))
			n, old := counters[c.ID], before.classes[c.ID]
			if n.Bytes < old.Bytes {
				old = hal.ClassCounter{} // the class was made anew
			}
			sent := n.Bytes - old.Bytes
			s.activity.Measured(now, class, way, sent, n.WaitingBytes)
			m := meters[class]
			if m == nil {
				m = &classMeter{}
				meters[class] = m
			}
			m.ways[way] = wayMeter{rate: uint64(float64(sent) * 8 / span.Seconds()), waiting: n.WaitingBytes, dropped: n.Dropped, bytes: n.Bytes}
			strange = strange || class.Device == 0 && float64(sent+n.WaitingBytes) > unclassed*span.Seconds()
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.meters = meters
	s.mu.Unlock()
	return strange
}

// downRoom is what a link of fixed rate is shaped to on the way down while more comes than is shaped to. shaper.mu guards it.
type downRoom struct {
	room     qos.Room
	part     float64
	at       time.Time // of the measurement before
	received uint64
}

// measureRoom reads what came over the links of fixed rate since the last time.
func (e *Engine) measureRoom() {
	s := e.shaper
	for _, w := range e.wans {
		if w.config.Shape.Mode != config.ShapeFixed {
			continue
		}
		now := e.now()
		received, _, err := e.machine.Traffic(w.device())
		s.mu.Lock()
		r := s.rooms[w.config.ID]
		if r == nil {
			r = &downRoom{part: 1}
			s.rooms[w.config.ID] = r
		}
		span := now.Sub(r.at)
		if err == nil && received >= r.received && span > 0 && span < time.Minute {
			came := qos.Rate(float64(received-r.received) * 8 / span.Seconds())
			var promised qos.Rate
			for _, t := range s.now.shapings {
				if t.Device == hal.DownloadDevice {
					promised = qos.Promised(t, w.config.ID)
				}
			}
			r.part = r.room.Step(came, qos.Rate(float64(w.config.Rate.Down)*fixedDown), promised)
		}
		r.at, r.received = now, received
		s.mu.Unlock()
	}
}
