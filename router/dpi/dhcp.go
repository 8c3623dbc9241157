package dpi

// readDHCP reads a message of DHCP or BOOTP (RFC 2131 §2, RFC 951): fixed fields, then the magic cookie of the options.
func readDHCP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 236 || b[0] < 1 || b[0] > 2 || b[2] > 16 {
		return NotMine
	}
	if len(b) >= 240 && be32(b[236:]) == 0x63825363 {
		return sure(r, 95)
	}
	if (v.on(67) || v.on(68)) && b[1] == 1 && b[2] == 6 {
		return sure(r, 80) // BOOTP
	}
	return NotMine
}

// readDHCPv6 walks the options of a message (RFC 8415 §8, §9, §21.1), which must fill it exactly.
func readDHCPv6(v *View, r *Result) Verdict {
	b := v.Payload
	if !v.on(546) && !v.on(547) || len(b) < 8 || b[0] == 0 || b[0] > 36 {
		return NotMine
	}
	at := 4
	if b[0] == 12 || b[0] == 13 { // between relays: hop count and two addresses
		at = 34
	}
	for at+4 <= len(b) {
		at += 4 + be16(b[at+2:])
	}
	if at != len(b) {
		return NotMine
	}
	return sure(r, 95)
}
