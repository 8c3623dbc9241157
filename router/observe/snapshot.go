package observe

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

// Rate is bits per second.
type Rate struct{ Up, Down uint64 }

func rateOf(t store.Traffic, elapsed time.Duration) Rate {
	f := func(b uint64) uint64 { return uint64(float64(b) * 8 / elapsed.Seconds()) }
	return Rate{f(t.Up), f(t.Down)}
}

// LinkActivity, DeviceActivity and AppActivity are what moves now. Total counts since the start of the program.
type LinkActivity struct {
	Link  flow.LinkID
	Name  string
	Rate  Rate
	Total store.Traffic
	Flows int // running
}

type DeviceActivity struct {
	Device flow.DeviceID
	Name   string // id
	Rate   Rate
	Flows  int
}

type AppActivity struct {
	App   string
	Rate  Rate
	Flows int
}

// Snapshot is the state at one tick. It is never changed.
type Snapshot struct {
	At      time.Time
	Links   []LinkActivity   // by link number
	Devices []DeviceActivity // those with flows or traffic, by number
	Apps    []AppActivity    // those with flows or traffic, busiest first
	Flows   int              // running, to the internet
}

// Snapshot returns the newest.
func (c *Collector) Snapshot() *Snapshot { return c.snapshot.Load() }

// newSnapshot makes the rates of a tick and starts the next. The caller holds mu.
func (c *Collector) newSnapshot(usage map[usageKey]store.Traffic, now time.Time, elapsed time.Duration) *Snapshot {
	type sum struct {
		t store.Traffic
		n int
	}
	links, devices, apps := map[flow.LinkID]sum{}, map[flow.DeviceID]sum{}, map[string]sum{}
	put := func(k usageKey, s sum) {
		add := func(o sum) sum { return sum{o.t.Add(s.t), o.n + s.n} }
		links[k.link], devices[k.device], apps[k.app] = add(links[k.link]), add(devices[k.device]), add(apps[k.app])
	}
	for l := range c.totals.links {
		links[l] = sum{}
	}
	for k, t := range usage {
		put(k, sum{t: t})
	}
	s := &Snapshot{At: now}
	for _, e := range c.track.conns {
		e.rate, e.tick = rateOf(e.tick, elapsed), store.Traffic{}
		if e.ended.IsZero() && e.toInternet() {
			s.Flows++
			put(usageKey{e.mark.Device(), e.mark.Link(), e.id.App}, sum{n: 1})
		}
	}
	for _, l := range slices.Sorted(maps.Keys(links)) {
		s.Links = append(s.Links, LinkActivity{l, c.linkName(l), rateOf(links[l].t, elapsed), c.totals.links[l], links[l].n})
	}
	for _, d := range slices.Sorted(maps.Keys(devices)) {
		s.Devices = append(s.Devices, DeviceActivity{d, c.deviceName(d), rateOf(devices[d].t, elapsed), devices[d].n})
	}
	for a, v := range apps {
		s.Apps = append(s.Apps, AppActivity{appName(a), rateOf(v.t, elapsed), v.n})
	}
	slices.SortFunc(s.Apps, func(a, b AppActivity) int {
		return cmp.Or(cmp.Compare(b.Rate.Up+b.Rate.Down, a.Rate.Up+a.Rate.Down), cmp.Compare(b.Flows, a.Flows), cmp.Compare(a.App, b.App))
	})
	return s
}

func (c *Collector) deviceName(d flow.DeviceID) string {
	switch d {
	case flow.RouterDevice:
		return "router"
	case 0:
		return unknownName
	}
	if c.opts.Device != nil {
		if name := c.opts.Device(d); name != "" {
			return name
		}
	}
	return fmt.Sprintf("device-%d", d)
}

func (c *Collector) linkName(l flow.LinkID) string {
	if c.opts.Link != nil {
		if name := c.opts.Link(l); name != "" {
			return name
		}
	}
	return fmt.Sprintf("link-%d", l)
}

func appName(app string) string {
	if app == "" {
		return unknownName
	}
	return app
}

// watchers are those who want every snapshot.
type watchers struct {
	mu       sync.Mutex
	channels map[chan *Snapshot]bool
}

func (w *watchers) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.channels) > 0
}

// tell gives a snapshot to all. One who is slow finds the newest and misses those between.
func (w *watchers) tell(s *Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.channels {
		select {
		case <-ch:
		default:
		}
		ch <- s // there is room: only tell sends, under the lock
	}
}

// Subscribe returns a channel of snapshots, about one per second and the newest at once. It is closed when the context ends.
func (c *Collector) Subscribe(ctx context.Context) <-chan *Snapshot {
	ch := make(chan *Snapshot, 1)
	ch <- c.Snapshot()
	c.watchers.mu.Lock()
	c.watchers.channels[ch] = true
	c.watchers.mu.Unlock()
	context.AfterFunc(ctx, func() {
		c.watchers.mu.Lock()
		defer c.watchers.mu.Unlock()
		delete(c.watchers.channels, ch)
		close(ch)
	})
	return ch
}
