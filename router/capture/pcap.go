package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// pcap is the classic format (draft-ietf-opsawg-pcap): one header, one link type, records.
type pcap struct {
	order    binary.ByteOrder
	link     LinkType
	nano     bool
	modified bool
}

// newPcap reads the file header, 24 bytes.
func newPcap(in *input, order binary.ByteOrder, magic uint32) (*pcap, error) {
	var head [24]byte
	if atEnd, err := in.fill(head[:], 0, "the file header"); err != nil || atEnd {
		return nil, err
	}
	if major := order.Uint16(head[4:]); major != 2 {
		return nil, &Broken{0, fmt.Sprintf("pcap version %d, only 2 is known", major)}
	}
	// The upper bits of the field say how long a frame check sequence is (§4); we never look at those bytes.
	return &pcap{order, LinkType(order.Uint32(head[20:]) & 0xffff), magic == magicNano, magic == magicModified}, nil
}

func (f *pcap) next(in *input, r *Record) error {
	start := in.offset
	var head [16]byte
	atEnd, err := in.fill(head[:], start, "a packet header")
	if err != nil {
		return err
	}
	if atEnd {
		return io.EOF
	}
	captured, length := f.order.Uint32(head[8:]), f.order.Uint32(head[12:])
	if captured > maxPacket {
		return &Broken{start, fmt.Sprintf("a packet of %d bytes", captured)}
	}
	if f.modified {
		if err := in.skip(8, start, "a packet header"); err != nil {
			return err
		}
	}
	r.Data, err = in.take(int(captured), start, "a packet")
	if err != nil {
		return err
	}
	fraction := int64(f.order.Uint32(head[4:]))
	if !f.nano {
		fraction *= 1000
	}
	r.At = time.Unix(int64(f.order.Uint32(head[:])), fraction).UTC()
	r.Link, r.Length = f.link, wireLength(length, captured)
	return nil
}

// wireLength is the length of a packet on the wire; some writers leave it out.
func wireLength(length, captured uint32) int {
	return int(min(max(length, captured), 1<<30))
}
