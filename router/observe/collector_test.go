package observe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
	"pgregory.net/rapid"
)

func TestCounting(t *testing.T) {
	at := func(c hal.Connection, start time.Time) hal.Connection { c.Start = start; return c }
	later := start.Add(time.Second)
	for _, tt := range []struct {
		name            string
		run             func(b *bench)
		up, down, flows uint64
	}{
		{"a new connection counts from its first byte", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 1000)}
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 150, 1000)}
			b.read()
			b.read()
		}, 150, 1000, 1},
		{"what stood before is adopted", func(b *bench) {
			b.k.list = []hal.Connection{connection(1, 1, 100, 1000)}
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 150, 1001)}
			b.read()
		}, 50, 1, 0},
		{"adopted, and ended before the second reading", func(b *bench) {
			b.k.list = []hal.Connection{connection(1, 1, 100, 1000)}
			b.read()
			b.k.list = nil
			b.destroy(connection(1, 1, 101, 1002))
		}, 1, 2, 0},
		{"stood before and ended before the first reading", func(b *bench) { b.destroy(connection(1, 1, 100, 100)) }, 0, 0, 0},
		{"began after the start and ended before the first reading", func(b *bench) { b.destroy(at(connection(1, 1, 100, 100), later)) }, 100, 100, 1},
		{"began after the start and seen in the first reading", func(b *bench) {
			b.k.list = []hal.Connection{at(connection(1, 1, 100, 100), later)}
			b.read()
		}, 100, 100, 1},
		{"lived between two readings", func(b *bench) {
			b.read()
			b.destroy(connection(1, 1, 7, 8))
			b.read()
		}, 7, 8, 1},
		{"ended between two readings", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 100)}
			b.read()
			b.k.list = nil
			b.destroy(connection(1, 1, 110, 120))
			b.read()
		}, 110, 120, 1},
		{"ended while a reading ran that still shows it", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 100)}
			b.k.during = func(int) { b.k.list = nil; b.destroy(connection(1, 1, 110, 120)) }
			b.read()
			b.read()
		}, 110, 120, 1},
		{"the end is told twice", func(b *bench) {
			b.read()
			b.destroy(connection(1, 1, 7, 8))
			b.destroy(connection(1, 1, 7, 8))
		}, 7, 8, 1},
		{"the end is told late", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 100)}
			b.read()
			b.k.list = nil
			b.read()
			b.read()
			b.destroy(connection(1, 1, 110, 120))
		}, 110, 120, 1},
		{"the end is told without a mark", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 100)}
			b.read()
			c := connection(1, 1, 110, 120)
			c.Mark = 0
			b.k.list = nil
			b.destroy(c)
		}, 110, 120, 1},
		{"the table is flushed and nobody tells", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 100)}
			b.read()
			b.k.list = nil
			b.read()
			b.k.list = []hal.Connection{connection(2, 2, 5, 5)} // it goes on, as another connection
			b.read()
		}, 105, 105, 2},
		{"missing from one reading", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 100)}
			b.read()
			b.k.list = nil
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 130, 130)}
			b.read()
		}, 130, 130, 1},
		{"twice in one reading", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 100), connection(1, 1, 100, 100)}
			b.read()
		}, 100, 100, 1},
		{"counters are reset", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 100, 100)}
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 30, 200)} // one has overtaken already
			b.read()
		}, 130, 300, 1},
		{"the kernel uses an entry anew, its end not told", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{at(connection(1, 1, 100, 100), later)}
			b.read()
			b.k.list = []hal.Connection{at(connection(1, 1, 500, 500), later.Add(time.Second))}
			b.read()
			b.destroy(at(connection(1, 1, 101, 101), later)) // the first one's end, too late
		}, 600, 600, 2},
		{"the kernel uses an entry anew, without times", func(b *bench) {
			b.read()
			b.destroy(connection(1, 1, 7, 8))
			b.k.list = []hal.Connection{connection(1, 1, 50, 50)}
			b.read()
		}, 57, 58, 2},
		{"a reading fails", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 10, 10), connection(2, 1, 10, 10)}
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 11, 10), connection(2, 1, 11, 10)}
			b.k.fail = errors.New("no buffer space")
			b.read()
			b.k.fail = nil
			b.read()
		}, 22, 20, 2},
		{"the clock steps back", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 1, 10, 10)}
			b.read()
			b.now = b.now.Add(-100 * time.Hour)
			b.destroy(connection(1, 1, 12, 12))
			b.k.list = nil
			b.read()
			b.read()
		}, 12, 12, 1},
		{"inside the house", func(b *bench) {
			b.read()
			b.k.list = []hal.Connection{connection(1, 0, 10, 10)}
			b.read()
		}, 0, 0, 0},
		{"opened from the internet", func(b *bench) {
			b.read()
			c := connection(1, 1, 10, 3000)
			c.Mark |= flow.InboundBit
			b.k.list = []hal.Connection{c}
			b.read()
		}, 3000, 10, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			tt.run(b)
			b.booked(tt.up, tt.down, tt.flows)
			b.read()
			b.booked(tt.up, tt.down, tt.flows)
			var links store.Traffic
			for _, l := range b.LinkTotals() {
				links = links.Add(l)
			}
			var told store.Traffic
			for _, l := range b.link {
				told = told.Add(l)
			}
			diff(t, []store.Traffic{links, told}, []store.Traffic{b.s.all, b.s.all})
		})
	}
}

// A connection beyond the limit is booked at its end, if it is certain that it was not adopted.
func TestLimit(t *testing.T) {
	b := newBench(t)
	b.track.limit = 2
	after := func(c hal.Connection) hal.Connection { c.Start = start.Add(time.Second); return c }
	b.read()
	b.k.list = []hal.Connection{connection(1, 1, 10, 10), connection(2, 1, 10, 10), connection(3, 1, 10, 10), after(connection(4, 1, 10, 10))}
	b.read()
	b.booked(20, 20, 2)
	b.destroy(connection(3, 1, 15, 15)) // who knows since when it stood
	b.destroy(after(connection(4, 1, 15, 15)))
	b.booked(35, 35, 3)
	if n := len(b.track.conns); n != 2 {
		t.Fatalf("%d followed", n)
	}
}

func TestEndedAreForgotten(t *testing.T) {
	b := newBench(t)
	for i := range 1000 {
		b.k.list = []hal.Connection{connection(i, 1, 1, 1)}
		b.read()
		b.destroy(connection(i, 1, 2, 2))
	}
	if n := len(b.track.conns); n > 25 {
		t.Fatalf("%d connections remembered", n)
	}
}

// truth is what really happened to a connection in the property test.
type truth struct {
	c     hal.Connection
	alive bool
}

// Whatever happens in whatever order, the sums of the buckets are the bytes that moved.
func TestSumsProperty(t *testing.T) {
	for _, stamped := range []bool{true, false} {
		t.Run(fmt.Sprint("kernel keeps times: ", stamped), func(tt *testing.T) {
			rapid.Check(tt, func(t *rapid.T) { sumsProperty(t, tt, stamped) })
		})
	}
}

func sumsProperty(t *rapid.T, tt *testing.T, stamped bool) {
	var all []*truth
	var before, moved store.Traffic
	next := 0
	fresh := func(b *bench) {
		next++
		c := connection(next, flow.LinkID(rapid.IntRange(1, 3).Draw(t, "link")), 0, 0)
		if stamped {
			c.Start = b.now.Add(time.Millisecond)
		}
		all = append(all, &truth{c, true})
	}
	b := newBench(tt)
	sync := func() {
		b.k.list = nil
		for _, x := range all {
			if x.alive {
				b.k.list = append(b.k.list, x.c)
			}
		}
	}
	move := func(x *truth) {
		up, down := rapid.Uint64Range(0, 5000).Draw(t, "up"), rapid.Uint64Range(0, 5000).Draw(t, "down")
		x.c.OrigBytes, x.c.ReplyBytes = x.c.OrigBytes+up, x.c.ReplyBytes+down
		moved = moved.Add(store.Traffic{Up: up, Down: down})
	}
	// What stands before the start.
	for range rapid.IntRange(0, 4).Draw(t, "before") {
		fresh(b)
		all[len(all)-1].c.Start = time.Time{}
		if stamped {
			all[len(all)-1].c.Start = start.Add(-time.Hour)
		}
		move(all[len(all)-1])
	}
	before = moved
	sync()
	b.read()
	step := func() {
		if len(all) == 0 || rapid.IntRange(0, 3).Draw(t, "op") == 0 {
			fresh(b)
		}
		x := rapid.SampledFrom(all).Draw(t, "connection")
		if !x.alive {
			return
		}
		move(x)
		if rapid.IntRange(0, 3).Draw(t, "end") == 0 {
			x.alive = false
			b.destroy(x.c)
		}
		sync()
	}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			b.read()
		case 1: // things happen while the reading runs
			b.k.during = func(int) {
				if rapid.Bool().Draw(t, "happens") {
					step()
				}
			}
			b.read()
			b.k.during = nil
		case 2:
			b.k.fail = errors.New("interrupted")
			b.read()
			b.k.fail = nil
		default:
			step()
		}
	}
	sync()
	b.read()
	want := store.Traffic{Up: moved.Up - before.Up, Down: moved.Down - before.Down}
	if b.s.all.Up != want.Up || b.s.all.Down != want.Down {
		t.Fatalf("booked %d up, %d down of %d and %d", b.s.all.Up, b.s.all.Down, want.Up, want.Down)
	}
	var sum store.Traffic
	for _, v := range b.s.sums {
		sum = sum.Add(v)
	}
	if sum != b.s.all {
		t.Fatal("buckets and sum differ")
	}
}

func TestSnapshotAndFlows(t *testing.T) {
	b := newBench(t)
	b.read()
	other := connection(2, 2, 500, 100)
	other.Mark = flow.JudgedBit | flow.LinkID(2).Mark() | flow.DeviceID(2).Mark() | flow.LentBit | flow.AppClass(3).Mark()
	other.Orig.Dst = netip.MustParseAddrPort("198.51.100.2:80")
	inbound := connection(3, 1, 20, 40)
	inbound.Mark |= flow.InboundBit
	inbound.Orig = flow.Key{Proto: flow.ProtoTCP, Src: netip.MustParseAddrPort("203.0.113.5:5555"), Dst: netip.MustParseAddrPort("100.64.0.2:8443")}
	inbound.Reply = flow.Key{Proto: flow.ProtoTCP, Src: netip.MustParseAddrPort("10.77.0.20:443"), Dst: inbound.Orig.Src}
	b.k.list = []hal.Connection{connection(1, 1, 1000, 10000), other, inbound}
	b.read()
	s := b.Snapshot()
	diff(t, s, &Snapshot{At: b.now, Flows: 3,
		Links: []LinkActivity{
			{1, "fiber", Rate{4160, 40080}, store.Traffic{Up: 1040, Down: 10020, PacketsUp: 104, PacketsDown: 1002, Flows: 2}, 2},
			{2, "lte", Rate{2000, 400}, store.Traffic{Up: 500, Down: 100, PacketsUp: 50, PacketsDown: 10, Flows: 1}, 1}},
		Devices: []DeviceActivity{{1, "laptop", Rate{4160, 40080}, 2}, {2, "tv", Rate{2000, 400}, 1}},
		Apps:    []AppActivity{{"video", Rate{4000, 40000}, 1}, {"unknown", Rate{2160, 480}, 2}},
	})
	diff(t, b.s.sums, map[store.Usage]store.Traffic{
		{Device: "laptop", App: "video", Link: "fiber"}:   {Up: 1000, Down: 10000, PacketsUp: 100, PacketsDown: 1000, Flows: 1},
		{Device: "laptop", App: "unknown", Link: "fiber"}: {Up: 40, Down: 20, PacketsUp: 4, PacketsDown: 2, Flows: 1},
		{Device: "tv", App: "unknown", Link: "lte"}:       {Up: 500, Down: 100, PacketsUp: 50, PacketsDown: 10, Flows: 1}})

	list, total := b.Flows(FlowQuery{Limit: 1})
	c := connection(1, 1, 0, 0)
	diff(t, list, []Flow{{ID: 1, Key: c.Orig, Mark: c.Mark, Device: 1, DeviceName: "laptop", Link: 1, LinkName: "fiber", App: "video", Host: "video.example",
		State: "ESTABLISHED", Rate: Rate{4000, 40000}, Total: store.Traffic{Up: 1000, Down: 10000, PacketsUp: 100, PacketsDown: 1000}, Since: b.now}})
	diff(t, total, 3)
	for name, tt := range map[string]struct {
		q    FlowQuery
		want []uint32
	}{
		"busiest first":       {FlowQuery{}, []uint32{1, 2, 3}},
		"second page":         {FlowQuery{Offset: 1, Limit: 1}, []uint32{2}},
		"past the end":        {FlowQuery{Offset: 9}, nil},
		"device":              {FlowQuery{Device: "tv"}, []uint32{2}},
		"link":                {FlowQuery{Link: "fiber", Order: ByBytes}, []uint32{1, 3}},
		"application":         {FlowQuery{App: "video"}, []uint32{1}},
		"unknown application": {FlowQuery{App: "unknown"}, []uint32{2, 3}},
		"protocol":            {FlowQuery{Proto: flow.ProtoUDP}, nil},
		"text of a host":      {FlowQuery{Text: "VIDEO.ex"}, []uint32{1}},
		"text of an address":  {FlowQuery{Text: "203.0.113"}, []uint32{3}},
	} {
		t.Run(name, func(t *testing.T) {
			list, _ := b.Flows(tt.q)
			var ids []uint32
			for _, f := range list {
				ids = append(ids, f.ID)
			}
			diff(t, ids, tt.want)
		})
	}
	list, _ = b.Flows(FlowQuery{Text: "203.0.113"})
	if f := list[0]; !f.Inbound || f.Key.String() != "tcp 10.77.0.20:443 -> 203.0.113.5:5555" || f.Total.Up != 40 {
		t.Fatalf("%+v", f)
	}
	list, _ = b.Flows(FlowQuery{Device: "tv"})
	if f := list[0]; !f.Lent || f.Class != 3 {
		t.Fatalf("%+v", f)
	}
	b.k.list = nil
	b.read()
	if s := b.Snapshot(); s.Flows != 0 || len(s.Links) != 2 || s.Links[0].Rate != (Rate{}) || s.Links[0].Total.Up != 1040 || len(s.Devices) != 0 {
		t.Fatalf("%+v", s)
	}
}

// What an application is may be known only after some packets; what moved before stays where it was booked.
func TestIdentityIsAskedAgain(t *testing.T) {
	b := newBench(t)
	known := ""
	b.opts.Identify = func(hal.Connection) Identity { return Identity{App: known} }
	b.read()
	b.k.list = []hal.Connection{connection(1, 1, 100, 0)}
	b.read()
	known = "game"
	b.k.list = []hal.Connection{connection(1, 1, 300, 0)}
	b.read()
	diff(t, b.s.sums[store.Usage{Device: "laptop", App: "unknown", Link: "fiber"}].Up, uint64(100))
	diff(t, b.s.sums[store.Usage{Device: "laptop", App: "game", Link: "fiber"}].Up, uint64(200))
}

func TestRunAndSubscribe(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	slow := b.Subscribe(ctx) // reads nothing until the end
	ch := b.Subscribe(ctx)
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.k.events <- hal.ConnectionEvent{Kind: hal.ConnectionNew, Connection: connection(1, 1, 0, 0)}
	c := connection(1, 1, 5, 6)
	c.Start = start.Add(time.Second)
	b.k.events <- hal.ConnectionEvent{Kind: hal.ConnectionDestroyed, Connection: c}
	deadline := time.After(time.Minute)
	for {
		var s *Snapshot
		select {
		case s = <-ch:
		case <-deadline:
			t.Fatal("no snapshot shows the traffic")
		}
		if len(s.Links) == 1 && s.Links[0].Total.Up == 5 {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range slow { // at most the newest, then it is closed
	}
	for range ch {
	}
	for b.watchers.any() {
		time.Sleep(time.Millisecond)
	}
}
