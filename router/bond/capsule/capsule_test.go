package capsule

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/trenza-router/trenza/router/varint"
)

// stream is three datagrams among what is to be passed over.
func stream() (b []byte, want [][]byte) {
	want = [][]byte{[]byte("one"), {}, bytes.Repeat([]byte{7}, 100)}
	b = AppendDatagram(b, want[0])
	b = append(b, 0x40, 0x99, 3, 1, 2, 3)       // a capsule of an unknown type
	b = append(b, 0, 4, 2, 'n', 'o', 't')       // a datagram of another context
	b = AppendDatagram(b, make([]byte, 101))    // one that is too long by a byte
	b = AppendDatagram(b, make([]byte, 70_000)) // and one that is longer than any
	b = AppendDatagram(b, want[1])
	b = append(b, 0x40, 0, 0x40, 101, 0) // a long way to write type and length
	return append(b, want[2]...), want
}

// TestReader: a stream gives the same datagrams in whatever pieces it comes.
func TestReader(t *testing.T) {
	b, want := stream()
	for piece := range len(b) {
		r := NewReader(100)
		var got [][]byte
		for part := range slices.Chunk(b, piece+1) {
			if err := r.Feed(part, func(d []byte) { got = append(got, bytes.Clone(d)) }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("in pieces of %d: %d datagrams %q, want %d", piece+1, len(got), got, len(want))
		}
		if len(r.held) > 0 {
			t.Fatalf("in pieces of %d: %d bytes are left", piece+1, len(r.held))
		}
	}
}

// TestBroken: a DATAGRAM capsule without a context ends the stream.
func TestBroken(t *testing.T) {
	for _, b := range [][]byte{{0, 0}, {0, 1, 0x40}} {
		if err := NewReader(100).Feed(b, func([]byte) { t.Errorf("%x has a datagram", b) }); !errors.Is(err, errContext) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

// FuzzReader: any bytes give the same in one piece and in two, nothing is longer than allowed, and little is held.
func FuzzReader(f *testing.F) {
	b, _ := stream()
	f.Add(b, uint16(5))
	f.Add([]byte{0, 0}, uint16(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint16(3))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		const most = 100
		read := func(pieces ...[]byte) (got [][]byte, err error) {
			r := NewReader(most)
			for _, p := range pieces {
				if err = r.Feed(p, func(d []byte) {
					if len(d) > most {
						t.Errorf("a datagram of %d bytes", len(d))
					}
					got = append(got, bytes.Clone(d))
				}); err != nil {
					return got, err
				}
				if len(r.held) > most+3*varint.Most {
					t.Errorf("%d bytes are held", len(r.held))
				}
			}
			return got, nil
		}
		at := int(cut) % (len(b) + 1)
		one, err1 := read(b)
		two, err2 := read(b[:at], b[at:])
		if !slices.EqualFunc(one, two, bytes.Equal) || !errors.Is(err1, err2) {
			t.Errorf("in one piece %q, %v; in two %q, %v", one, err1, two, err2)
		}
	})
}
