package dpi

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/varint"
)

// maxQUICPacket is how much of a datagram is looked at.
const maxQUICPacket = 4096

func quicParser() Parser {
	return Parser{Protocol: QUIC, Over: flow.ProtoUDP, Read: readQUIC}
}

// quicMemory is what the reading of a QUIC connection keeps between its datagrams.
type quicMemory struct {
	keys    initialKeys
	crypto  assembly
	scratch []byte // a packet with its header protection removed, decrypted in place
	mask    [aes.BlockSize]byte
	nonce   [12]byte
}

func (q *quicMemory) reset() {
	q.keys = initialKeys{}
	q.crypto.reset(maxHello + 4)
}

// readQUIC reads the ClientHello out of a client's Initial packets, QUIC versions 1 and 2 and the drafts before them (RFC 9000 §17.2.2,
// RFC 9001 §5, RFC 9369), and the clear one of Google's first versions. Initial packets are encrypted with a key that anyone on the
// path can derive from the first connection id. What else has a long header of a version that we know shows the protocol only; so
// do, at port 443, datagrams from the middle of a connection.
func readQUIC(v *View, r *Result) Verdict {
	if v.ServerPort == 853 {
		r.Protocol = DoQ
	}
	b := v.Payload[:min(len(v.Payload), maxQUICPacket)]
	switch {
	case len(b) > 0 && b[0]&0xc0 == 0xc0:
		return readLong(v, b, r)
	case isNegotiation(b):
		r.Confidence = 90
		return Likely
	}
	if verdict := readGoogle(b, r); verdict != NotMine {
		return verdict
	}
	switch {
	case v.room != nil && v.room.quic.keys.valid: // the connection goes on before its hello was complete
		r.waits = true
		return Likely
	case v.ServerPort != 443 && v.ClientPort != 443 || !isShort(b, len(v.Payload)):
		return NotMine
	}
	r.Confidence = 60
	for i := range v.Heads {
		h := &v.Heads[i]
		switch {
		case isShort(h.Bytes(), int(h.Size)):
		case h.n == 0 || h.b[0]&0xc0 != 0xc0:
			return NotMine
		case h.n >= 5:
			if _, ok := suiteOf(binary.BigEndian.Uint32(h.b[1:])); ok { // its handshake was seen, if not the packet that names the host
				r.Confidence = 90
			}
		}
	}
	if len(v.Heads) < 3 {
		return Need
	}
	return Likely
}

// isShort tells whether a datagram can be a packet with a short header (RFC 9000 §17.3.1): the fixed bit, and room for the sample
// of header protection.
func isShort(b []byte, size int) bool { return len(b) > 0 && b[0]&0xc0 == 0x40 && size >= 21 }

// readLong reads a datagram that begins with a long header; several packets may share it (RFC 9000 §12.2).
func readLong(v *View, b []byte, r *Result) Verdict {
	if verdict := readGoogle(b, r); verdict != NotMine {
		return verdict
	}
	any := isNegotiation(b)
	for len(b) > 0 {
		p, ok := parseLong(b)
		if !ok {
			break
		}
		any = true
		if p.initial && readInitial(v, p, r) {
			return Found
		}
		b = b[p.size:]
	}
	if !any {
		return NotMine
	}
	if r.waits = v.room != nil && v.room.quic.keys.valid; !r.waits {
		r.Confidence = 90
	}
	return Likely
}

// isNegotiation recognises what has a long header of no version: a server's Version Negotiation packet (RFC 8999 §6), and a client's
// packet with a version that is reserved for provoking it (RFC 9000 §15).
func isNegotiation(b []byte) bool {
	if len(b) < 7 || b[0]&0x80 == 0 {
		return false
	}
	version := binary.BigEndian.Uint32(b[1:])
	at, _, ok := connectionIDs(b)
	if !ok {
		return false
	}
	if version != 0 {
		return version&0x0f0f0f0f == 0x0a0a0a0a && len(b) >= 1200
	}
	known := false
	for b = b[at:]; len(b) >= 4; b = b[4:] {
		_, ok := suiteOf(binary.BigEndian.Uint32(b))
		known = known || ok
	}
	return known && len(b) == 0
}

// longPacket is a packet with a long header of a version that we know.
type longPacket struct {
	bytes   []byte // the whole packet; header up to pn, then the protected rest
	size    int    // of it in the datagram
	pn      int    // where the packet number is
	version uint32
	dcid    []byte
	initial bool
}

// connectionIDs returns the destination's id and where what follows both ids begins.
func connectionIDs(b []byte) (at int, dcid []byte, ok bool) {
	at = 5
	for i := range 2 { // destination, then source
		if at >= len(b) || b[at] > 20 || at+1+int(b[at]) > len(b) {
			return 0, nil, false
		}
		id := b[at+1 : at+1+int(b[at])]
		if at += 1 + len(id); i == 0 {
			dcid = id
		}
	}
	return at, dcid, true
}

func parseLong(b []byte) (p longPacket, ok bool) {
	if len(b) < 7 || b[0]&0xc0 != 0xc0 {
		return p, false
	}
	p.version = binary.BigEndian.Uint32(b[1:])
	suite, known := suiteOf(p.version)
	if !known {
		return p, false
	}
	at, dcid, ok := connectionIDs(b)
	if !ok {
		return p, false
	}
	p.dcid = dcid
	kind := b[0] >> 4 & 3
	if kind == suite.retry { // a token and its tag (RFC 9000 §17.2.5)
		p.bytes, p.size = b, len(b)
		return p, len(b)-at >= 16
	}
	if p.initial = kind == suite.initial; p.initial {
		token, n := varint.Read(b[at:])
		if n == 0 || token > uint64(len(b)-at-n) {
			return p, false
		}
		at += n + int(token)
	}
	length, n := varint.Read(b[at:])
	if n == 0 || length > uint64(len(b)-at-n) {
		return p, false
	}
	p.pn = at + n
	p.size = p.pn + int(length)
	p.bytes = b[:p.size]
	return p, true
}

// readInitial opens an Initial packet and reads its frames. The keys come from the id of the client's first packet and stay
// when the client goes over to the server's id; only a Retry changes them (RFC 9001 §5.2). So: the keys that opened a packet
// before, else those of this packet's id. A server's packet opens with neither: its keys come from another label.
func readInitial(v *View, p longPacket, r *Result) bool {
	if len(p.dcid) == 0 { // a server's, to a client without ids
		return false
	}
	q := &v.needRoom().quic
	if q.keys.valid && q.keys.version == p.version {
		if payload, ok := q.open(p, &q.keys); ok {
			return q.frames(payload, p.version, r)
		}
		if bytes.Equal(p.dcid, q.keys.dcid[:q.keys.dcidLen]) {
			return false
		}
	}
	if q.keys.valid && v.Dir == FromServer {
		return false
	}
	var keys initialKeys
	if !keys.derive(p.version, p.dcid) {
		return false
	}
	payload, ok := q.open(p, &keys)
	if !ok {
		return false
	}
	if !q.keys.valid {
		q.crypto.reset(maxHello + 4)
	}
	q.keys = keys
	q.keys.valid = true
	return q.frames(payload, p.version, r)
}

// Frames that a client may put into Initial packets (RFC 9000 §12.4), and the number that CRYPTO had in Google's last versions.
const (
	framePadding      = 0x00
	framePing         = 0x01
	frameACK          = 0x02
	frameACKECN       = 0x03
	frameCrypto       = 0x06
	frameGoogleCrypto = 0x08
)

// frames puts the CRYPTO frames in order and reads the hello in them.
func (q *quicMemory) frames(b []byte, version uint32, r *Result) bool {
	if isGoogleVersion(version) && readCHLO(b, r) == Found {
		return true
	}
	news := false
	for len(b) > 0 {
		kind := b[0]
		b = b[1:]
		switch {
		case kind == framePadding || kind == framePing:
		case kind == frameACK || kind == frameACKECN:
			b = skipACK(b, kind == frameACKECN)
		case kind == frameCrypto || kind == frameGoogleCrypto && isGoogleVersion(version):
			offset, n := varint.Read(b)
			if n == 0 {
				b = nil
				break
			}
			length, m := varint.Read(b[n:])
			if m == 0 || length > uint64(len(b)-n-m) {
				b = nil
				break
			}
			data := b[n+m : n+m+int(length)]
			b = b[n+m+int(length):]
			if offset < maxHello+4 {
				news = q.crypto.add(int(offset), data) || news
			}
		default:
			b = nil // CONNECTION_CLOSE, or what has no place here
		}
	}
	if !news {
		return false
	}
	r.Source = SourceQUIC
	verdict := readHello(q.crypto.prefix(), r)
	if r.ALPN.Has("doq") {
		r.Protocol = DoQ
	}
	return verdict == Found || verdict == NotMine && q.drop()
}

// drop forgets what turned out to be no hello.
func (q *quicMemory) drop() bool {
	q.crypto.reset(maxHello + 4)
	return false
}

// skipACK returns what follows an ACK frame (RFC 9000 §19.3), nil when it is broken.
func skipACK(b []byte, ecn bool) []byte {
	var ranges uint64
	fields := uint64(4) // largest, delay, range count, first range
	for i := uint64(0); i < fields; i++ {
		v, n := varint.Read(b)
		if n == 0 {
			return nil
		}
		b = b[n:]
		if i == 2 {
			if ranges = v; ranges > uint64(len(b)) {
				return nil
			}
			fields += 2 * ranges
			if ecn {
				fields += 3
			}
		}
	}
	return b
}
