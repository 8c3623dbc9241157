package dpi

// readL2TP reads a control message of L2TP version 2 or 3 (RFC 2661 §3.1, RFC 3931 §3.2.1) with the length of the
// datagram, and the first attribute, which is the message's type; data messages count on the protocol's port alone.
func readL2TP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 6 || b[1]&0xf0 != 0 {
		return NotMine
	}
	version := b[1] & 15
	switch {
	case version != 2 && version != 3:
		return NotMine
	case b[0] == 0xc8 && be16(b[2:]) == len(b) && len(b) == 12: // acknowledges and says nothing
		return sure(r, 80)
	case b[0] == 0xc8 && be16(b[2:]) == len(b) && len(b) >= 20:
		if be16(b[12:])&0x3fff == 8 && be32(b[14:]) == 0 && be16(b[18:]) <= 28 { // vendor 0, attribute 0
			return sure(r, 95)
		}
	case v.on(1701) && b[0]&0x80 == 0 && b[0]&0x34 == 0 && version == 2 && (b[0]&0x40 == 0 || be16(b[2:]) == len(b)):
		return maybe(r, 60)
	}
	return NotMine
}
