package dpi

const portNTP = 123

// readNTP reads a packet of NTP (RFC 5905 §7.3), its control messages (RFC 9327 §2) and the private mode 7 of old servers.
func readNTP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 8 {
		return NotMine
	}
	version, mode := b[0]>>3&7, b[0]&7
	if version < 1 || version > 4 {
		return NotMine
	}
	switch {
	case !v.on(portNTP):
		// Elsewhere it must look like a question without an extension, of a clock that has been set since 2012.
		if len(b) != 48 || mode != 3 || b[1] > 16 || version < 3 || be32(b[40:]) < 0xd2a00000 || be32(b[4:]) > 16<<16 {
			return NotMine
		}
		return maybe(r, 60)
	case mode == 6 && len(b) >= 12 && be16(b[10:])+12 <= len(b), // so many bytes of data
		mode == 7 && b[2] <= 3 && b[3] <= 60 && be16(b[4:])&0xfff*be16(b[6:])+8 <= len(b): // implementation, request, items and their size
		return sure(r, 80)
	case mode >= 1 && mode <= 5 && len(b) >= 48 && b[1] <= 16:
		return sure(r, 95)
	}
	return NotMine
}
