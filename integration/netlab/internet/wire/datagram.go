package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Datagram is one message of the UDP echo and game servers, in both directions.
//
// Layout, big endian: magic "TRZ1" | kind u8 | tag length u8 | session u64 | seq u64 | client time i64 |
// server time i64 | received u64 | highest u64 | seen address 16 bytes | seen port u16 | tag | padding.
// A client pads its request to the size that it wants back: an answer is never longer than the request that it
// answers, so the server cannot be used to amplify.
type Datagram struct {
	Kind Kind
	// Session is chosen at random by the client. It outlives a change of the source address, so that a server
	// counts one client across a failover.
	Session uint64
	// Seq numbers the client's datagrams from 1.
	Seq uint64
	// ClientTime is the client's clock when it sent, in ns, returned unchanged.
	ClientTime int64
	// ServerTime is the server's clock when it received, in ns; answers only.
	ServerTime int64
	// Received counts the datagrams that the server got in this session up to now, duplicates included; Highest is
	// the greatest Seq among them. Game answers only: they tell losses on the way up from losses on the way down.
	Received uint64
	Highest  uint64
	// Seen is the source that the server saw; answers only.
	Seen netip.AddrPort
	// Tag is what the client wants to be recorded under, at most MaxTag bytes.
	Tag string
}

// Kind tells requests from answers.
type Kind uint8

// The kinds of datagrams.
const (
	KindEcho Kind = iota + 1
	KindEchoAnswer
	KindGame
	KindGameAnswer
)

const (
	datagramMagic = "TRZ1"
	datagramFixed = 4 + 1 + 1 + 6*8 + 16 + 2
)

// MinDatagram is the size in bytes of a datagram with a tag of the given length.
func MinDatagram(tag int) int { return datagramFixed + tag }

// ErrNotDatagram says that the bytes are not one of the lab's datagrams.
var ErrNotDatagram = errors.New("not a datagram of the lab")

// Append writes the datagram behind b and pads it with zeros to size bytes if it is shorter.
func (d Datagram) Append(b []byte, size int) []byte {
	tag := CutTag(d.Tag)
	start := len(b)
	b = append(b, datagramMagic...)
	b = append(b, byte(d.Kind), byte(len(tag)))
	b = binary.BigEndian.AppendUint64(b, d.Session)
	b = binary.BigEndian.AppendUint64(b, d.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(d.ClientTime))
	b = binary.BigEndian.AppendUint64(b, uint64(d.ServerTime))
	b = binary.BigEndian.AppendUint64(b, d.Received)
	b = binary.BigEndian.AppendUint64(b, d.Highest)
	var addr [16]byte
	if d.Seen.Addr().IsValid() {
		addr = d.Seen.Addr().As16()
	}
	b = append(b, addr[:]...)
	b = binary.BigEndian.AppendUint16(b, d.Seen.Port())
	b = append(b, tag...)
	if missing := size - (len(b) - start); missing > 0 {
		b = append(b, make([]byte, missing)...)
	}
	return b
}

// ParseDatagram reads one datagram. Padding is ignored. Errors wrap ErrNotDatagram.
func ParseDatagram(b []byte) (Datagram, error) {
	if len(b) < datagramFixed || string(b[:4]) != datagramMagic {
		return Datagram{}, fmt.Errorf("%w: %d bytes", ErrNotDatagram, len(b))
	}
	d := Datagram{Kind: Kind(b[4])}
	if d.Kind < KindEcho || d.Kind > KindGameAnswer {
		return Datagram{}, fmt.Errorf("%w: kind %d", ErrNotDatagram, b[4])
	}
	tag := int(b[5])
	if tag > MaxTag || len(b) < datagramFixed+tag {
		return Datagram{}, fmt.Errorf("%w: tag of %d bytes in %d", ErrNotDatagram, tag, len(b))
	}
	word := func(i int) uint64 { return binary.BigEndian.Uint64(b[6+8*i:]) }
	d.Session, d.Seq = word(0), word(1)
	d.ClientTime, d.ServerTime = int64(word(2)), int64(word(3))
	d.Received, d.Highest = word(4), word(5)
	addr := netip.AddrFrom16([16]byte(b[54:70])).Unmap()
	port := binary.BigEndian.Uint16(b[70:])
	if !addr.IsUnspecified() || port != 0 {
		d.Seen = netip.AddrPortFrom(addr, port)
	}
	d.Tag = string(b[datagramFixed : datagramFixed+tag])
	return d, nil
}
