package flow

// MaxHost is the length in bytes of the longest host name (RFC 1035 §2.3.4, as text without the final dot).
const MaxHost = 253

// CleanHost brings a host name into the one form that all rooms compare: lower case ASCII without a final dot. It
// refuses what is not a name of at least one label of 1 to 63 letters, digits, '-' or '_' (RFC 1123 §2.1 and the underscore
// that real names have), and literal addresses. It allocates only when something had to be changed.
func CleanHost(s string) (string, bool) {
	if n := len(s); n > 0 && s[n-1] == '.' {
		s = s[:n-1]
	}
	if !validHost(s) {
		return "", false
	}
	for i := range len(s) {
		if isUpper(s[i]) {
			return lowerHost(s), true
		}
	}
	return s, true
}

// CleanHostBytes is CleanHost in place: it lowers b and returns the part of it that is the name, or nil.
func CleanHostBytes(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '.' {
		b = b[:n-1]
	}
	if !validHost(b) {
		return nil
	}
	for i, c := range b {
		if isUpper(c) {
			b[i] = c | 0x20
		}
	}
	return b
}

func lowerHost(s string) string {
	var b [MaxHost]byte
	n := copy(b[:], s)
	for i, c := range b[:n] {
		if isUpper(c) {
			b[i] = c | 0x20
		}
	}
	return string(b[:n])
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

func validHost[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > MaxHost {
		return false
	}
	label, digits := 0, true // digits: the last label is a number, as in a literal IPv4 address
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.':
			if label == 0 {
				return false
			}
			label, digits = 0, true
			continue
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z', isUpper(c), c == '-', c == '_':
			digits = false
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && !digits // no top-level domain is a number (RFC 3696 §2)
}

// Reverse swaps source and destination: the key of the answers.
func (k Key) Reverse() Key { return Key{Proto: k.Proto, Src: k.Dst, Dst: k.Src} }
