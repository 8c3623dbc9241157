package bond

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// world is a clock and what happens on it.
type world struct {
	now    time.Duration
	events eventHeap
	serial int
	random *rand.Rand
}

type event struct {
	at     time.Duration
	serial int
	do     func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].serial < h[j].serial
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

func newWorld(seed uint64) *world { return &world{random: rand.New(rand.NewPCG(seed, 1))} }

func (w *world) at(t time.Duration, f func()) {
	w.serial++
	heap.Push(&w.events, event{max(t, w.now), w.serial, f})
}

func (w *world) after(d time.Duration, f func()) { w.at(w.now+d, f) }

func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

// link is one direction of a simulated link: a drop-tail queue before a fixed rate, then a delay.
type link struct {
	w      *world
	rate   func(now time.Duration) float64 // bytes/s
	delay  time.Duration
	jitter time.Duration // added, evenly distributed; order is kept
	buffer time.Duration // of queue at the present rate
	mtu    int           // longer datagrams vanish; 0: none do
	loss   float64
	dead   bool
	out    func(b []byte)

	free time.Duration // when the transmitter is idle
	last time.Duration // arrival of the datagram before
}

func constant(mbit float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return mbit * 1e6 / 8 }
}

func (l *link) send(b []byte) {
	r := l.rate(l.w.now)
	l.free = max(l.free, l.w.now)
	if l.free-l.w.now > l.buffer {
		return
	}
	l.free += seconds(float64(len(b)) / r)
	if l.dead || l.mtu > 0 && len(b) > l.mtu || l.w.random.Float64() < l.loss {
		return
	}
	at := l.free + l.delay
	if l.jitter > 0 {
		at += time.Duration(l.w.random.Int64N(int64(l.jitter)))
	}
	at = max(at, l.last)
	l.last = at
	b = append([]byte(nil), b...)
	l.w.at(at, func() {
		if !l.dead {
			l.out(b)
		}
	})
}

// end is one end of a simulated bond.
type end struct {
	w       *world
	core    *Core
	links   map[PathID]*link
	deliver func(packet []byte)
	wake    time.Duration
	clock   time.Duration // that this machine's clock is ahead
}

func (e *end) Transmit(p PathID, number uint64, frame []byte) error {
	b := make([]byte, outer, outer+len(frame))
	binary.BigEndian.PutUint64(b, number)
	e.links[p].send(append(b, frame...))
	return nil
}

func (e *end) Control([]byte) {}

// Deliver hands the packet to the host at once, but not inside of the core's work: the host answers.
func (e *end) Deliver(packet []byte) {
	b := append([]byte(nil), packet...)
	e.w.after(0, func() { e.deliver(b) })
}

func (e *end) now() time.Duration { return e.w.now + e.clock }

// tick lets the core work and calls it again when it wants.
func (e *end) tick() {
	at := e.core.Tick(e.now())
	if at == never {
		return
	}
	at = max(at-e.clock, e.w.now+50*time.Microsecond)
	if at >= e.wake && e.wake > e.w.now {
		return
	}
	e.wake = at
	e.w.at(at, func() {
		if e.wake == at {
			e.wake = 0
			e.tick()
		}
	})
}

func (e *end) packet(b []byte) {
	e.packetIn(b, Service{})
}

func (e *end) packetIn(b []byte, s Service) {
	e.core.Packet(b, s, e.now())
	e.tick()
}

// pair is a bond of two ends over links that a test describes.
type pair struct {
	*world
	near, far *end
}

// leg is a link of a bond, alike in both directions.
type leg struct {
	mbit   float64
	vary   func(now time.Duration) float64 // instead of mbit
	delay  time.Duration
	buffer time.Duration
	jitter time.Duration
	loss   float64
}

func bondOver(t testing.TB, seed uint64, legs ...leg) *pair {
	p := &pair{world: newWorld(seed)}
	p.near = &end{w: p.world, links: map[PathID]*link{}}
	p.far = &end{w: p.world, links: map[PathID]*link{}, clock: 7 * time.Hour}
	p.near.core, p.far.core = New(p.near), New(p.far)
	for i, l := range legs {
		id := PathID(i)
		join := func(from, to *end) {
			r := l.vary
			if r == nil {
				r = constant(l.mbit)
			}
			from.links[id] = &link{w: p.world, rate: r, delay: l.delay, buffer: l.buffer, jitter: l.jitter, loss: l.loss, out: func(b []byte) {
				if err := to.core.Datagram(id, binary.BigEndian.Uint64(b), b[outer:], to.now(), to.now()); err != nil {
					t.Errorf("path %d: %v", id, err)
				}
				to.tick()
			}}
		}
		join(p.near, p.far)
		join(p.far, p.near)
		for _, e := range []*end{p.near, p.far} {
			if err := e.core.AddPath(id, e.now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.at(0, p.near.tick)
	p.at(0, p.far.tick)
	return p
}
