package dpi

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the order, the copies and the overlaps of the pieces, what comes out is the stream.
func TestAssemblyRestoresTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "stream")
		var a assembly
		a.reset(len(stream), rapid.Bool().Draw(t, "keep"))
		type piece struct{ from, to int }
		var pieces []piece
		for at := 0; at < len(stream); {
			to := rapid.IntRange(at+1, min(len(stream), at+40)).Draw(t, "to")
			pieces = append(pieces, piece{max(0, at-rapid.IntRange(0, 9).Draw(t, "overlap")), to})
			at = to
		}
		if len(pieces) > maxSpans {
			pieces = pieces[:maxSpans]
			stream = stream[:pieces[maxSpans-1].to]
		}
		pieces = append(pieces, pieces[rapid.IntRange(0, len(pieces)-1).Draw(t, "copy")])
		var got []byte
		for _, p := range rapid.Permutation(pieces).Draw(t, "order") {
			ready, ok := a.add(p.from, bytes.Clone(stream[p.from:p.to]))
			if !ok {
				t.Fatalf("piece %v refused", p)
			}
			got = append(got, ready...)
		}
		if !bytes.Equal(got, stream) {
			t.Fatalf("got %x\nwant %x", got, stream)
		}
	})
}

func TestAssemblyIsBounded(t *testing.T) {
	var a assembly
	a.reset(100, false)
	for _, p := range []struct{ offset, size int }{{-1, 5}, {101, 0}, {99, 2}, {0, 101}, {1 << 60, 1}} {
		if _, ok := a.add(p.offset, make([]byte, p.size)); ok {
			t.Errorf("accepted %d bytes at %d", p.size, p.offset)
		}
	}
	a.reset(1000, false)
	n := 0
	for i := range 100 {
		if _, ok := a.add(2+2*i, []byte{1}); ok {
			n++
		}
	}
	if n != maxSpans {
		t.Errorf("%d gaps kept, want %d", n, maxSpans)
	}
}
