package dpi

// bencoded is what a message of the DHT says of itself at its top level (BEP 5).
type bencoded struct {
	kind        byte // the value of "y": q, r or e
	transaction bool // there is a "t"
}

// maxBencodeDepth bounds nesting.
const maxBencodeDepth = 16

// bencodeScan goes through a bencoded value (BEP 3) without recursion.
type bencodeScan struct {
	depth int
	dicts uint32 // by depth: a dictionary, not a list
	keys  uint32 // by depth: a key comes next
	key   byte   // at the top level, the last key if it was of one letter
}

// scanBencode reads the value at the start of b. n is its length, 0 when it is broken or cut off.
func scanBencode(b []byte) (m bencoded, n int) {
	var s bencodeScan
	for n < len(b) {
		size := s.token(b[n:], &m)
		if size == 0 {
			return m, 0
		}
		if n += size; s.depth == 0 {
			return m, n
		}
	}
	return m, 0
}

// token reads one token and returns its length, 0 for nonsense.
func (s *bencodeScan) token(b []byte, m *bencoded) int {
	bit := uint32(1) << s.depth
	wantsKey := s.dicts&bit != 0 && s.keys&bit != 0
	switch c := b[0]; {
	case c == 'e':
		if s.depth == 0 || s.dicts&bit != 0 && !wantsKey {
			return 0
		}
		s.depth--
		s.valueDone()
		return 1
	case wantsKey && (c < '0' || c > '9'):
		return 0
	case c == 'd' || c == 'l':
		return s.open(c == 'd')
	case c == 'i':
		n := integerToken(b)
		s.valueDone()
		return n
	case c < '0' || c > '9':
		return 0
	}
	text, n := stringToken(b)
	if n == 0 {
		return 0
	}
	s.text(text, wantsKey, m)
	return n
}

func (s *bencodeScan) open(dict bool) int {
	if s.depth >= maxBencodeDepth {
		return 0
	}
	s.depth++
	bit := uint32(1) << s.depth
	s.dicts, s.keys = s.dicts&^bit, s.keys|bit
	if dict {
		s.dicts |= bit
	}
	return 1
}

// text notes a string, and at the top level what it says of the message.
func (s *bencodeScan) text(text []byte, isKey bool, m *bencoded) {
	if isKey {
		s.keys &^= 1 << s.depth
		if s.depth == 1 {
			s.key = 0
			if len(text) == 1 {
				s.key = text[0]
			}
		}
		return
	}
	if s.depth == 1 && s.key == 'y' && len(text) == 1 {
		m.kind = text[0]
	}
	if s.depth == 1 && s.key == 't' {
		m.transaction = true
	}
	s.valueDone()
}

// valueDone: in a dictionary, a key comes after a value.
func (s *bencodeScan) valueDone() { s.keys |= 1 << s.depth }

// integerToken is the length of "i-12e".
func integerToken(b []byte) int {
	n := 1
	if n < len(b) && b[n] == '-' {
		n++
	}
	start := n
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n == start || n == len(b) || b[n] != 'e' {
		return 0
	}
	return n + 1
}

// stringToken reads "4:spam".
func stringToken(b []byte) (text []byte, n int) {
	size := 0
	for n < len(b) && n < 5 && b[n] >= '0' && b[n] <= '9' {
		size = size*10 + int(b[n]-'0')
		n++
	}
	if n == 0 || n == len(b) || b[n] != ':' || size > len(b)-n-1 {
		return nil, 0
	}
	return b[n+1 : n+1+size], n + 1 + size
}
