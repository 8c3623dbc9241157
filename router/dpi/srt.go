package dpi

import "encoding/binary"

// SRT (draft-sharabayko-srt §3.2.1): a control packet of type 0, a handshake.

const srtHandshake = 64

// readSRT takes the handshake of version 5, or the listener's first answer with its magic number. The caller's first one is
// of version 4 and looks like UDT's.
func readSRT(v *View, r *Result) Verdict {
	_, head, size := v.datagram(0)
	if len(head) < 20 || size < srtHandshake || binary.BigEndian.Uint64(head) != 1<<63 {
		return NotMine
	}
	version := be32(head[16:])
	if version != 4 && version != 5 || len(v.Heads) == 0 && !srtFields(v.Payload) {
		return NotMine
	}
	b := v.Payload
	if len(b) >= srtHandshake && binary.BigEndian.Uint64(b) == 1<<63 && srtFields(b) &&
		(be32(b[16:]) == 5 || be16(b[22:]) == 0x4a17) {
		return Found
	}
	if len(v.Heads) >= 4 {
		return NotMine
	}
	return maybe(r, 70)
}

// srtFields checks maximum size, flow window and handshake type.
func srtFields(b []byte) bool {
	mtu, window, kind := be32(b[28:]), be32(b[32:]), int32(be32(b[36:]))
	return mtu >= 64 && mtu <= 9000 && window > 0 && window < 1<<24 && (kind >= -3 && kind <= 1 || kind >= 1000 && kind < 3000)
}
