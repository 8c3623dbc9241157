// Package varint has QUIC's variable-length integers (RFC 9000 section 16), which HTTP's capsules (RFC 9297) use, too. It reads the bytes of strangers.
package varint

import "encoding/binary"

// Most is how many bytes a number has at the most.
const Most = 8

// Append appends a number in the least bytes. Numbers go up to 2^62 - 1; the two upper bits of a greater one are lost.
func Append(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return binary.BigEndian.AppendUint16(b, uint16(v)|1<<14)
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(b, uint32(v)|2<<30)
	}
	return binary.BigEndian.AppendUint64(b, v|3<<62)
}

// Read reads a number, of any of its lengths, and tells how many bytes it has; 0: it is not whole yet.
func Read(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	n = 1 << (b[0] >> 6)
	if len(b) < n {
		return 0, 0
	}
	v = uint64(b[0] & 0x3f)
	for _, x := range b[1:n] {
		v = v<<8 | uint64(x)
	}
	return v, n
}
