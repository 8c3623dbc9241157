package dpi

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// QUIC reads the ClientHello out of a client's Initial packets, versions 1 and 2 and draft 29 (RFC 9000 §17.2.2, RFC 9001 §5,
// RFC 9369). Initial packets are encrypted with a key that anyone on the path can derive from the first connection id.
type QUIC struct {
	hello     clientHello
	result    Result
	verdict   Verdict
	datagrams int
	keys      initialKeys
	crypto    assembly
	scratch   []byte // a packet with its header protection removed, decrypted in place
}

// maxQUICDatagrams bounds the client datagrams read of a flow; maxQUICPacket is the longest datagram looked at.
const (
	maxQUICDatagrams = 8
	maxQUICPacket    = 4096
)

// initialKeys protect what the client sends in Initial packets.
type initialKeys struct {
	valid   bool // they have opened a packet
	version uint32
	dcid    [20]byte
	dcidLen int
	aead    cipher.AEAD
	header  cipher.Block
	iv      [12]byte
}

const (
	quicV1      = 1
	quicV2      = 0x6b3343cf
	quicDraft29 = 0xff00001d
)

// quicSuite is what tells one version's Initial packets from another's.
type quicSuite struct {
	salt        string
	key, iv, hp string // labels in the form of HKDF-Expand-Label (RFC 8446 §7.1)
	initial     byte   // the two type bits of an Initial packet
	retry       byte
}

func suiteOf(version uint32) (quicSuite, bool) {
	const key, iv, hp = "\x00\x10\x0etls13 quic key\x00", "\x00\x0c\x0dtls13 quic iv\x00", "\x00\x10\x0dtls13 quic hp\x00"
	switch version {
	case quicV1:
		return quicSuite{"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a", key, iv, hp, 0, 3}, true
	case quicDraft29:
		return quicSuite{"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99", key, iv, hp, 0, 3}, true
	case quicV2:
		return quicSuite{"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
			"\x00\x10\x10tls13 quicv2 key\x00", "\x00\x0c\x0ftls13 quicv2 iv\x00", "\x00\x10\x0ftls13 quicv2 hp\x00", 1, 0}, true
	}
	return quicSuite{}, false
}

// NewQUIC makes a parser ready for a flow.
func NewQUIC() *QUIC {
	q := new(QUIC)
	q.Reset()
	return q
}

func (q *QUIC) Reset() {
	q.hello.reset()
	q.result.reset(SourceQUIC)
	q.crypto.reset(maxHello+4, false)
	q.verdict, q.datagrams, q.keys = Need, 0, initialKeys{}
}

func (q *QUIC) Result() *Result { return &q.result }

// Feed reads one datagram of the client; several packets may share it (RFC 9000 §12.2).
func (q *QUIC) Feed(dir Direction, b []byte) Verdict {
	if dir == FromServer || q.verdict != Need {
		return q.verdict
	}
	if q.datagrams++; q.datagrams > maxQUICDatagrams {
		q.verdict = NotMine
		return NotMine
	}
	b = b[:min(len(b), maxQUICPacket)]
	any := false
	for len(b) > 0 && q.verdict == Need {
		p, ok := parseLongHeader(b)
		if !ok {
			break
		}
		any = true
		if p.initial {
			q.initial(p)
		}
		b = b[p.size:]
	}
	if !any && !q.keys.valid {
		q.verdict = NotMine
	}
	return q.verdict
}

// longPacket is a packet with a long header of a version we know.
type longPacket struct {
	bytes   []byte // the whole packet; header up to pn, then the protected rest
	size    int    // of it in the datagram
	pn      int    // where the packet number is
	version uint32
	dcid    []byte
	initial bool
}

func parseLongHeader(b []byte) (p longPacket, ok bool) {
	if len(b) < 7 || b[0]&0xc0 != 0xc0 {
		return p, false
	}
	p.version = binary.BigEndian.Uint32(b[1:])
	suite, known := suiteOf(p.version)
	if !known {
		return p, false
	}
	at := 5
	for i := range 2 { // destination, then source connection id
		if at >= len(b) || b[at] > 20 || at+1+int(b[at]) > len(b) {
			return p, false
		}
		id := b[at+1 : at+1+int(b[at])]
		if at += 1 + len(id); i == 0 {
			p.dcid = id
		}
	}
	kind := b[0] >> 4 & 3
	if kind == suite.retry {
		return p, false // only servers send it
	}
	if p.initial = kind == suite.initial; p.initial {
		token, n := varint(b[at:])
		if n == 0 || token > uint64(len(b)-at-n) {
			return p, false
		}
		at += n + int(token)
	}
	length, n := varint(b[at:])
	if n == 0 || length > uint64(len(b)-at-n) {
		return p, false
	}
	p.pn = at + n
	p.size = p.pn + int(length)
	p.bytes = b[:p.size]
	return p, true
}

// varint reads a variable-length integer (RFC 9000 §16); n is 0 when b is too short.
func varint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	n = 1 << (b[0] >> 6)
	if len(b) < n {
		return 0, 0
	}
	v = uint64(b[0] & 0x3f)
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n
}

// initial opens an Initial packet and reads its frames. The keys come from the id of the client's first packet and stay
// when the client goes over to the server's id; only a Retry changes them (RFC 9001 §5.2). So: the keys
// that opened a packet before, else those of this packet's id.
func (q *QUIC) initial(p longPacket) {
	if q.keys.valid && q.keys.version == p.version {
		if payload, ok := q.open(p, &q.keys); ok {
			q.frames(payload)
			return
		}
		if bytes.Equal(p.dcid, q.keys.dcid[:q.keys.dcidLen]) {
			return
		}
	}
	var keys initialKeys
	if len(p.dcid) < 8 || !keys.derive(p.version, p.dcid) { // RFC 9000 §7.2: the first id has at least 8 bytes
		return
	}
	if payload, ok := q.open(p, &keys); ok {
		keys.valid = true
		q.keys = keys
		q.frames(payload)
	}
}

func (k *initialKeys) derive(version uint32, dcid []byte) bool {
	suite, ok := suiteOf(version)
	if !ok {
		return false
	}
	k.version = version
	k.dcidLen = copy(k.dcid[:], dcid)
	initial, err := hkdf.Extract(sha256.New, dcid, []byte(suite.salt))
	if err != nil {
		return false
	}
	client, err1 := hkdf.Expand(sha256.New, initial, "\x00\x20\x0ftls13 client in\x00", 32)
	key, err2 := hkdf.Expand(sha256.New, client, suite.key, 16)
	iv, err3 := hkdf.Expand(sha256.New, client, suite.iv, 12)
	hp, err4 := hkdf.Expand(sha256.New, client, suite.hp, 16)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return false
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return false
	}
	copy(k.iv[:], iv)
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return false
	}
	k.header, err = aes.NewCipher(hp)
	return err == nil
}

// open removes the header protection (RFC 9001 §5.4) and decrypts, in q.scratch.
func (q *QUIC) open(p longPacket, k *initialKeys) (payload []byte, ok bool) {
	const sampleAt, sampleLen = 4, 16
	if len(p.bytes) < p.pn+sampleAt+sampleLen {
		return nil, false
	}
	q.scratch = append(q.scratch[:0], p.bytes...)
	b := q.scratch
	var mask [aes.BlockSize]byte
	k.header.Encrypt(mask[:], b[p.pn+sampleAt:p.pn+sampleAt+sampleLen])
	b[0] ^= mask[0] & 0x0f
	pnLen := int(b[0]&3) + 1
	nonce := k.iv
	for i := range pnLen {
		b[p.pn+i] ^= mask[1+i]
		// The first packets of a flow have small numbers: the truncated number is the number.
		nonce[len(nonce)-pnLen+i] ^= b[p.pn+i]
	}
	head, sealed := b[:p.pn+pnLen], b[p.pn+pnLen:]
	payload, err := k.aead.Open(sealed[:0], nonce[:], sealed, head)
	return payload, err == nil
}

// Frames that a client may put into Initial packets (RFC 9000 §12.4).
const (
	framePadding = 0x00
	framePing    = 0x01
	frameACK     = 0x02
	frameACKECN  = 0x03
	frameCrypto  = 0x06
)

// frames feeds the CRYPTO frames to the hello in the order of their offsets.
func (q *QUIC) frames(b []byte) {
	for len(b) > 0 && q.verdict == Need {
		kind := b[0]
		b = b[1:]
		switch kind {
		case framePadding, framePing:
		case frameACK, frameACKECN:
			if b = skipACK(b, kind == frameACKECN); b == nil {
				return
			}
		case frameCrypto:
			offset, n := varint(b)
			if n == 0 {
				return
			}
			length, m := varint(b[n:])
			if m == 0 || length > uint64(len(b)-n-m) {
				return
			}
			data := b[n+m : n+m+int(length)]
			b = b[n+m+int(length):]
			if offset > maxHello+4 {
				continue
			}
			if ready, ok := q.crypto.add(int(offset), data); ok {
				q.verdict = q.hello.feed(ready, &q.result)
			}
		default:
			return // CONNECTION_CLOSE, or what has no place here
		}
	}
}

// skipACK returns what follows an ACK frame (RFC 9000 §19.3), nil when it is broken.
func skipACK(b []byte, ecn bool) []byte {
	var ranges uint64
	fields := uint64(4) // largest, delay, range count, first range
	for i := uint64(0); i < fields; i++ {
		v, n := varint(b)
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
