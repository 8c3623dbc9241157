package observe

import (
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

const (
	maxTracked = 65536            // connections followed one by one
	remember   = 30 * time.Second // how long an ended connection is remembered
)

// connKey names a connection. The kernel's id is a hash over its memory and addresses, so both together are as unique as it gets.
type connKey struct {
	id   uint32
	orig flow.Key
}

// counters are those of one connection as the kernel counts: by direction of the opener.
type counters struct{ origPackets, origBytes, replyPackets, replyBytes uint64 }

func countersOf(c hal.Connection) counters {
	return counters{c.OrigPackets, c.OrigBytes, c.ReplyPackets, c.ReplyBytes}
}

// since returns the growth after an earlier reading. If any counter is smaller all count from zero: they are only reset together.
func (c counters) since(o counters) counters {
	if c.origPackets < o.origPackets || c.origBytes < o.origBytes || c.replyPackets < o.replyPackets || c.replyBytes < o.replyBytes {
		return c
	}
	return counters{c.origPackets - o.origPackets, c.origBytes - o.origBytes, c.replyPackets - o.replyPackets, c.replyBytes - o.replyBytes}
}

// traffic turns the counters towards the LAN.
func (c counters) traffic(inbound bool) store.Traffic {
	if inbound {
		return store.Traffic{Up: c.replyBytes, Down: c.origBytes, PacketsUp: c.replyPackets, PacketsDown: c.origPackets}
	}
	return store.Traffic{Up: c.origBytes, Down: c.replyBytes, PacketsUp: c.origPackets, PacketsDown: c.replyPackets}
}

// conn is a connection that is followed.
type conn struct {
	key     connKey
	mark    flow.Mark
	start   time.Time // the kernel's; zero when it keeps none
	since   time.Time // when it began, as well as is known
	state   string
	local   flow.Key // as the LAN sees it
	last    counters
	total   store.Traffic // booked
	tick    store.Traffic // booked since the last tick
	rate    Rate
	id      Identity
	asked   time.Time // for id
	reading uint64    // the reading that saw it last
	ended   time.Time // when it was found gone; zero: alive
	final   bool      // a destroy event told the final counters
}

// tracker follows connections and tells their growth. It has no lock: the collector's guards it.
type tracker struct {
	conns   map[connKey]*conn
	limit   int
	started time.Time
	reading uint64 // number of the running or last reading
	adopted bool   // the first reading is complete: whatever is new from now on began under our eyes
	full    bool   // the limit was reached: what is not followed is booked at its end
}

func newTracker(started time.Time, limit int) *tracker {
	return &tracker{conns: map[connKey]*conn{}, limit: limit, started: started}
}

// growth is what a connection moved since it was last looked at; began tells that it is new.
type growth struct {
	conn    *conn
	traffic store.Traffic
	began   bool
}

// listed takes an entry of the running reading.
func (t *tracker) listed(c hal.Connection, now time.Time) (g growth, ok bool) {
	k := connKey{c.ID, c.Orig}
	e := t.conns[k]
	if e != nil && e.final && !reborn(e, c) && (e.reading == t.reading || !c.Start.IsZero()) {
		return growth{}, false // it ended while this reading ran, which still shows it as it was
	}
	if e != nil && (e.final || reborn(e, c)) { // the kernel's memory is used anew
		delete(t.conns, k)
		e = nil
	}
	if e == nil {
		g = t.begin(k, c, now)
		return g, t.follow(g.conn) // what cannot be followed is booked when it ends
	}
	e.ended, e.reading = time.Time{}, t.reading
	return t.grow(e, c), true
}

// ended takes the final counters of a connection.
func (t *tracker) ended(c hal.Connection, now time.Time) (g growth, ok bool) {
	k := connKey{c.ID, c.Orig}
	e := t.conns[k]
	if e != nil && (e.final && !reborn(e, c) || reborn(e, c) && c.Start.Before(e.start)) {
		return growth{}, false // told already, or told too late
	}
	if e != nil && reborn(e, c) {
		delete(t.conns, k)
		e = nil
	}
	if e == nil {
		g = t.begin(k, c, now)
		t.follow(g.conn)
	} else {
		g = t.grow(e, c)
	}
	g.conn.ended, g.conn.final, g.conn.reading = now, true, t.reading
	return g, true
}

// reborn tells that an entry of the kernel is another connection than the one remembered.
func reborn(e *conn, c hal.Connection) bool {
	return !e.start.IsZero() && !c.Start.IsZero() && !e.start.Equal(c.Start)
}

// begin makes a new connection. One that stood before the start is booked from now on, all others from their first byte.
func (t *tracker) begin(k connKey, c hal.Connection, now time.Time) growth {
	e := &conn{key: k, start: c.Start, since: c.Start, reading: t.reading}
	if e.since.IsZero() {
		e.since = now
	}
	// After the first reading everything not seen before is new; unless the limit kept some from being seen.
	old := (!t.adopted || t.full) && (c.Start.IsZero() || !c.Start.After(t.started))
	if old {
		e.last = countersOf(c)
	}
	g := t.grow(e, c)
	g.began = !old
	return g
}

func (t *tracker) follow(e *conn) bool {
	if len(t.conns) >= t.limit {
		t.full = true
		return false
	}
	t.conns[e.key] = e
	return true
}

// grow takes a new reading of a connection.
func (t *tracker) grow(e *conn, c hal.Connection) growth {
	n := countersOf(c)
	if c.Mark != 0 { // an event of a connection that ends may come without its mark
		e.mark = c.Mark
	}
	if c.TCPState != "" {
		e.state = c.TCPState
	}
	if e.local = (flow.Key{Proto: c.Orig.Proto, Src: c.Orig.Src, Dst: c.Orig.Dst}); e.mark.Inbound() {
		e.local.Src, e.local.Dst = c.Reply.Src, c.Orig.Src
	}
	d := n.since(e.last).traffic(e.mark.Inbound())
	e.last = n
	e.total, e.tick = e.total.Add(d), e.tick.Add(d)
	return growth{conn: e, traffic: d}
}

// done ends a complete reading: what it did not show is gone for now, and what is gone for long is forgotten.
func (t *tracker) done(now time.Time) {
	t.adopted = true
	for k, e := range t.conns {
		switch {
		case e.ended.IsZero() && e.reading != t.reading:
			e.ended = now
		case !e.ended.IsZero() && (now.Sub(e.ended) > remember || e.ended.Sub(now) > remember) && e.reading != t.reading:
			delete(t.conns, k) // also when the clock stepped back
		}
	}
}
