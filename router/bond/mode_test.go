package bond

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// mixed runs a download beside a call and gives each end's packets to whom they belong.
func mixed(p *pair, k *ticker) {
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
}

// TestReliable: whichever path dies, with or without a sign and beside a download, nothing of a reliable flow is lost, and nobody notices.
func TestReliable(t *testing.T) {
	for cut := range PathID(2) {
		for seed := range uint64(3) {
			p := bondOver(t, seed, legA, legB)
			p.at(6*time.Second+time.Duration(seed)*37*ms, func() {
				p.near.links[cut].dead, p.far.links[cut].dead = true, true
				if seed == 2 { // its carrier is gone, and both ends know it
					p.near.core.Close(cut, p.near.now())
					p.far.core.Close(cut, p.far.now())
				}
			})
			k := p.callIn(Service{Mode: Reliable}, 200, p.far, 10*ms, 9*time.Second)
			mixed(p, k)
			p.run(9500 * ms)
			gap, lost := k.gap(time.Second, 9*time.Second)
			t.Logf("path %d, seed %d: gap %v, %d lost", cut, seed, gap, lost)
			if lost != 0 || gap > 100*ms {
				t.Errorf("path %d, seed %d: %d datagrams lost, gap %v; want none, and 100 ms at most", cut, seed, lost, gap)
			}
		}
	}
}

// TestReliableLoss: independent losses of both paths are multiplied, and what is left is sent again.
func TestReliableLoss(t *testing.T) {
	a, b := legA, legB
	a.loss, b.loss = 0.05, 0.05
	p := bondOver(t, 1, a, b)
	k := p.callIn(Service{Mode: Reliable}, 200, p.far, 10*ms, 20*time.Second)
	p.near.deliver = func(b []byte) { k.receive(p.world, b) }
	p.far.deliver = func([]byte) {}
	p.run(21 * time.Second)
	if _, lost := k.gap(0, 21*time.Second); lost != 0 {
		t.Errorf("%d of %d datagrams lost", lost, len(k.sent))
	}
}

// TestAnswersInMode: the far end answers a flow in the mode in which it came, and nothing else.
func TestAnswersInMode(t *testing.T) {
	var e entrance
	ask := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1, 0x13, 0x88, 0, 53, 0, 8, 0, 0}
	turned := func(p []byte) []byte {
		return slices.Concat(p[:12], p[16:20], p[12:16], p[22:24], p[20:22], p[24:])
	}
	e.wished(ask, Service{Mode: Latency, Class: Realtime}, time.Second)
	if got := e.classify(turned(ask), Service{}, 2*time.Second); got.service != (Service{Latency, Realtime}) || !got.unordered {
		t.Errorf("the answer: %+v", got)
	}
	other := turned(ask)
	other[23]++ // to another port
	for what, got := range map[string]classified{
		"another flow":         e.classify(other, Service{}, 2*time.Second),
		"the same way":         e.classify(ask, Service{}, 2*time.Second),
		"an answer much later": e.classify(turned(ask), Service{}, time.Second+answeredIn),
	} {
		if !got.service.plain() {
			t.Errorf("%s: %+v", what, got.service)
		}
	}
	if got := e.classify(turned(ask), Service{Mode: Saver}, 2*time.Second); got.service != (Service{Saver, Realtime}) {
		t.Errorf("what this end was told does not prevail: %+v", got.service)
	}
}

// TestLatency: a flow of 4 Mbit/s passes a download's queue, as a sparse one does.
func TestLatency(t *testing.T) {
	delay := func(mode Mode) time.Duration {
		p := bondOver(t, 1, legA, legB)
		k := p.callIn(Service{Mode: mode}, 1000, p.far, 2*ms, 8*time.Second)
		mixed(p, k)
		p.run(9 * time.Second)
		var all []time.Duration
		for i, at := range k.arrived {
			if at > 0 && k.sent[i] > 2*time.Second {
				all = append(all, at-k.sent[i])
			}
		}
		slices.Sort(all)
		return all[len(all)*95/100]
	}
	plain, quick := delay(Speed), delay(Latency)
	t.Logf("one way, 95th percentile: %v, in mode latency %v", plain, quick)
	if quick > 40*ms || quick > plain/2 {
		t.Errorf("95 %% of a game's datagrams take up to %v, without the mode %v", quick, plain)
	}
}

// TestSaver: bytes that cost are spent only when the other path is not enough.
func TestSaver(t *testing.T) {
	spent := func(mode Mode, every time.Duration) (share float64, lost int) {
		p := bondOver(t, 1, legA, legB)
		for _, e := range []*end{p.near, p.far} {
			e.core.Meter(1, true)
		}
		k := p.callIn(Service{Mode: mode}, 1250, p.far, every, 8*time.Second)
		p.near.deliver = func(b []byte) { k.receive(p.world, b) }
		p.far.deliver = func([]byte) {}
		p.run(8500 * ms)
		_, lost = k.gap(3*time.Second, 8*time.Second)
		s := p.far.core.Status()
		return float64(s.Paths[1].Sent) / float64(s.Paths[0].Sent+s.Paths[1].Sent), lost
	}
	low, _ := spent(Saver, ms)                       // 10 Mbit/s
	free, _ := spent(Speed, ms)                      //
	high, lost := spent(Saver, 160*time.Microsecond) // 62.5 Mbit/s, which A alone does not carry
	t.Logf("share of the metered path: %.3f of 10 Mbit/s (%.3f without the mode), %.3f of 62.5 Mbit/s, of which %d were lost", low, free, high, lost)
	if low > 0.02 || high < 0.1 {
		t.Errorf("share of the metered path: %.3f of 10 Mbit/s, %.3f of 62.5 Mbit/s", low, high)
	}
}
