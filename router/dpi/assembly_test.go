package dpi

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the order, the copies and the overlaps of the pieces, what comes out is the stream, and never more of it than was
// seen without a gap.
func TestAssemblyRestoresTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "stream")
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
		var a assembly
		a.reset(len(stream))
		seen := make([]bool, len(stream)+1)
		for _, p := range rapid.Permutation(pieces).Draw(t, "order") {
			if !a.add(p.from, bytes.Clone(stream[p.from:p.to])) {
				t.Fatalf("piece %v refused", p)
			}
			gap := 0
			for i := p.from; i < p.to; i++ {
				seen[i] = true
			}
			for seen[gap] {
				gap++
			}
			if got := a.prefix(); !bytes.Equal(got, stream[:gap]) {
				t.Fatalf("got %x\nwant %x", got, stream[:gap])
			}
		}
		if !a.full() {
			t.Fatal("not full")
		}
	})
}

// An earlier start moves what is known already.
func TestAssemblyShifts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.SliceOfN(rapid.Byte(), 2, 300).Draw(t, "stream")
		cut := rapid.IntRange(1, len(stream)-1).Draw(t, "cut")
		var a assembly
		a.reset(400)
		a.add(0, stream[cut:])
		if !a.shift(cut) || a.prefix() != nil {
			t.Fatal("not shifted")
		}
		if a.add(0, stream[:cut]); !bytes.Equal(a.prefix(), stream) {
			t.Fatalf("got %x\nwant %x", a.prefix(), stream)
		}
		if a.shift(401 - len(stream)) {
			t.Fatal("shifted over the limit")
		}
	})
}

func TestAssemblyIsBounded(t *testing.T) {
	var a assembly
	a.reset(100)
	for _, p := range []struct{ offset, size int }{{-1, 5}, {100, 1}, {1 << 30, 1}} {
		if a.add(p.offset, make([]byte, p.size)) {
			t.Errorf("accepted %d bytes at %d", p.size, p.offset)
		}
	}
	if a.add(0, make([]byte, 101)); len(a.prefix()) != 100 {
		t.Errorf("%d bytes kept, want 100", len(a.prefix()))
	}
	a.reset(1000)
	n := 0
	for i := range 100 {
		if a.add(2+2*i, []byte{1}) {
			n++
		}
	}
	if n != maxSpans {
		t.Errorf("%d gaps kept, want %d", n, maxSpans)
	}
}
