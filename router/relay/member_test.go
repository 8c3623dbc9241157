package relay

import "testing"

// FuzzAddresses: whatever a router sends, its addresses are read within it.
func FuzzAddresses(f *testing.F) {
	f.Add([]byte{0x45})
	f.Add(append([]byte{0x45}, make([]byte, 19)...))
	f.Add(append([]byte{0x60}, make([]byte, 39)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		src, dst, ok := addresses(p)
		if ok != (src.IsValid() && dst.IsValid()) || ok && src.Is4() != (p[0]>>4 == 4) {
			t.Errorf("%x: %v, %v, %v", p, src, dst, ok)
		}
	})
}
