package tunnel

import (
	"bytes"
	"testing"

	"github.com/trenza-router/trenza/router/bond"
)

// checksum is that of an IPv4 header (RFC 1071); 0 for one that is right.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	sum = sum&0xffff + sum>>16
	return ^uint16(sum + sum>>16)
}

func TestTakeService(t *testing.T) {
	for mode := range bond.Saver + 1 {
		for class := range bond.Background + 1 {
			for ecn := range byte(4) {
				s := bond.Service{Mode: mode, Class: class}
				tos := ServiceDSCP(s)<<2 | ecn
				four := []byte{0x45, tos, 0, 60, 0x12, 0x34, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
				sum := checksum(four)
				four[10], four[11] = byte(sum>>8), byte(sum)
				if got := takeService(four); got != s || four[1] != ecn || checksum(four) != 0 {
					t.Errorf("IPv4, %+v, ECN %d: read %+v; left %x, checksum %x", s, ecn, got, four[1], checksum(four))
				}
				six := append([]byte{0x60 | tos>>4, tos<<4 | 0x0a, 0xbc, 0xde}, make([]byte, 36)...)
				if got := takeService(six); got != s || !bytes.Equal(six[:4], []byte{0x60, ecn<<4 | 0x0a, 0xbc, 0xde}) {
					t.Errorf("IPv6, %+v, ECN %d: read %+v; left %x", s, ecn, got, six[:4])
				}
			}
		}
	}
	for _, other := range []byte{0, 0x0a, 46, 8, 0x03} {
		p := append([]byte{0x45, other << 2}, make([]byte, 18)...)
		if got := takeService(p); got != (bond.Service{}) || p[1] != other<<2 {
			t.Errorf("DSCP %x was taken for %+v", other, got)
		}
	}
}

func FuzzTakeService(f *testing.F) {
	f.Add([]byte{0x45, 0x2c})
	f.Add(append([]byte{0x45, 0x2c}, make([]byte, 18)...))
	f.Add(append([]byte{0x62, 0xc0}, make([]byte, 38)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		takeService(p)
		if s := takeService(p); s != (bond.Service{}) {
			t.Errorf("%+v is still there", s)
		}
	})
}
