package bond

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// ticker sends a small datagram every interval from one end to the other, as a call does, and notes when each arrived.
type ticker struct {
	sent, arrived []time.Duration
}

const tickerPort = 6000

func (p *pair) call(from *end, every time.Duration, until time.Duration) *ticker {
	return p.callIn(Service{}, 200, from, every, until)
}

func (p *pair) callIn(s Service, size int, from *end, every time.Duration, until time.Duration) *ticker {
	k := &ticker{}
	var next func()
	next = func() {
		b := make([]byte, size)
		b[0], b[9] = 0x45, 17
		copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
		binary.BigEndian.PutUint16(b[20:], tickerPort)
		binary.BigEndian.PutUint32(b[28:], uint32(len(k.sent)))
		k.sent = append(k.sent, p.now)
		k.arrived = append(k.arrived, 0)
		from.packetIn(b, s)
		if p.now < until {
			p.after(every, next)
		}
	}
	p.at(500*ms, next)
	return k
}

func (k *ticker) receive(w *world, packet []byte) {
	if n := binary.BigEndian.Uint32(packet[28:]); k.arrived[n] == 0 {
		k.arrived[n] = w.now
	}
}

// gap is the longest time without an arrival, lost how many never arrived, slowest the 95th percentile of the delay.
func (k *ticker) gap(from, to time.Duration) (gap time.Duration, lost int) {
	last := from
	for i, at := range k.arrived {
		switch {
		case k.sent[i] < from || k.sent[i] > to:
		case at == 0:
			lost++
		default:
			gap = max(gap, at-last)
			last = max(last, at)
		}
	}
	return gap, lost
}

// TestSilentCut: a link that swallows everything costs a moment, for a call and for a download.
func TestSilentCut(t *testing.T) {
	for cut := range PathID(2) {
		for seed := range uint64(3) {
			p := bondOver(t, seed, legA, legB)
			at := 6*time.Second + time.Duration(seed)*37*ms
			p.at(at, func() {
				p.near.links[cut].dead, p.far.links[cut].dead = true, true
			})
			k := p.call(p.far, 10*ms, 9*time.Second)
			flow := newTCP(p.world, 5001, p.far.packet, p.near.packet)
			stall, last := time.Duration(0), time.Duration(0)
			flow.delivered = func(int) {
				if p.now > 5*time.Second {
					stall = max(stall, p.now-last)
				}
				last = p.now
			}
			p.near.deliver = func(b []byte) {
				if binary.BigEndian.Uint16(b[20:]) == tickerPort {
					k.receive(p.world, b)
				} else {
					flow.receive(b)
				}
			}
			p.far.deliver = flow.acknowledged
			p.at(300*ms, flow.fill)
			p.run(9500 * ms)
			gap, lost := k.gap(5*time.Second, 9*time.Second)
			t.Logf("path %d, seed %d: the call's gap %v, %d lost; the download's stall %v", cut, seed, gap, lost, stall)
			if gap > 250*ms || stall > 400*ms {
				t.Errorf("path %d, seed %d: gap %v, stall %v", cut, seed, gap, stall)
			}
			if p.far.core.pathsUp() != 1<<(1-cut) {
				t.Errorf("paths in use: %b", p.far.core.pathsUp())
			}
		}
	}
}

// TestReturn: a path that is back is found by itself and used again.
func TestReturn(t *testing.T) {
	p := bondOver(t, 1, legA, legB)
	dead := func(is bool) func() {
		return func() { p.near.links[0].dead, p.far.links[0].dead = is, is }
	}
	p.at(5*time.Second, dead(true))
	p.at(8*time.Second, dead(false))
	var up []uint8
	for _, at := range []time.Duration{4 * time.Second, 7 * time.Second, 8500 * ms} {
		p.at(at, func() { up = append(up, p.near.core.pathsUp(), p.far.core.pathsUp()) })
	}
	p.transfer(false, []uint16{5001}, 10*time.Second)
	// The end that only acknowledges sends all it has over A.
	if len(up) != 6 || up[1] != 3 || up[3] != 2 || up[5] != 3 {
		t.Errorf("paths in use before, during and after the cut: %b", up)
	}
}

// TestSparse: a call beside a download that fills all links is hardly slower than alone.
func TestSparse(t *testing.T) {
	p := bondOver(t, 1, legA, legB)
	k := p.call(p.far, 20*ms, 8*time.Second)
	flow := newTCP(p.world, 5001, p.far.packet, p.near.packet)
	p.near.deliver = func(b []byte) {
		if binary.BigEndian.Uint16(b[20:]) == tickerPort {
			k.receive(p.world, b)
		} else {
			flow.receive(b)
		}
	}
	p.far.deliver = flow.acknowledged
	p.at(300*ms, flow.fill)
	p.run(9 * time.Second)
	var delays []time.Duration
	for i, at := range k.arrived {
		if at == 0 {
			t.Fatalf("datagram %d of a call was lost without a fault", i)
		}
		delays = append(delays, at-k.sent[i])
	}
	slices.Sort(delays)
	slow := delays[len(delays)*95/100]
	t.Logf("one way: median %v, 95th percentile %v", delays[len(delays)/2], slow)
	// The shorter way takes 10 ms, and as much queue is kept in it.
	if slow > 30*ms {
		t.Errorf("95 %% of a call's datagrams take up to %v", slow)
	}
}

// pathsUp is a bit for each path in use.
func (c *Core) pathsUp() (set uint8) {
	for _, p := range c.paths {
		if p.up {
			set |= 1 << p.id
		}
	}
	return set
}
