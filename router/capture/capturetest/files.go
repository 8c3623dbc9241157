package capturetest

import (
	"encoding/binary"
	"time"

	"github.com/trenza-router/trenza/router/capture"
)

// Packet is a frame with its time.
type Packet struct {
	At   time.Time
	Data []byte
}

// Order is a byte order that numbers can be appended in.
type Order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// Pcap writes a classic capture file, with time stamps of microseconds or nanoseconds.
func Pcap(order Order, nano bool, link capture.LinkType, packets []Packet) []byte {
	magic, unit := uint32(0xa1b2c3d4), 1000
	if nano {
		magic, unit = 0xa1b23c4d, 1
	}
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 1<<18)
	b = order.AppendUint32(b, uint32(link))
	for _, p := range packets {
		b = order.AppendUint32(b, uint32(p.At.Unix()))
		b = order.AppendUint32(b, uint32(p.At.Nanosecond()/unit))
		b = order.AppendUint32(b, uint32(len(p.Data)))
		b = order.AppendUint32(b, uint32(len(p.Data)))
		b = append(b, p.Data...)
	}
	return b
}

// Kind is a pcapng block that holds a packet.
type Kind uint32

const (
	Obsolete Kind = 2
	Simple   Kind = 3
	Enhanced Kind = 6
)

// Section writes a pcapng section with two interfaces, of which the second one has the packets, unless they are Simple; between them stand blocks
// that a reader must pass over. resolution is the if_tsresol of the interface.
func Section(order Order, kind Kind, resolution byte, link capture.LinkType, packets []Packet) []byte {
	head := order.AppendUint32(nil, 0x1a2b3c4d)
	head = order.AppendUint16(head, 1)
	head = order.AppendUint16(head, 0)
	head = order.AppendUint64(head, 1<<64-1)
	head = option(order, head, 4, []byte("capturetest")) // shb_userappl
	b := block(order, nil, 0x0a0d0d0a, head)
	if kind != Simple {
		b = block(order, b, 1, order.AppendUint32(order.AppendUint32(nil, 147), 0)) // an interface nobody can read
	}
	about := order.AppendUint16(nil, uint16(link))
	about = append(about, 0, 0, 0, 0, 0, 0)
	about = option(order, about, 2, []byte("eth0"))
	about = option(order, about, 9, []byte{resolution})
	about = option(order, about, 0, nil)
	b = block(order, b, 1, about)
	for _, p := range packets {
		b = block(order, b, 5, make([]byte, 12)) // statistics
		body := packetHead(order, kind, resolution, p)
		body = append(body, p.Data...)
		body = append(body, make([]byte, -len(p.Data)&3)...)
		if kind == Enhanced {
			body = option(order, body, 1, []byte("a comment"))
		}
		b = block(order, b, uint32(kind), body)
	}
	return b
}

func packetHead(order Order, kind Kind, resolution byte, p Packet) []byte {
	size := uint32(len(p.Data))
	if kind == Simple {
		return order.AppendUint32(nil, size)
	}
	var stamp uint64
	switch {
	case resolution&0x80 != 0:
		units := uint64(1) << (resolution & 0x7f)
		stamp = uint64(p.At.Unix())*units + uint64(p.At.Nanosecond())*units/1e9
	default:
		stamp = uint64(p.At.UnixNano())
		for range 9 - resolution {
			stamp /= 10
		}
	}
	var b []byte
	if kind == Obsolete {
		b = order.AppendUint16(order.AppendUint16(nil, 1), 3)
	} else {
		b = order.AppendUint32(nil, 1)
	}
	b = order.AppendUint32(b, uint32(stamp>>32))
	b = order.AppendUint32(b, uint32(stamp))
	b = order.AppendUint32(b, size)
	return order.AppendUint32(b, size)
}

func block(order Order, b []byte, kind uint32, body []byte) []byte {
	size := uint32(12 + len(body))
	b = order.AppendUint32(b, kind)
	b = order.AppendUint32(b, size)
	return order.AppendUint32(append(b, body...), size)
}

func option(order Order, b []byte, code uint16, value []byte) []byte {
	b = order.AppendUint16(b, code)
	b = order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}
