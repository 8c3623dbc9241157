package bond

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// TestTurns: lanes that all have packets share by weight; what one leaves is the others'.
func TestTurns(t *testing.T) {
	for name, tt := range map[string]struct {
		busy []Class
		want map[Class]float64
	}{
		"all":              {[]Class{Normal, Realtime, Interactive, Background}, map[Class]float64{Realtime: 16. / 29, Interactive: 8. / 29, Normal: 4. / 29, Background: 1. / 29}},
		"no calls":         {[]Class{Normal, Background}, map[Class]float64{Normal: .8, Background: .2}},
		"one alone":        {[]Class{Background}, map[Class]float64{Background: 1}},
		"call and nothing": {[]Class{Realtime, Background}, map[Class]float64{Realtime: 16. / 17, Background: 1. / 17}},
	} {
		t.Run(name, func(t *testing.T) {
			var l lanes
			got, sum := map[Class]float64{}, 0.0
			for i := range 20000 {
				for _, c := range tt.busy {
					for l.of[c].queue.len() < 2 {
						l.push(&parcel{packet: make([]byte, 100+i*37%1300), service: Service{Class: c}})
					}
				}
				c, ok := l.next([classes]bool{})
				if !ok {
					t.Fatal("nobody's turn")
				}
				n := float64(len(l.take(c, true).packet))
				got[c] += n
				sum += n
			}
			for c, want := range tt.want {
				if is := got[c] / sum; is < want-.01 || is > want+.01 {
					t.Errorf("class %d has %.3f, want %.3f", c, is, want)
				}
			}
			waiting := 0
			for _, c := range tt.busy {
				waiting += l.of[c].bytes
			}
			if l.bytes != waiting {
				t.Errorf("%d bytes wait, of all lanes %d", l.bytes, waiting)
			}
		})
	}
}

// TestAside: a lane whose packet no path takes does not hold up the others, and saves nothing up meanwhile.
func TestAside(t *testing.T) {
	var l lanes
	l.push(&parcel{packet: make([]byte, 1000), service: Service{Class: Realtime}})
	for range 100 {
		l.push(&parcel{packet: make([]byte, 1400)})
	}
	aside := [classes]bool{Realtime: true}
	for range 100 {
		if c, ok := l.next(aside); !ok || c != Normal {
			t.Fatalf("class %d, %v", c, ok)
		}
		l.take(Normal, true)
	}
	if _, ok := l.next(aside); ok {
		t.Error("a lane that was set aside has its turn")
	}
	if l.of[Realtime].credit > turn(Realtime) {
		t.Errorf("it has saved up %d bytes", l.of[Realtime].credit)
	}
}

// TestRealtimeHoldsItsRate: 20 Mbit/s of a class that goes first, which is too much to pass the queue, beside a download that fills all paths.
func TestRealtimeHoldsItsRate(t *testing.T) {
	run := func(c Class) (lost float64, slow time.Duration) {
		p := bondOver(t, 1, legA, legB)
		k := p.callIn(Service{Class: c}, 1000, p.far, 400*time.Microsecond, 8*time.Second)
		mixed(p, k)
		p.run(9 * time.Second)
		var all []time.Duration
		n := 0
		for i, at := range k.arrived {
			switch {
			case k.sent[i] < 3*time.Second:
			case at == 0:
				lost++
				n++
			default:
				n++
				all = append(all, at-k.sent[i])
			}
		}
		slices.Sort(all)
		return lost / float64(n), all[len(all)*95/100]
	}
	lost, slow := run(Realtime)
	plainLost, plainSlow := run(Normal)
	t.Logf("lost %.4f, 95th percentile %v; without the class %.4f, %v", lost, slow, plainLost, plainSlow)
	if lost > 0.001 || slow > 80*ms || slow > plainSlow*3/4 {
		t.Errorf("of 20 Mbit/s that go first %.4f are lost, and 95 %% take up to %v; without the class %.4f and %v", lost, slow, plainLost, plainSlow)
	}
}

// TestRealtimeCut: whichever path dies silently, a call beside a download loses nothing: its copies fit the budget.
func TestRealtimeCut(t *testing.T) {
	for cut := range PathID(2) {
		p := bondOver(t, 1, legA, legB)
		p.at(6*time.Second, func() { p.near.links[cut].dead, p.far.links[cut].dead = true, true })
		k := p.callIn(Service{Class: Realtime}, 200, p.far, 10*ms, 9*time.Second)
		mixed(p, k)
		p.run(9500 * ms)
		if gap, lost := k.gap(time.Second, 9*time.Second); lost != 0 || gap > 100*ms {
			t.Errorf("path %d: gap %v, %d lost; want 100 ms at most, and none", cut, gap, lost)
		}
	}
}

// TestCopiesAreBounded: second copies cost what the budget says, and nothing where bytes cost.
func TestCopiesAreBounded(t *testing.T) {
	extra := func(c Class, metered bool) (copies float64) {
		p := bondOver(t, 1, legA, legB)
		for _, e := range []*end{p.near, p.far} {
			e.core.Meter(1, metered)
		}
		k := p.callIn(Service{Class: c}, 1000, p.far, 2*ms, 8*time.Second) // 4 Mbit/s
		p.near.deliver = func(b []byte) { k.receive(p.world, b) }
		p.far.deliver = func([]byte) {}
		p.run(9 * time.Second)
		return float64(p.near.core.order.copies)
	}
	if n := extra(Realtime, false); n < 300 || n > 700 { // 512 kbit/s for eight seconds are 500 packets
		t.Errorf("%v copies of 4,000 packets", n)
	}
	if n := extra(Realtime, true); n > 0 {
		t.Errorf("%v copies over a path where bytes cost", n)
	}
	if n := extra(Normal, false); n > 0 {
		t.Errorf("%v copies of what is not urgent", n)
	}
}

// TestBackgroundYields: two downloads of different classes share by their weights.
func TestBackgroundYields(t *testing.T) {
	p := bondOver(t, 1, legA, legB)
	flows := map[uint16]*tcp{}
	for port, c := range map[uint16]Class{5001: Normal, 5002: Background} {
		flows[port] = newTCP(p.world, port, func(b []byte) { p.far.packetIn(b, Service{Class: c}) }, p.near.packet)
	}
	of := func(b []byte) *tcp { return flows[binary.BigEndian.Uint16(b[20:])] }
	p.near.deliver = func(b []byte) { of(b).receive(b) }
	p.far.deliver = func(b []byte) { of(b).acknowledged(b) }
	p.at(300*ms, func() { flows[5001].fill(); flows[5002].fill() })
	p.run(4 * time.Second)
	before := [2]int64{flows[5001].goodput, flows[5002].goodput}
	p.run(14 * time.Second)
	first, last := float64(flows[5001].goodput-before[0])*8/1e7, float64(flows[5002].goodput-before[1])*8/1e7
	t.Logf("%.1f and %.1f Mbit/s", first, last)
	if last < 1 || first < 2*last || first+last < 55 {
		t.Errorf("%.1f Mbit/s beside %.1f in the background; want a multiple, neither starved, and both together most of 70", first, last)
	}
}
