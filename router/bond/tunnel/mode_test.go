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

func TestTakeMode(t *testing.T) {
	for mode := range bond.Saver + 1 {
		for ecn := range byte(4) {
			four := []byte{0x45, ModeDSCP(mode)<<2 | ecn, 0, 60, 0x12, 0x34, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
			sum := checksum(four)
			four[10], four[11] = byte(sum>>8), byte(sum)
			if got := takeMode(four); got != mode || four[1] != ecn || checksum(four) != 0 {
				t.Errorf("IPv4, mode %d, ECN %d: read %d; left %x, checksum %x", mode, ecn, got, four[1], checksum(four))
			}
			class := ModeDSCP(mode)<<2 | ecn
			six := append([]byte{0x60 | class>>4, class<<4 | 0x0a, 0xbc, 0xde}, make([]byte, 36)...)
			if got := takeMode(six); got != mode || !bytes.Equal(six[:4], []byte{0x60, ecn<<4 | 0x0a, 0xbc, 0xde}) {
				t.Errorf("IPv6, mode %d, ECN %d: read %d; left %x", mode, ecn, got, six[:4])
			}
		}
	}
	for _, other := range []byte{0, 0x0a, 46, 0x3f, 8, 0x03} {
		p := append([]byte{0x45, other << 2}, make([]byte, 18)...)
		if takeMode(p) != bond.Speed || p[1] != other<<2 {
			t.Errorf("DSCP %x was taken for a mode", other)
		}
	}
}

func FuzzTakeMode(f *testing.F) {
	f.Add([]byte{0x45, 0x2c})
	f.Add(append([]byte{0x45, 0x2c}, make([]byte, 18)...))
	f.Add(append([]byte{0x62, 0xc0}, make([]byte, 38)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		takeMode(p)
		if m := takeMode(p); m != bond.Speed {
			t.Errorf("the mode %d is still there", m)
		}
	})
}
