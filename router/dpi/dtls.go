package dpi

// DTLS 1.0 and 1.2 (RFC 6347 §4.1), and 1.3 as long as its records have the old header (RFC 9147 §4). Its ClientHello has a
// cookie that TLS does not have, and comes in fragments of its own.

const (
	dtlsRecordHeader    = 13
	dtlsHandshakeHeader = 12
	dtlsMaxRecord       = 1<<14 + 256
)

// extUseSRTP is the extension that asks for the keys of SRTP (RFC 5764 §4.1.1).
const extUseSRTP = 14

// readDTLS takes a flow that begins with records that fill the datagram.
func readDTLS(v *View, r *Result) Verdict {
	if !isDTLS(v.Payload, len(v.Payload)) || !dtlsRecords(v.Payload) {
		return NotMine
	}
	if hello, ok := dtlsHello(v.Payload); ok {
		readDTLSHello(hello, r)
		return Found
	}
	if v.Payload[0] == 22 && be16(v.Payload[3:]) == 0 {
		return Found // another handshake message in the clear
	}
	return sure(r, 90)
}

// isDTLS checks the first record's header.
func isDTLS(head []byte, size int) bool {
	if len(head) < dtlsRecordHeader || head[0] < 20 || head[0] > 26 || head[0] == 25 {
		return false
	}
	switch be16(head[1:]) {
	case 0xfeff, 0xfefd, 0x0100: // 1.0, 1.2, and OpenSSL's before the standard
	default:
		return false
	}
	n := be16(head[11:])
	return n > 0 && n <= dtlsMaxRecord && dtlsRecordHeader+n <= size
}

// dtlsRecords checks that the datagram is nothing but records.
func dtlsRecords(b []byte) bool {
	for len(b) > 0 {
		if b[0]&0xe0 == 0x20 {
			return true // a record with the short header of 1.3
		}
		if !isDTLS(b, len(b)) {
			return false
		}
		b = b[dtlsRecordHeader+be16(b[11:]):]
	}
	return true
}

// dtlsHello returns the ClientHello in the first record, or its first fragment.
func dtlsHello(b []byte) (m message, ok bool) {
	if b[0] != 22 || be16(b[3:]) != 0 {
		return m, false
	}
	b = b[dtlsRecordHeader : dtlsRecordHeader+be16(b[11:])]
	if len(b) < dtlsHandshakeHeader || b[0] != helloClient || be24(b[6:]) != 0 {
		return m, false
	}
	size, n := be24(b[1:]), be24(b[9:])
	b = b[dtlsHandshakeHeader:]
	if n > size || n > len(b) || size < 34 || size > maxHello {
		return m, false
	}
	return message{b: b[:n], size: size, at: min(n, 34)}, true // after version, random
}

// readDTLSHello reads server name and ALPN as far as the fragment goes (RFC 6347 §4.2.1), and tells whether the client
// asks for the keys of SRTP.
func readDTLSHello(m message, r *Result) (srtp bool) {
	if m.vector8(0, 32, 1) != Found || m.vector8(0, 255, 1) != Found || // session, cookie
		m.vector16(2, 2) != Found || m.vector8(1, 255, 1) != Found { // suites, compression
		return false
	}
	extensions := m
	readExtensions(&m, r)
	if r.n > 0 {
		r.Source = SourceTLS
	}
	extensions.at += 2
	for extensions.has(4) == Found {
		if extensions.uint16() == extUseSRTP {
			return true
		}
		extensions.at += 2
		if extensions.vector16(0, 1) != Found {
			break
		}
	}
	return false
}
