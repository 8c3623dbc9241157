package observe

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

var start = time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)

// kernel is a connection table that a test moves.
type kernel struct {
	list   []hal.Connection
	during func(i int) // called while a listing runs, before entry i is handed out as it was when the listing began
	fail   error       // ends a listing after its first entry
	events chan hal.ConnectionEvent
}

func (k *kernel) Connections(_ context.Context, _, _ flow.Mark, f func(hal.Connection)) error {
	for i, c := range append([]hal.Connection(nil), k.list...) {
		if k.during != nil {
			k.during(i)
		}
		f(c)
		if k.fail != nil {
			return k.fail
		}
	}
	return nil
}

func (k *kernel) WatchConnections(ctx context.Context, f func(hal.ConnectionEvent), lost func(), kinds ...hal.ConnectionEventKind) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev, ok := <-k.events:
			if !ok {
				return errors.New("the machine stopped telling")
			}
			if len(kinds) == 0 || slices.Contains(kinds, ev.Kind) {
				f(ev)
			}
		}
	}
}

func (k *kernel) FlushConnections(context.Context, flow.Mark, flow.Mark) error { return nil }
func (k *kernel) MarkConnections(context.Context, []hal.MarkChange) (int, error) {
	return 0, nil
}
func (k *kernel) DeleteConnection(context.Context, hal.Connection) error { return nil }

// sink adds up what it is given.
type sink struct {
	mu   sync.Mutex
	sums map[store.Usage]store.Traffic // without time and traffic
	all  store.Traffic
}

func (s *sink) AddUsage(list []store.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range list {
		k := store.Usage{Device: u.Device, App: u.App, Link: u.Link}
		s.sums[k] = s.sums[k].Add(u.Traffic)
		s.all = s.all.Add(u.Traffic)
	}
}

// bench is a collector over a fake kernel, with a clock.
type bench struct {
	*Collector
	t    testing.TB
	k    *kernel
	s    *sink
	now  time.Time
	mu   sync.Mutex
	link map[flow.LinkID]store.Traffic // what OnTraffic told
}

func newBench(t testing.TB, list ...hal.Connection) *bench {
	b := &bench{t: t, k: &kernel{list: list, events: make(chan hal.ConnectionEvent)}, s: &sink{sums: map[store.Usage]store.Traffic{}}, now: start, link: map[flow.LinkID]store.Traffic{}}
	b.Collector = New(Options{Connections: b.k, Sink: b.s,
		Now: func() time.Time { b.mu.Lock(); defer b.mu.Unlock(); return b.now },
		Identify: func(c hal.Connection) Identity {
			if c.Orig.Dst.Port() == 443 {
				return Identity{"video", "video.example"}
			}
			return Identity{}
		},
		Device: func(d flow.DeviceID) string { return map[flow.DeviceID]string{1: "laptop", 2: "tv"}[d] },
		Link:   func(l flow.LinkID) string { return map[flow.LinkID]string{1: "fiber", 2: "lte"}[l] },
		OnTraffic: func(m map[flow.LinkID]store.Traffic) {
			for l, t := range m {
				b.link[l] = b.link[l].Add(t)
			}
		}})
	return b
}

// read lets two seconds pass and reads the table.
func (b *bench) read() {
	b.t.Helper()
	b.mu.Lock()
	b.now = b.now.Add(2 * time.Second)
	b.mu.Unlock()
	if err := b.Read(context.Background()); err != nil && b.k.fail == nil {
		b.t.Fatal(err)
	}
}

func (b *bench) destroy(c hal.Connection) { b.take(c, (*tracker).ended) }

func (b *bench) booked(up, down, flows uint64) {
	b.t.Helper()
	b.tick()
	if got := b.s.all; got.Up != up || got.Down != down || got.Flows != flows {
		b.t.Fatalf("booked up %d down %d flows %d instead of %d, %d, %d", got.Up, got.Down, got.Flows, up, down, flows)
	}
}

// connection is one from the laptop's port n over a link; bytes as the opener's side counts.
func connection(n int, link flow.LinkID, orig, reply uint64) hal.Connection {
	src, dst := netip.MustParseAddrPort("10.77.0.10:1000"), netip.MustParseAddrPort("198.51.100.1:443")
	src = netip.AddrPortFrom(src.Addr(), src.Port()+uint16(n))
	return hal.Connection{ID: uint32(n), Orig: flow.Key{Proto: flow.ProtoTCP, Src: src, Dst: dst},
		Reply: flow.Key{Proto: flow.ProtoTCP, Src: dst, Dst: netip.MustParseAddrPort("100.64.0.2:1000")},
		Mark:  flow.JudgedBit | link.Mark() | flow.DeviceID(1).Mark(), TCPState: "ESTABLISHED",
		OrigBytes: orig, ReplyBytes: reply, OrigPackets: orig / 10, ReplyPackets: reply / 10}
}

func diff(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
}
