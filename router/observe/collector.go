package observe

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

const (
	tickEvery   = time.Second // while somebody watches; else every second tick
	watchAgain  = 2 * time.Second
	askAgain    = 30 * time.Second // what application a connection is
	askYoung    = 10 * time.Second // a younger connection is asked about at each reading
	maxNames    = 600              // devices or applications told apart in totals
	unknownName = "unknown"
)

// Identity is what a connection is.
type Identity struct {
	App  string // catalogue id; "" when not known
	Host string // name of the far end; "" when not known
}

// Sink takes usage; *store.Store is one.
type Sink interface{ AddUsage([]store.Usage) }

// Options say what a collector works with. Connections and Now are needed.
type Options struct {
	Connections hal.Connections
	Now         func() time.Time
	Identify    func(hal.Connection) Identity       // nil: nothing is known
	Device      func(flow.DeviceID) string          // id of a device; nil or "": "device-<number>"
	Link        func(flow.LinkID) string            // name of a link; nil or "": "link-<number>"
	Sink        Sink                                // nil: usage is not kept
	OnTraffic   func(map[flow.LinkID]store.Traffic) // growth per link at each tick, for quotas; must not block
	Log         *slog.Logger
}

// Collector counts. Its methods are safe for concurrent use.
type Collector struct {
	opts Options
	log  *slog.Logger

	mu     sync.Mutex
	track  *tracker
	usage  map[usageKey]store.Traffic // since the last tick
	totals totals                     // since the start
	last   time.Time                  // last tick
	lost   uint64

	snapshot atomic.Pointer[Snapshot]
	watchers watchers
}

type usageKey struct {
	device flow.DeviceID
	link   flow.LinkID
	app    string
}

// totals are sums since the start.
type totals struct {
	links   map[flow.LinkID]store.Traffic
	devices map[string]store.Traffic
	apps    map[string]store.Traffic
}

// New returns a collector; Run makes it count.
func New(o Options) *Collector {
	c := &Collector{opts: o, log: o.Log, track: newTracker(o.Now(), maxTracked), usage: map[usageKey]store.Traffic{}, last: o.Now(),
		totals: totals{map[flow.LinkID]store.Traffic{}, map[string]store.Traffic{}, map[string]store.Traffic{}}}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.watchers.channels = map[chan *Snapshot]bool{}
	c.snapshot.Store(&Snapshot{At: o.Now()})
	return c
}

// Run reads the connection table and follows its events until the context ends.
func (c *Collector) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.watch(ctx) })
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	failed := false
	for n := 0; ; n++ {
		if n%2 == 0 || c.watchers.any() {
			err := c.Read(ctx)
			if err != nil && !failed && ctx.Err() == nil {
				c.log.Warn("the connection table cannot be read; usage and flows stand still until it can", "error", err)
			}
			failed = err != nil
		}
		select {
		case <-ctx.Done():
			c.tick() // what ended meanwhile is booked
			return nil
		case <-tick.C:
		}
	}
}

// watch follows the ends of connections, and listens anew when the machine stops telling.
func (c *Collector) watch(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.opts.Connections.WatchConnections(ctx, func(ev hal.ConnectionEvent) {
			c.take(ev.Connection, (*tracker).ended)
		}, func() { // the next reading tells what is there; the last bytes of what ended unheard are missing
			c.mu.Lock()
			c.lost++
			c.mu.Unlock()
		}, hal.ConnectionDestroyed)
		if ctx.Err() != nil {
			return
		}
		c.log.Warn("the ends of connections are not announced; they are found by reading the table", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
}

// Read reads the table once and makes a tick of it. Run calls it.
func (c *Collector) Read(ctx context.Context) error {
	c.mu.Lock()
	c.track.reading++
	c.mu.Unlock()
	err := c.opts.Connections.Connections(ctx, 0, 0, func(e hal.Connection) { c.take(e, (*tracker).listed) })
	if err == nil {
		c.mu.Lock()
		c.track.done(c.opts.Now())
		c.mu.Unlock()
	}
	c.tick()
	return err
}

// take books what a connection moved, as told by a reading or by its end.
func (c *Collector) take(e hal.Connection, how func(*tracker, hal.Connection, time.Time) (growth, bool)) {
	now := c.opts.Now()
	id, asked := c.identity(e, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	g, ok := how(c.track, e, now)
	if !ok {
		return
	}
	if asked {
		g.conn.id, g.conn.asked = id, now
	}
	if !g.conn.toInternet() || g.traffic == (store.Traffic{}) && !g.began {
		return
	}
	if g.began {
		g.traffic.Flows = 1
	}
	k := usageKey{g.conn.mark.Device(), g.conn.mark.Link(), g.conn.id.App}
	c.usage[k] = c.usage[k].Add(g.traffic)
}

// toInternet tells whether a connection uses a link. What stays inside the house has none.
func (e *conn) toInternet() bool { return e.mark.Link() != 0 }

// identity asks what a connection is, without the lock, if it is time to.
func (c *Collector) identity(e hal.Connection, now time.Time) (Identity, bool) {
	if c.opts.Identify == nil {
		return Identity{}, false
	}
	c.mu.Lock()
	known := c.track.conns[connKey{e.ID, e.Orig}]
	ask := known == nil || reborn(known, e) || known.id.App == "" || now.Sub(known.since) < askYoung || now.Sub(known.asked) >= askAgain || now.Before(known.asked)
	if e.Mark == 0 && known != nil {
		e.Mark = known.mark
	}
	c.mu.Unlock()
	if !ask {
		return Identity{}, false
	}
	return c.opts.Identify(e), true
}

// tick hands the sums on and makes a new snapshot.
func (c *Collector) tick() {
	now := c.opts.Now()
	c.mu.Lock()
	elapsed := now.Sub(c.last)
	if elapsed < tickEvery/4 || elapsed > time.Minute { // two ticks at once, or a clock that jumped
		elapsed = 2 * tickEvery
	}
	c.last = now
	usage := c.usage
	c.usage = make(map[usageKey]store.Traffic, len(usage))
	list, links := c.book(usage, now)
	s := c.newSnapshot(usage, now, elapsed)
	c.mu.Unlock()

	c.snapshot.Store(s)
	c.watchers.tell(s)
	if c.opts.Sink != nil && len(list) > 0 {
		c.opts.Sink.AddUsage(list)
	}
	if c.opts.OnTraffic != nil && len(links) > 0 {
		c.opts.OnTraffic(links)
	}
}

// book adds the sums of a tick to the totals and returns them as the sink and the quotas want them.
func (c *Collector) book(usage map[usageKey]store.Traffic, now time.Time) ([]store.Usage, map[flow.LinkID]store.Traffic) {
	list := make([]store.Usage, 0, len(usage))
	links := map[flow.LinkID]store.Traffic{}
	for k, t := range usage {
		u := store.Usage{At: now, Device: c.deviceName(k.device), App: appName(k.app), Link: c.linkName(k.link), Traffic: t}
		list = append(list, u)
		links[k.link] = links[k.link].Add(t)
		c.totals.links[k.link] = c.totals.links[k.link].Add(t)
		addNamed(c.totals.devices, u.Device, t)
		addNamed(c.totals.apps, u.App, t)
	}
	return list, links
}

func addNamed(m map[string]store.Traffic, name string, t store.Traffic) {
	if _, ok := m[name]; !ok && len(m) >= maxNames {
		name = store.Other
	}
	m[name] = m[name].Add(t)
}

// LinkTotals returns what each link has carried since the collector started.
func (c *Collector) LinkTotals() map[flow.LinkID]store.Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[flow.LinkID]store.Traffic, len(c.totals.links))
	for k, v := range c.totals.links {
		m[k] = v
	}
	return m
}
