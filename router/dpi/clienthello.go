package dpi

// maxHello is the longest ClientHello that is read, in bytes after its four-byte header.
const maxHello = 16 << 10

// Extension types (IANA TLS ExtensionType values).
const (
	extServerName = 0
	extALPN       = 16
	extECH        = 0xfe0d // encrypted_client_hello, RFC 9849
)

// readHello reads a TLS ClientHello (RFC 8446 §4.1.2) at the start of a handshake stream and fills r as far as it goes: Found when it
// is complete, Need when it is cut. Every length is checked against what encloses it, whether those bytes are here or not, so a
// broken hello ends at the first wrong length. What follows the hello is not looked at.
func readHello(b []byte, r *Result) Verdict {
	switch {
	case len(b) == 0:
		return Need
	case b[0] != helloClient:
		return NotMine
	case len(b) < 4:
		return Need
	}
	size := messageSize(b)
	if size < 34 || size > maxHello {
		return NotMine
	}
	m := message{b: b[4:min(len(b), 4+size)], size: size, at: 34} // after legacy_version, random
	if v := m.vector8(0, 32, 1); v != Found {                     // legacy_session_id
		return v
	}
	if v := m.vector16(2, 2); v != Found { // cipher_suites
		return v
	}
	if v := m.vector8(1, 255, 1); v != Found { // legacy_compression_methods
		return v
	}
	return readExtensions(&m, r)
}

// message is a handshake message of which the end may be missing.
type message struct {
	b    []byte // what is here
	size int    // what was declared
	at   int
}

// has tells whether n more bytes are here: NotMine when they were not even declared.
func (m *message) has(n int) Verdict {
	switch {
	case n > m.size-m.at:
		return NotMine
	case n > len(m.b)-m.at:
		return Need
	}
	return Found
}

func (m *message) uint16() int { return int(m.b[m.at])<<8 | int(m.b[m.at+1]) }

// vector8 skips a vector with a length of one byte, which must be within the bounds and a multiple.
func (m *message) vector8(least, most, multiple int) Verdict {
	if v := m.has(1); v != Found {
		return v
	}
	n := int(m.b[m.at])
	m.at++
	return m.skip(n, n >= least && n <= most && n%multiple == 0)
}

// vector16 skips a vector with a length of two bytes.
func (m *message) vector16(least, multiple int) Verdict {
	if v := m.has(2); v != Found {
		return v
	}
	n := m.uint16()
	m.at += 2
	return m.skip(n, n >= least && n%multiple == 0)
}

func (m *message) skip(n int, ok bool) Verdict {
	if !ok {
		return NotMine
	}
	v := m.has(n)
	if v == Found {
		m.at += n
	}
	return v
}

// readExtensions reads the extensions at the end of a hello. It has none in the oldest form.
func readExtensions(m *message, r *Result) Verdict {
	if m.at == m.size {
		return Found
	}
	if v := m.has(2); v != Found {
		return v
	}
	if n := m.uint16(); n != m.size-m.at-2 {
		return NotMine
	}
	m.at += 2
	var names, protocols, encrypted bool // seen: none may come twice (RFC 8446 §4.2)
	for m.at < m.size {
		if v := m.has(4); v != Found {
			return v
		}
		kind := m.uint16()
		m.at += 2
		n := m.uint16()
		m.at += 2
		if v := m.has(n); v != Found {
			return v
		}
		body := m.b[m.at : m.at+n]
		m.at += n
		ok, twice := true, false
		switch kind {
		case extServerName:
			twice, names = names, true
			ok = readServerName(body, r)
		case extALPN:
			twice, protocols = protocols, true
			ok = readALPN(body, r)
		case extECH:
			twice, encrypted = encrypted, true
			r.ECH = true
		}
		if !ok || twice {
			return NotMine
		}
	}
	r.Front = r.ECH && isFront(r.Host())
	return Found
}

// list takes the body out of an extension that is one vector.
func list(b []byte) ([]byte, bool) {
	if len(b) < 2 || int(b[0])<<8|int(b[1]) != len(b)-2 {
		return nil, false
	}
	return b[2:], true
}

// readServerName keeps the first host name (RFC 6066 §3).
func readServerName(b []byte, r *Result) bool {
	b, ok := list(b)
	for ok && len(b) > 0 {
		if len(b) < 3 {
			return false
		}
		kind, n := b[0], int(b[1])<<8|int(b[2])
		if b = b[3:]; n > len(b) {
			return false
		}
		if kind == 0 && r.n == 0 && n <= len(r.host) {
			r.keepHost(copy(r.host[:], b[:n]))
		}
		b = b[n:]
	}
	return ok
}

// readALPN keeps the protocols offered (RFC 7301 §3.1).
func readALPN(b []byte, r *Result) bool {
	b, ok := list(b)
	for ok && len(b) > 0 {
		n := int(b[0])
		if b = b[1:]; n == 0 || n > len(b) {
			return false
		}
		r.ALPN.add(b[:n])
		b = b[n:]
	}
	return ok
}
