package tunnel

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Messages between router and relay, in control frames. Each is idempotent and may be lost: who wants something repeats itself. Integers are
// big-endian.
//
//	ask       kind 1: the router wants to know its settings
//	settings  kind 1, IPv4 4, IPv6 16, MTU 2: zeros are none
//	closed    kind 1, a bit for each path that the router knows to be dead 1
//	metered   kind 1, a bit for each path on which each byte costs 1
//	size      kind 1, MTU 2: the longest packet that the router sends, and wants to be sent
const (
	askKind = iota + 1
	settingsKind
	closedKind
	meteredKind
	sizeKind
)

// Settings is what a relay gives a router.
type Settings struct {
	IPv4 netip.Addr // of the router inside the tunnel; invalid: none
	IPv6 netip.Addr
	MTU  int // of the tunnel at most; 0: not said
}

// Message is one of Ask, *Settings, Closed, Metered and Size.
type Message any

// Ask is a router's question for its Settings.
type Ask struct{}

// Closed has a bit for each path that is known to be dead.
type Closed uint8

// Metered has a bit for each path on which each byte costs.
type Metered uint8

// Size is the longest packet that a router sends, and wants to be sent.
type Size uint16

var errMessage = errors.New("the message of the other end is broken")

// AppendMessage writes a message.
func AppendMessage(b []byte, m Message) []byte {
	switch m := m.(type) {
	case Ask:
		return append(b, askKind)
	case Closed:
		return append(b, closedKind, byte(m))
	case Metered:
		return append(b, meteredKind, byte(m))
	case Size:
		return binary.BigEndian.AppendUint16(append(b, sizeKind), uint16(m))
	case *Settings:
		var four [4]byte
		var six [16]byte
		if m.IPv4.Is4() {
			four = m.IPv4.As4()
		}
		if m.IPv6.Is6() {
			six = m.IPv6.As16()
		}
		b = append(append(append(b, settingsKind), four[:]...), six[:]...)
		return binary.BigEndian.AppendUint16(b, uint16(m.MTU))
	}
	return b
}

// ParseMessage reads a message. Bytes behind it are of a newer version, and left alone; so is a kind that is not known, which is nil.
func ParseMessage(b []byte) (Message, error) {
	switch {
	case len(b) == 0:
		return nil, errMessage
	case b[0] == askKind:
		return Ask{}, nil
	case b[0] == closedKind && len(b) >= 2:
		return Closed(b[1]), nil
	case b[0] == meteredKind && len(b) >= 2:
		return Metered(b[1]), nil
	case b[0] == sizeKind && len(b) >= 3:
		return Size(binary.BigEndian.Uint16(b[1:])), nil
	case b[0] == settingsKind && len(b) >= 23:
		s := &Settings{MTU: int(binary.BigEndian.Uint16(b[21:]))}
		if a := netip.AddrFrom4([4]byte(b[1:])); !a.IsUnspecified() {
			s.IPv4 = a
		}
		if a := netip.AddrFrom16([16]byte(b[5:])); !a.IsUnspecified() && !a.Is4In6() {
			s.IPv6 = a
		}
		return s, nil
	case b[0] == closedKind, b[0] == meteredKind, b[0] == sizeKind, b[0] == settingsKind:
		return nil, errMessage
	}
	return nil, nil
}
