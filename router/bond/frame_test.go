package bond

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDataFrame(t *testing.T) {
	f := dataFrame{flags: flagUnordered, sent: 0x123456, flow: 4095, order: 0xfedcba, number: 0xdeadbeef, packet: []byte("packet")}
	got, err := parseData(f.append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f, got, cmp.AllowUnexported(dataFrame{})); d != "" {
		t.Error(d)
	}
	if _, err := parseData(f.append(nil)[:dataHeader]); err == nil {
		t.Error("a frame without a packet is accepted")
	}
}

// TestRecord: what a receipt reports comes through the few bits of the wire, over years of counting.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := record{
			path: 3, highest: rapid.Uint64Range(1<<20, 1<<60).Draw(t, "highest"), bytes: rapid.Uint64Range(0, 1<<60).Draw(t, "bytes"),
			arrived: time.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "arrived")) / clockUnit * clockUnit,
			lost:    rapid.Uint32Range(0, 1<<30).Draw(t, "lost"),
		}
		next := start
		next.highest += rapid.Uint64Range(0, 1<<16).Draw(t, "more")
		next.judged = next.highest - rapid.Uint64Range(0, 1000).Draw(t, "unknown")
		next.bytes += rapid.Uint64Range(0, 1<<30).Draw(t, "more bytes")
		next.arrived += time.Duration(rapid.IntRange(0, 100_000).Draw(t, "later")) * clockUnit
		next.lost += rapid.Uint32Range(0, 1<<15).Draw(t, "more lost")
		next.least = rapid.Int32Range(-1<<22, 1<<22).Draw(t, "least")
		next.most = next.least + rapid.Int32Range(0, 10000).Draw(t, "spread")
		at := next.judged - 100_000
		for range rapid.IntRange(0, maxGaps).Draw(t, "gaps") {
			from := at + 1 + rapid.Uint64Range(0, 500).Draw(t, "arrived between")
			at = from + rapid.Uint64Range(0, 500).Draw(t, "missing")
			next.missing = append(next.missing, span{from, at})
			at++
		}
		before := func(id PathID) (record, bool) { return start, id == 3 }
		b := append(next.append(nil), 7, 7)
		got, rest, err := parseRecord(b, before, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(next, got, cmp.AllowUnexported(record{}, span{})); d != "" || !bytes.Equal(rest, []byte{7, 7}) {
			t.Fatalf("rest %v\n%s", rest, d)
		}
	})
}

func FuzzFrames(f *testing.F) {
	data := dataFrame{packet: []byte{0x45}}
	f.Add(data.append(nil))
	f.Add(appendFloor(nil, probeKind, 1, 2))
	rec := record{highest: 10, judged: 9, missing: []span{{3, 4}, {6, 6}}}
	f.Add(append(appendFloor(nil, repairKind, 1, 2), slices.Concat([]byte{1, 0, 0, 0, 9}, mix(nil, &data))...))
	f.Add(rec.append(appendFloor(nil, feedbackKind, 1, 2)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		p := bondOver(t, 1, legA, legB)
		p.near.deliver, p.far.deliver = func([]byte) {}, func([]byte) {}
		p.at(100*ms, func() {
			p.near.packet(ipTCP(1, 1, 100))
			_ = p.near.core.Datagram(0, 50, frame, p.now, p.now)
			p.near.packet(ipTCP(1, 2, 100))
		})
		p.run(time.Second)
	})
}

// FuzzLook: whatever stands in a packet, its headers are read within it, and an answer to it has the hash that is expected of one.
func FuzzLook(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1, 0x13, 0x88, 0, 53, 0, 8, 0, 0})
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 20, 6, 64}, make([]byte, 52)...))
	f.Add([]byte{0x4f, 0, 0, 20})
	f.Fuzz(func(t *testing.T, p []byte) {
		l := look(p)
		if l.bare && l.data {
			t.Error("a segment with and without data")
		}
		if len(p) < 28 || p[0] != 0x45 {
			return
		}
		answer := slices.Concat(p[:12], p[16:20], p[12:16], p[22:24], p[20:22], p[24:])
		if (p[9] == 6 || p[9] == 17) && lookBack(answer).hash != l.hash {
			t.Error("the answer is taken for another flow's")
		}
	})
}
