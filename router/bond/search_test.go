package bond

import (
	"encoding/binary"
	"testing"
	"time"
)

// TestSearch: each path's largest datagram is found within the grain, whatever it is, also when datagrams are lost by chance.
func TestSearch(t *testing.T) {
	for _, mtu := range []int{1500, 1492, 1480, 1472, 1440, 1420, 1400, 1358, 1346} {
		for _, loss := range []float64{0, 0.05} {
			p := bondOver(t, uint64(mtu), with(legA, func(l *leg) { l.loss = loss }), legB)
			for _, e := range []*end{p.near, p.far} {
				e.links[1].mtu = mtu
			}
			k := p.call(p.near, 50*ms, 10*time.Second) // the way is in use
			p.far.deliver = func(b []byte) { k.receive(p.world, b) }
			p.run(12 * time.Second)
			for _, e := range []*end{p.near, p.far} {
				got := e.core.Status().Paths[1].Largest
				if most := mtu - outer - dataHeader; got > most || got < most-searchGrain {
					t.Errorf("MTU %d, loss %g: found %d, want at most %d less than %d", mtu, loss, got, searchGrain, most)
				}
			}
			if all, b := p.near.core.Largest(), p.near.core.Status().Paths[1].Largest; all != b {
				t.Errorf("MTU %d: the bond carries %d, its narrowest path %d", mtu, all, b)
			}
		}
	}
}

// TestNarrowed: a path whose way has become narrower is found out by what it loses; what is too long for it goes over the other one from then
// on, and nothing is lost on the way there.
func TestNarrowed(t *testing.T) {
	p := bondOver(t, 3, legA, legB)
	got := map[uint32]bool{}
	p.far.deliver = func(b []byte) { got[binary.BigEndian.Uint32(b[28:])] = true }
	p.at(4*time.Second, func() { p.near.links[0].mtu, p.far.links[0].mtu = 1400, 1400 })
	k := p.callIn(Service{}, 1400, p.near, 2*ms, 9*time.Second) // 5.6 Mbit/s
	lost := 0
	p.run(10 * time.Second)
	for n, at := range k.sent {
		if !got[uint32(n)] && at < 9*time.Second {
			lost++
		}
	}
	found := p.near.core.Status().Paths[0].Largest
	t.Logf("%d of %d datagrams lost; the narrowed path carries %d", lost, len(k.sent), found)
	if most := 1400 - outer - dataHeader; found > most || found < most-searchGrain {
		t.Errorf("the narrowed path is thought to carry %d, want %d", found, most)
	}
	if lost > len(k.sent)/100 {
		t.Errorf("%d of %d datagrams were lost", lost, len(k.sent))
	}
}

// TestTooNarrow: a path that carries not even the least is not waited for.
func TestTooNarrow(t *testing.T) {
	p := bondOver(t, 1, legA, legB)
	p.near.links[1].mtu, p.far.links[1].mtu = 600, 600
	share := p.transfer(false, []uint16{5001}, 6*time.Second) / 50
	if share < 0.85 {
		t.Errorf("beside a path that carries no packet the flow got %.2f of the other one", share)
	}
}
