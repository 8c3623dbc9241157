package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// pcapng is the newer format (draft-ietf-opsawg-pcapng): sections of blocks, each section with its own byte order and interfaces.
type pcapng struct {
	order      binary.ByteOrder // nil before the first section
	interfaces []captureInterface
}

// captureInterface is what an interface description says about its packets.
type captureInterface struct {
	link   LinkType
	snap   uint32
	units  uint64 // of a time stamp, per second
	offset int64  // seconds to add to it
}

// Block types (§11.1) and options (§3.5, §4.2).
const (
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6

	byteOrderMagic = 0x1a2b3c4d

	optionEnd        = 0
	optionComment    = 1
	optionResolution = 9
	optionOffset     = 14
)

// maxInterfaces bounds the interfaces of a section.
const maxInterfaces = 1 << 16

func (f *pcapng) next(in *input, r *Record) error {
	for {
		start := in.offset
		var head [8]byte
		atEnd, err := in.fill(head[:], start, "a block header")
		if err != nil {
			return err
		}
		if atEnd {
			return io.EOF
		}
		if binary.BigEndian.Uint32(head[:]) == magicSection {
			if err := f.section(in, head[4:], start); err != nil {
				return err
			}
			continue
		}
		if f.order == nil {
			return &Broken{start, "a block before the section header"}
		}
		kind, size := f.order.Uint32(head[:]), f.order.Uint32(head[4:])
		if size < 12 || size%4 != 0 || size > maxBlock {
			return &Broken{start, fmt.Sprintf("a block of %d bytes", size)}
		}
		switch kind {
		case blockInterface, blockPacket, blockSimple, blockEnhanced:
		default: // names, statistics, secrets, custom blocks, what is not invented yet
			if err := in.skip(int(size)-12, start, "a block"); err != nil {
				return err
			}
			if err := f.trailer(in, size, start); err != nil {
				return err
			}
			continue
		}
		body, err := in.take(int(size)-12, start, "a block")
		if err != nil {
			return err
		}
		if kind == blockInterface {
			if err := f.addInterface(body, start); err != nil {
				return err
			}
		} else if err := f.packet(kind, body, r, start); err != nil {
			return err
		}
		if err := f.trailer(in, size, start); err != nil {
			return err
		}
		if kind != blockInterface {
			return nil
		}
	}
}

// trailer checks the second length at the end of a block.
func (f *pcapng) trailer(in *input, size uint32, start int64) error {
	var b [4]byte
	if atEnd, err := in.fill(b[:], start, "a block"); err != nil {
		return err
	} else if atEnd {
		return &Broken{start, "the file ends inside of a block"}
	}
	if again := f.order.Uint32(b[:]); again != size {
		return &Broken{start, fmt.Sprintf("a block that says %d bytes at its start and %d at its end", size, again)}
	}
	return nil
}

// section begins a new section: byte order and interfaces start anew (§4.1).
func (f *pcapng) section(in *input, size4 []byte, start int64) error {
	var head [8]byte // byte order magic, version
	if atEnd, err := in.fill(head[:], start, "a section header"); err != nil {
		return err
	} else if atEnd {
		return &Broken{start, "the file ends inside of a section header"}
	}
	switch {
	case binary.LittleEndian.Uint32(head[:]) == byteOrderMagic:
		f.order = binary.LittleEndian
	case binary.BigEndian.Uint32(head[:]) == byteOrderMagic:
		f.order = binary.BigEndian
	default:
		return &Broken{start, "a section header without the magic number of its byte order"}
	}
	if major := f.order.Uint16(head[4:]); major != 1 {
		return &Broken{start, fmt.Sprintf("pcapng version %d, only 1 is known", major)}
	}
	size := f.order.Uint32(size4)
	if size < 28 || size%4 != 0 || size > maxBlock {
		return &Broken{start, fmt.Sprintf("a section header of %d bytes", size)}
	}
	if err := in.skip(int(size)-20, start, "a section header"); err != nil {
		return err
	}
	f.interfaces = f.interfaces[:0]
	return f.trailer(in, size, start)
}

// addInterface reads an interface description (§4.2).
func (f *pcapng) addInterface(body []byte, start int64) error {
	if len(body) < 8 {
		return &Broken{start, "an interface description that is too short"}
	}
	if len(f.interfaces) == maxInterfaces {
		return &Broken{start, fmt.Sprintf("more than %d interfaces", maxInterfaces)}
	}
	i := captureInterface{link: LinkType(f.order.Uint16(body)), snap: f.order.Uint32(body[4:]), units: 1_000_000}
	for options := body[8:]; len(options) >= 4; {
		code, n := f.order.Uint16(options), int(f.order.Uint16(options[2:]))
		options = options[4:]
		if code == optionEnd {
			break
		}
		if n > len(options) {
			return &Broken{start, "an option that is longer than its block"}
		}
		switch {
		case code == optionResolution && n == 1:
			units, ok := resolution(options[0])
			if !ok {
				return &Broken{start, fmt.Sprintf("a time resolution of %#02x", options[0])}
			}
			i.units = units
		case code == optionOffset && n == 8:
			i.offset = int64(f.order.Uint64(options))
		}
		options = options[min(len(options), (n+3)&^3):]
	}
	f.interfaces = append(f.interfaces, i)
	return nil
}

// resolution reads if_tsresol: the negative power of 10, or of 2 when the top bit is set.
func resolution(b byte) (units uint64, ok bool) {
	if b&0x80 != 0 {
		return 1 << (b & 0x3f), b&0x7f < 64
	}
	units = 1
	for range min(b, 19) {
		units *= 10
	}
	return units, b <= 19
}

// packet reads a packet of one of the three kinds (§4.3, §4.4, appendix A).
func (f *pcapng) packet(kind uint32, body []byte, r *Record, start int64) error {
	var number, captured, length uint32
	var stamp uint64
	switch {
	case kind == blockSimple && len(body) >= 4:
		length = f.order.Uint32(body)
		captured = min(length, uint32(len(body)-4))
		if len(f.interfaces) > 0 && f.interfaces[0].snap != 0 {
			captured = min(captured, f.interfaces[0].snap)
		}
		body = body[4:]
	case kind == blockEnhanced && len(body) >= 20:
		number = f.order.Uint32(body)
	case kind == blockPacket && len(body) >= 20:
		number = uint32(f.order.Uint16(body)) // then a count of drops
	default:
		return &Broken{start, "a packet block that is too short"}
	}
	if int64(number) >= int64(len(f.interfaces)) {
		return &Broken{start, fmt.Sprintf("a packet of interface %d, of which nothing was said", number)}
	}
	i := f.interfaces[number]
	if kind != blockSimple {
		stamp = uint64(f.order.Uint32(body[4:]))<<32 | uint64(f.order.Uint32(body[8:]))
		captured, length = f.order.Uint32(body[12:]), f.order.Uint32(body[16:])
		body = body[20:]
		r.At = i.time(stamp)
	}
	if int64(captured) > int64(len(body)) || captured > maxPacket {
		return &Broken{start, fmt.Sprintf("a packet of %d bytes in a block of %d", captured, len(body))}
	}
	r.Link, r.Data, r.Length = i.link, body[:captured], wireLength(length, captured)
	return nil
}

// time makes a time of a stamp. A simple packet has none: its time is the zero one.
func (i captureInterface) time(stamp uint64) time.Time {
	high, low := bits.Mul64(stamp%i.units, 1_000_000_000)
	nanos, _ := bits.Div64(high, low, i.units)
	return time.Unix(int64(stamp/i.units)+i.offset, int64(nanos)).UTC()
}
