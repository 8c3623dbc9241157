package bond

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// PathID tells the paths of a bond apart; both ends use the same numbers.
type PathID uint8

// MaxPaths is how many paths a bond can have.
const MaxPaths = 8

// A frame is what a datagram carries once it is decrypted: exactly one. Integers are big-endian. The number of the datagram on its path is
// the carrier's, which needs it for decryption, and is not repeated.
//
//	data      kind 1, flags 1, sent 3, flow 2, order 3, number 4, then an IP packet
//	probe     kind 1, sent 3, floor 4
//	feedback  kind 1, sent 3, floor 4, records ...
//	control   kind 1, sent 3, floor 4, a message of the two programs that use the bond
//	repair    kind 1, sent 3, floor 4, count 1, numbers of the bond 4 each, exclusive or of the frames' (length 2, flags 1, flow 2, order 3, packet)
//	record    path 1, highest 4, judged 2, bytes 4, arrived 3, lost 2, least 3, most 3, spans 1, spans ...
//	span      two unsigned varints: numbers between this span and what is above it, and numbers in it less one; from judged downwards
//
// sent is the sender's clock in units of 16 µs modulo 2^24: enough for differences, the only use made of it. least and most are differences
// of such clocks, of two machines, against one that the receiver chose for all paths. floor: every number of the bond below it has been
// sent. judged is how far below highest everything is known.
type frameKind uint8

const (
	dataKind frameKind = iota + 1
	probeKind
	feedbackKind
	controlKind
	repairKind
)

const (
	dataHeader     = 14
	probeSize      = 8
	feedbackHeader = 8
	recordHeader   = 23
)

// clockUnit is the resolution of a frame's clock, clockMask its range.
const (
	clockUnit = 16 * time.Microsecond
	clockBits = 24
	clockMask = 1<<clockBits - 1
)

func clockOf(t time.Duration) uint32 { return uint32(t/clockUnit) & clockMask }

// since is the signed difference of two clocks.
func since(a, b uint32) int32 { return int32((a-b)<<(32-clockBits)) >> (32 - clockBits) }

// Flags of a data frame.
const (
	flagUnordered = 1 << iota // hand out at once
	modeShift     = iota      // two bits: the Mode
	modeMask      = 3
	classShift    = modeShift + 2 // two bits: the Class
	classMask     = 3
	flagGuarded   = 1 << (classShift + 2) // repairs are sent for it
)

func (s Service) flags() uint8 { return uint8(s.Mode)<<modeShift | uint8(s.Class)<<classShift }

func (f *dataFrame) service() Service {
	return Service{Mode: Mode(f.flags >> modeShift & modeMask), Class: Class(f.flags >> classShift & classMask)}
}

// dataFrame is one packet under way.
type dataFrame struct {
	flags  uint8
	sent   uint32
	flow   uint16
	order  uint32 // of the packet in its flow, 24 bits
	number uint32 // of the packet in the bond
	packet []byte
}

// record is what arrived on one path since the bond began, by the receiver's clock.
type record struct {
	path    PathID
	highest uint64 // number of a datagram on this path
	judged  uint64 // everything up to it is known: arrived, unless in missing
	bytes   uint64 // of datagrams that arrived
	arrived time.Duration
	lost    uint32 // datagrams missed so far
	least   int32  // one-way delays since the last record, in clock units
	most    int32
	missing []span // by number
}

// span is a run of datagram numbers, both ends included.
type span struct{ from, to uint64 }

// errFrame is any frame that cannot be read: a stranger's datagram does not get as far, a broken peer's does.
var errFrame = errors.New("the frame is broken")

func (f *dataFrame) append(b []byte) []byte {
	b = append(b, byte(dataKind), f.flags)
	b = append24(b, f.sent)
	b = binary.BigEndian.AppendUint16(b, f.flow)
	b = append24(b, f.order)
	b = binary.BigEndian.AppendUint32(b, f.number)
	return append(b, f.packet...)
}

func parseData(b []byte) (f dataFrame, err error) {
	if len(b) <= dataHeader {
		return f, errFrame
	}
	return dataFrame{
		flags: b[1], sent: uint24(b[2:]), flow: binary.BigEndian.Uint16(b[5:]), order: uint24(b[7:]),
		number: binary.BigEndian.Uint32(b[10:]), packet: b[dataHeader:],
	}, nil
}

func appendFloor(b []byte, kind frameKind, sent, floor uint32) []byte {
	return binary.BigEndian.AppendUint32(append24(append(b, byte(kind)), sent), floor)
}

func parseFloor(b []byte) (sent, floor uint32, err error) {
	if len(b) < probeSize {
		return 0, 0, errFrame
	}
	return uint24(b[1:]), binary.BigEndian.Uint32(b[4:]), nil
}

func (r *record) append(b []byte) []byte {
	b = append(b, byte(r.path))
	b = binary.BigEndian.AppendUint32(b, uint32(r.highest))
	b = binary.BigEndian.AppendUint16(b, uint16(min(r.highest-r.judged, 1<<16-1)))
	b = binary.BigEndian.AppendUint32(b, uint32(r.bytes))
	b = append24(b, clockOf(r.arrived))
	b = binary.BigEndian.AppendUint16(b, uint16(r.lost))
	b = append24(b, uint32(r.least))
	b = append24(b, uint32(r.most))
	b = append(b, byte(len(r.missing)))
	above := r.judged
	for i := len(r.missing) - 1; i >= 0; i-- {
		b = binary.AppendUvarint(b, above-r.missing[i].to)
		b = binary.AppendUvarint(b, r.missing[i].to-r.missing[i].from)
		above = r.missing[i].from
	}
	return b
}

// parseRecord reads a record and returns what follows it. The few bits on the wire are completed by the record before, of the same path;
// missing is where its spans are put. Whether its numbers were ever sent is the caller's to check.
func parseRecord(b []byte, before func(PathID) (record, bool), missing []span) (r record, rest []byte, err error) {
	if len(b) < recordHeader {
		return r, nil, errFrame
	}
	last, ok := before(PathID(b[0]))
	if !ok {
		return r, nil, errFrame
	}
	r = record{
		path:    PathID(b[0]),
		highest: last.highest + uint64(int64(int32(binary.BigEndian.Uint32(b[1:])-uint32(last.highest)))),
		bytes:   last.bytes + uint64(binary.BigEndian.Uint32(b[7:])-uint32(last.bytes)),
		arrived: last.arrived + time.Duration(since(uint24(b[11:]), clockOf(last.arrived)))*clockUnit,
		lost:    last.lost + uint32(binary.BigEndian.Uint16(b[14:])-uint16(last.lost)),
		least:   since(uint24(b[16:]), 0),
		most:    since(uint24(b[19:]), 0),
	}
	back := uint64(binary.BigEndian.Uint16(b[5:]))
	if r.highest < back {
		return r, nil, errFrame
	}
	r.judged = r.highest - back
	n := int(b[22])
	b = b[recordHeader:]
	above := r.judged
	for range n {
		down, size1 := binary.Uvarint(b)
		if size1 <= 0 || down > above {
			return r, nil, errFrame
		}
		more, size2 := binary.Uvarint(b[size1:])
		if size2 <= 0 || more > above-down {
			return r, nil, errFrame
		}
		b = b[size1+size2:]
		to := above - down
		missing = append(missing, span{to - more, to})
		above = to - more
	}
	slices.Reverse(missing)
	r.missing = missing
	return r, b, nil
}

func append24(b []byte, v uint32) []byte { return append(b, byte(v>>16), byte(v>>8), byte(v)) }
func uint24(b []byte) uint32             { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
