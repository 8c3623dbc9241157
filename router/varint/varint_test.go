package varint

import (
	"bytes"
	"slices"
	"testing"
)

// TestVarint has the examples of RFC 9000 appendix A.1.
func TestVarint(t *testing.T) {
	for _, tt := range []struct {
		bytes []byte
		value uint64
	}{
		{[]byte{0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}, 151288809941952652},
		{[]byte{0x9d, 0x7f, 0x3e, 0x7d}, 494878333},
		{[]byte{0x7b, 0xbd}, 15293},
		{[]byte{0x25}, 37},
	} {
		if v, n := Read(append(slices.Clone(tt.bytes), 9)); v != tt.value || n != len(tt.bytes) {
			t.Errorf("%x is read as %d of %d bytes, want %d", tt.bytes, v, n, tt.value)
		}
		if got := Append(nil, tt.value); !bytes.Equal(got, tt.bytes) {
			t.Errorf("%d is written as %x, want %x", tt.value, got, tt.bytes)
		}
		if _, n := Read(tt.bytes[:len(tt.bytes)-1]); n != 0 {
			t.Errorf("%x without its end is a number", tt.bytes)
		}
	}
	if v, n := Read([]byte{0x40, 0x25}); v != 37 || n != 2 { // longer than need be
		t.Errorf("37 in two bytes is read as %d of %d", v, n)
	}
}
