package dpi

// hpackInt reads an integer with a prefix of some bits (RFC 7541 §5.1).
func hpackInt(b []byte, bits uint) (v int, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	most := 1<<bits - 1
	if v = int(b[0]) & most; v < most {
		return v, b[1:], true
	}
	for i, c := range b[1:min(len(b), 4)] {
		v += int(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, b[2+i:], true
		}
	}
	return 0, nil, false
}

// hpackString is a string as it stands in a header block (RFC 7541 §5.2).
type hpackString struct {
	raw     []byte
	huffman bool
}

func hpackText(b []byte) (s hpackString, rest []byte, ok bool) {
	if len(b) == 0 {
		return s, nil, false
	}
	s.huffman = b[0]&0x80 != 0
	n, rest, ok := hpackInt(b, 7)
	if !ok || n > len(rest) {
		return s, nil, false
	}
	s.raw = rest[:n]
	return s, rest[n:], true
}

func (s hpackString) is(text string) bool {
	var b [16]byte
	n, ok := s.decode(b[:])
	return ok && string(b[:n]) == text
}

// The symbols of RFC 7541 appendix B with codes of 5, 6, 7 and 8 bits. The code is canonical: codes count up within a length, and
// the next length goes on where the one before ended. Longer codes are of characters that no host name has.
const (
	huffman5 = "012aceiost"
	huffman6 = " %-./3456789=A_bdfghlmnpru"
	huffman7 = ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"
	huffman8 = "&*,;XZ"
)

// decode writes the text to out. ok is false when it does not fit or has characters that no host name has.
func (s hpackString) decode(out []byte) (n int, ok bool) {
	if !s.huffman {
		n = copy(out, s.raw)
		return n, n == len(s.raw)
	}
	var acc uint32
	have := uint(0)
	for i := 0; ; {
		for have < 8 && i < len(s.raw) {
			acc, have, i = acc<<8|uint32(s.raw[i]), have+8, i+1
		}
		c, size := huffmanSymbol(acc<<(32-have), have)
		if size == 0 || size > have { // the rest is padding, of at most 7 ones (RFC 7541 §5.2)
			return n, have < 8 && acc&(1<<have-1) == 1<<have-1
		}
		if n == len(out) {
			return n, false
		}
		out[n] = c
		n++
		have -= size
	}
}

// huffmanSymbol looks up the code at the top of bits, of which have are known; size 0 stands for none.
func huffmanSymbol(bits uint32, have uint) (c byte, size uint) {
	if have == 0 {
		return 0, 0
	}
	first := uint32(0) // the first code of this length
	for i, symbols := range [...]string{huffman5, huffman6, huffman7, huffman8} {
		length := uint(5 + i)
		if at := bits>>(32-length) - first; at < uint32(len(symbols)) {
			return symbols[at], length
		}
		first = (first + uint32(len(symbols))) << 1
	}
	return 0, 0
}
