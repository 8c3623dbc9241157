package bond

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// guardedCall runs a call of a service over links that lose a part of everything, and counts what was lost, came twice and was made from repairs.
func guardedCall(t *testing.T, s Service, loss float64, legs ...leg) (lost, twice float64, mended uint64) {
	for i := range legs {
		legs[i].loss = loss
	}
	p := bondOver(t, 1, legs...)
	k := p.callIn(s, 200, p.far, 5*ms, 40*time.Second)
	came := map[uint32]int{}
	p.near.deliver = func(b []byte) {
		came[binary.BigEndian.Uint32(b[28:])]++
		k.receive(p.world, b)
	}
	p.far.deliver = func([]byte) {}
	p.run(41 * time.Second)
	var n float64
	for i := range k.sent {
		if k.sent[i] < 5*time.Second { // the loss is known by then
			continue
		}
		n++
		switch got := came[uint32(i)]; {
		case got == 0:
			lost++
		case got > 1:
			twice++
		}
	}
	return lost / n, twice / n, p.near.core.Status().Mended
}

// TestRepairs: a game's datagrams are never sent again. What a path loses of them is made from repairs, and comes once.
func TestRepairs(t *testing.T) {
	lost, twice, mended := guardedCall(t, Service{Mode: Latency}, 0.03, legA, legB)
	t.Logf("of a path that loses 0.03, %.4f were lost; %d made from repairs", lost, mended)
	if lost > 0.01 || twice > 0 || mended < 100 {
		t.Errorf("%.4f lost, want 0.01 at most of 0.03; %.4f came twice; %d made from repairs", lost, twice, mended)
	}
	// One link alone carries the repairs, too.
	if lost, twice, _ := guardedCall(t, Service{Mode: Latency}, 0.03, legB); lost > 0.01 || twice > 0 {
		t.Errorf("one link: %.4f lost, %.4f came twice", lost, twice)
	}
}

// TestNoRepairs: where nothing is lost, and for what can be sent again, there are none.
func TestNoRepairs(t *testing.T) {
	if _, _, mended := guardedCall(t, Service{Mode: Latency}, 0, legA, legB); mended > 0 {
		t.Errorf("%d packets made from repairs without a loss", mended)
	}
	if _, _, mended := guardedCall(t, Service{}, 0.03, legA, legB); mended > 0 {
		t.Errorf("%d packets of no urgent flow made from repairs", mended)
	}
}

// TestMender: whichever frame of a repair is missing is made from it, bit by bit, in whatever order things come.
func TestMender(t *testing.T) {
	var frames []dataFrame
	for i := range repairMost {
		frames = append(frames, dataFrame{flags: uint8(i) << modeShift, flow: uint16(i * 1000), order: uint32(i) + 1<<23, number: 1<<31 + uint32(i), packet: bytes.Repeat([]byte{byte(i + 1)}, 100+i*53%300)})
	}
	var g guard
	for i := range frames {
		g.add(&frames[i], 0)
	}
	body := []byte{repairMost}
	for _, n := range g.numbers {
		body = binary.BigEndian.AppendUint32(body, n)
	}
	body = append(body, g.parity...)
	for missing := range frames {
		for when := range repairMost { // how many frames come before the repair
			var m mender
			var w *waitingRepair
			var got *dataFrame
			n := 0
			for i := range frames {
				if n == when {
					var err error
					if w, err = m.wait(body); err != nil {
						t.Fatal(err)
					}
				}
				n++
				if i != missing {
					m.keep(&frames[i])
				}
				if w == nil || got != nil {
					continue
				}
				if f, ok := m.complete(w); ok {
					got = &f
				}
			}
			want := frames[missing]
			if got == nil || got.flags != want.flags || got.flow != want.flow || got.order != want.order || got.number != want.number || !bytes.Equal(got.packet, want.packet) {
				t.Errorf("frame %d, the repair after %d: %+v, want %+v", missing, when, got, want)
			}
		}
	}
	var m mender
	for _, broken := range [][]byte{nil, {0}, {repairMost + 1}, body[:len(body)-len(g.parity)]} {
		if _, err := m.wait(broken); err == nil {
			t.Errorf("%x was taken for a repair", broken)
		}
	}
}
