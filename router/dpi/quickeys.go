package dpi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
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
	quicV1 = 1
	quicV2 = 0x6b3343cf
)

// quicSuite is what tells one version's Initial packets from another's.
type quicSuite struct {
	salt        string
	key, iv, hp string // labels in the form of HKDF-Expand-Label (RFC 8446 §7.1)
	initial     byte   // the two type bits of an Initial packet
	retry       byte
}

// suiteOf knows RFC 9001 §5.2, RFC 9369 §3.3, the drafts that were deployed, under the numbers of the IETF (0xff0000xx), of Facebook
// (0xfaceb00x), and of Google ("Q050", "T050", "T051").
func suiteOf(version uint32) (quicSuite, bool) {
	const key, iv, hp = "\x00\x10\x0etls13 quic key\x00", "\x00\x0c\x0dtls13 quic iv\x00", "\x00\x10\x0dtls13 quic hp\x00"
	const (
		salt22   = "\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x19\x3a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x4a"
		salt23   = "\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02"
		salt29   = "\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99"
		saltV1   = "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"
		saltQ050 = "\x50\x45\x74\xef\xd0\x66\xfe\x2f\x9d\x94\x5c\xfc\xdb\xd3\xa7\xf0\xd3\xb5\x6b\x45"
		saltT050 = "\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10"
		saltT051 = "\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d"
	)
	s := quicSuite{saltV1, key, iv, hp, 0, 3}
	switch {
	case version == quicV1 || version == 0xff000021 || version == 0xff000022:
	case version == quicV2:
		return quicSuite{"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
			"\x00\x10\x10tls13 quicv2 key\x00", "\x00\x0c\x0ftls13 quicv2 iv\x00", "\x00\x10\x0ftls13 quicv2 hp\x00", 1, 0}, true
	case version >= 0xff00001d && version <= 0xff000020:
		s.salt = salt29
	case version >= 0xff000017 && version <= 0xff00001c || version == 0xfaceb002 || version == 0xfaceb00e:
		s.salt = salt23
	case version == 0xff000015 || version == 0xff000016 || version == 0xfaceb001:
		s.salt = salt22
	case version == 'Q'<<24|'0'<<16|'5'<<8|'0':
		s.salt = saltQ050
	case version == 'T'<<24|'0'<<16|'5'<<8|'0':
		s.salt = saltT050
	case version == 'T'<<24|'0'<<16|'5'<<8|'1':
		s.salt = saltT051
	default:
		return s, false
	}
	return s, true
}

// derive makes the keys of a connection id. The ciphers are the standard library's and cost it some allocations, once for a connection.
func (k *initialKeys) derive(version uint32, dcid []byte) bool {
	suite, ok := suiteOf(version)
	if !ok || len(dcid) > len(k.dcid) {
		return false
	}
	k.version = version
	k.dcidLen = copy(k.dcid[:], dcid)
	initial := hmacSHA256([]byte(suite.salt), string(dcid))
	client := hmacSHA256(initial[:], "\x00\x20\x0ftls13 client in\x00\x01")
	key := hmacSHA256(client[:], suite.key+"\x01")
	iv := hmacSHA256(client[:], suite.iv+"\x01")
	hp := hmacSHA256(client[:], suite.hp+"\x01")
	copy(k.iv[:], iv[:])
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return false
	}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return false
	}
	k.header, err = aes.NewCipher(hp[:16])
	return err == nil
}

// hmacSHA256 is HMAC (RFC 2104) of short keys and texts, without allocating. HKDF-Extract is one call, and so is HKDF-Expand of up to 32
// bytes, with a byte 1 behind the label (RFC 5869).
func hmacSHA256(key []byte, text string) [sha256.Size]byte {
	var inner [sha256.BlockSize + 64]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	copy(inner[:sha256.BlockSize], key)
	copy(outer[:sha256.BlockSize], key)
	for i := range sha256.BlockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	n := copy(inner[sha256.BlockSize:], text)
	sum := sha256.Sum256(inner[:sha256.BlockSize+n])
	copy(outer[sha256.BlockSize:], sum[:])
	return sha256.Sum256(outer[:])
}

// open removes the header protection (RFC 9001 §5.4) and decrypts, in q.scratch.
func (q *quicMemory) open(p longPacket, k *initialKeys) (payload []byte, ok bool) {
	const sampleAt, sampleLen = 4, 16
	if len(p.bytes) < p.pn+sampleAt+sampleLen {
		return nil, false
	}
	q.scratch = append(q.scratch[:0], p.bytes...)
	b := q.scratch
	k.header.Encrypt(q.mask[:], b[p.pn+sampleAt:p.pn+sampleAt+sampleLen])
	b[0] ^= q.mask[0] & 0x0f
	pnLen := int(b[0]&3) + 1
	q.nonce = k.iv
	for i := range pnLen {
		b[p.pn+i] ^= q.mask[1+i]
		// The first packets of a flow have small numbers: the truncated number is the number.
		q.nonce[len(q.nonce)-pnLen+i] ^= b[p.pn+i]
	}
	head, sealed := b[:p.pn+pnLen], b[p.pn+pnLen:]
	payload, err := k.aead.Open(sealed[:0], q.nonce[:], sealed, head)
	return payload, err == nil
}
