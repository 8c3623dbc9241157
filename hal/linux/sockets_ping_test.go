package linux

import (
	"encoding/binary"
	"testing"
	"time"
)

// answerTo is the answer to an echo as a raw socket delivers it, with so many bytes of IP options.
func answerTo(e echo, v6 bool, options int) []byte {
	b := encodeEcho(e, v6)
	if v6 {
		b[0] = echoReply6
		return b
	}
	b[0] = echoReply
	header := make([]byte, 20+options)
	header[0] = 4<<4 | byte(len(header)/4)
	return append(header, b...)
}

func TestDecodeEcho(t *testing.T) {
	e := echo{id: 0x1234, sequence: 0x5678}
	reply4, reply6 := answerTo(e, false, 0), answerTo(e, true, 0)
	for what, c := range map[string]struct {
		b  []byte
		v6 bool
		ok bool
	}{
		"IPv4":                      {reply4, false, true},
		"IPv4 with options":         {answerTo(e, false, 40), false, true},
		"IPv6":                      {reply6, true, true},
		"our own question, IPv6":    {encodeEcho(e, true), true, false},
		"our own question, IPv4":    {append(make([]byte, 0), append(reply4[:20:20], encodeEcho(e, false)...)...), false, false},
		"cut in the header":         {reply4[:19], false, false},
		"cut in the echo":           {reply4[:27], false, false},
		"header longer than packet": {append([]byte{0x4f}, reply4[1:30]...), false, false},
		"header too short":          {append([]byte{0x41}, reply4[1:]...), false, false},
		"nothing":                   {nil, true, false},
	} {
		got, ok := decodeEcho(c.b, c.v6)
		if ok != c.ok || ok && got != e {
			t.Errorf("%s: %+v %v, want ok %v", what, got, ok, c.ok)
		}
	}
}

func TestInternetChecksum(t *testing.T) {
	// RFC 1071 section 3.
	if got := internetChecksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != ^uint16(0xddf2) {
		t.Errorf("checksum %#x, want %#x", got, ^uint16(0xddf2))
	}
	if got := internetChecksum([]byte{0x00, 0x01, 0xf2, 0x03}, []byte{0xf4, 0xf5, 0xf6, 0xf7}); got != ^uint16(0xddf2) {
		t.Errorf("checksum of two parts %#x", got)
	}
	if b := encodeEcho(echo{1, 2}, false); internetChecksum(b) != 0 {
		t.Error("the checksum of an echo with its checksum is not 0")
	}
}

func FuzzDecodeEcho(f *testing.F) {
	e := echo{id: 1, sequence: 2}
	f.Add(answerTo(e, false, 0), false, []byte(nil))
	f.Add(answerTo(e, true, 0), true, make([]byte, 32))
	control := binary.NativeEndian.AppendUint64(nil, 32)
	control = binary.NativeEndian.AppendUint32(control, 1)
	control = binary.NativeEndian.AppendUint32(control, 35)
	control = binary.NativeEndian.AppendUint64(control, 1700000000)
	f.Add([]byte{0x45}, false, binary.NativeEndian.AppendUint64(control, 5))
	f.Fuzz(func(t *testing.T, b []byte, v6 bool, control []byte) {
		if _, ok := decodeEcho(b, v6); ok && len(b) < 8 {
			t.Errorf("an echo out of %d bytes", len(b))
		}
		if sent := time.Now(); roundTrip(sent, time.Second, arrival(control)) > time.Second {
			t.Error("a round trip longer than the wait")
		}
	})
}
