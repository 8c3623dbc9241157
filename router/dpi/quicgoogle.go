package dpi

import (
	"bytes"
	"encoding/binary"
)

// isGoogleVersion tells "Q0xx" and "T0xx", the versions of Google's own QUIC.
func isGoogleVersion(v uint32) bool {
	letter, zero := byte(v>>24), byte(v>>16)
	tens, units := byte(v>>8), byte(v)
	return (letter == 'Q' || letter == 'T') && zero == '0' && tens >= '2' && tens <= '5' && units >= '0' && units <= '9'
}

// readGoogle reads Google's versions up to Q046, whose first messages are not encrypted ("QUIC Wire Layout Specification", 2016): up to
// Q043 a public header, flags, an id of 8 bytes and the version; Q046 has a long header like that of RFC 9000.
func readGoogle(b []byte, r *Result) Verdict {
	const hasVersion, hasID = 0x01, 0x08
	var at int
	switch {
	case len(b) > 14 && b[0]&0x80 == 0 && b[0]&(hasVersion|hasID) == hasVersion|hasID && b[9] == 'Q':
		at = 9
	case len(b) > 14 && b[0]&0xc0 == 0xc0 && b[1] == 'Q' && b[5] == 0x50: // one id, of 8 bytes
		at = 1
	default:
		return NotMine
	}
	if version := binary.BigEndian.Uint32(b[at:]); !isGoogleVersion(version) {
		return NotMine
	}
	return readCHLO(b[at+4:], r)
}

// maxCHLO is how far from the start of a packet the client's message begins: behind numbers, a hash and the head of a frame.
const maxCHLO = 64

// readCHLO finds the server's name among the tags of a client's message ("QUIC Crypto", 2016): "CHLO", the number of tags, then for each its
// name and where its value ends, little endian. The name stands in the first packet, of which padding is most.
func readCHLO(b []byte, r *Result) Verdict {
	at := bytes.Index(b[:min(len(b), maxCHLO)], []byte("CHLO"))
	if at < 0 || len(b) < at+8 {
		r.Confidence = 90
		return Likely
	}
	tags := int(binary.LittleEndian.Uint16(b[at+4:]))
	table := b[at+8:]
	if tags == 0 || tags > 128 || len(table) < 8*tags {
		return Likely
	}
	values, from := table[8*tags:], uint32(0)
	for ; len(table) > len(values); table = table[8:] {
		to := binary.LittleEndian.Uint32(table[4:])
		if to < from || to > uint32(len(values)) {
			break
		}
		if string(table[:4]) == "SNI\x00" && int(to-from) <= len(r.host) {
			r.Source = SourceQUIC
			r.keepHost(copy(r.host[:], values[from:to]))
			break
		}
		from = to
	}
	return Found
}
