// Package capsule writes and reads datagrams on a stream of bytes: DATAGRAM capsules of RFC 9297 with UDP payloads of RFC 9298 in them.
//
// It owns the bytes and nothing else: router/bond/https has the connections that they travel on. A Reader is for bytes of strangers; it holds no
// more of them than one datagram has, and has no lock.
package capsule

import (
	"errors"

	"github.com/trenza-router/trenza/router/varint"
)

const (
	datagramType = 0x00 // RFC 9297 section 3.5
	payload      = 0x00 // the context ID of UDP payloads, RFC 9298 section 5
)

// errContext is a DATAGRAM capsule that is too short for the context ID that it has to begin with.
var errContext = errors.New("a DATAGRAM capsule without a context ID")

// AppendDatagram appends a datagram as a capsule.
func AppendDatagram(b, datagram []byte) []byte {
	b = varint.Append(append(b, datagramType), uint64(len(datagram))+1)
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
		kind, n := varint.Read(b)
		length, k := varint.Read(b[n:])
		if n == 0 || k == 0 {
			break
		}
		value := b[n+k:]
		if kind != datagramType || length > uint64(r.most+varint.Most) {
			b, r.skip = value, length
			continue
		}
		if uint64(len(value)) < length {
			break
		}
		b, value = value[length:], value[:length]
		context, c := varint.Read(value)
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
