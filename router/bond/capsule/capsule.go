// Package capsule writes and reads datagrams on a stream of bytes: DATAGRAM capsules of RFC 9297 with UDP payloads of RFC 9298 in them.
//
// It owns the bytes and nothing else: router/bond/https has the connections that they travel on. A Reader is for bytes of strangers; it holds no
// more of them than one datagram has, and has no lock.
package capsule

import (
	"encoding/binary"
	"errors"
)

const (
	datagramType = 0x00 // RFC 9297 section 3.5
	payload      = 0x00 // the context ID of UDP payloads, RFC 9298 section 5
	varintMost   = 8
)

// errContext is a DATAGRAM capsule that is too short for the context ID that it has to begin with.
var errContext = errors.New("a DATAGRAM capsule without a context ID")

// AppendVarint appends a number as QUIC's variable-length integer (RFC 9000 section 16), in the least bytes. Numbers go up to 2^62 - 1;
// the two upper bits of a greater one are lost.
func AppendVarint(b []byte, v uint64) []byte {
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

// Varint reads such a number, of any of its lengths, and tells how many bytes it has; 0: it is not whole yet.
func Varint(b []byte) (v uint64, n int) {
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

// AppendDatagram appends a datagram as a capsule.
func AppendDatagram(b, datagram []byte) []byte {
	b = AppendVarint(append(b, datagramType), uint64(len(datagram))+1)
	return append(append(b, payload), datagram...)
}

// Reader cuts a stream into datagrams. Capsules of other types, datagrams of other contexts and those that are too long are passed over, as
// RFC 9297 section 3.2 and RFC 9298 section 5 ask.
type Reader struct {
	most int
	held []byte // of a capsule that is not whole
	skip uint64 // bytes to come of one that nobody wants
}

// NewReader takes datagrams of most bytes at most.
func NewReader(most int) *Reader { return &Reader{most: most} }

// Feed takes the next bytes of the stream and hands over each datagram that they finish; it is valid during the call. After an error the
// stream is good for nothing.
func (r *Reader) Feed(b []byte, f func(datagram []byte)) error {
	if len(r.held) > 0 {
		r.held = append(r.held, b...)
		b = r.held
	}
	for len(b) > 0 {
		if r.skip > 0 {
			n := min(r.skip, uint64(len(b)))
			b, r.skip = b[n:], r.skip-n
			continue
		}
		kind, n := Varint(b)
		length, k := Varint(b[n:])
		if n == 0 || k == 0 {
			break
		}
		value := b[n+k:]
		if kind != datagramType || length > uint64(r.most+varintMost) {
			b, r.skip = value, length
			continue
		}
		if uint64(len(value)) < length {
			break
		}
		b, value = value[length:], value[:length]
		context, c := Varint(value)
		if c == 0 {
			return errContext
		}
		if datagram := value[c:]; context == payload && len(datagram) <= r.most {
			f(datagram)
		}
	}
	r.held = append(r.held[:0], b...) // b may lie in it, further back
	return nil
}
