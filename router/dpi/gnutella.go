package dpi

// Gnutella 0.4 and 0.6 (the RFC draft "Gnutella 0.6" §2.1 and §2.2) and Gnutella2.

const gnutellaBudget = 24

// readGnutella takes the line that begins a connection. The offer of a file begins with GIV.
func readGnutella(v *View, r *Result) Verdict {
	return opening(v, r, func(b []byte, _ *Result) Verdict {
		hello, answer := starts(b, "GNUTELLA CONNECT/0."), starts(b, "GNUTELLA/0.")
		switch {
		case hello == Found || answer == Found:
			return Found
		case hello == Need || answer == Need:
			return Need
		}
		return NotMine
	})
}

// readGnutellaDatagram takes a descriptor that fills the datagram, or a packet of Gnutella2.
func readGnutellaDatagram(v *View, r *Result) Verdict {
	b := v.Payload
	switch {
	case len(b) >= 8 && string(b[:3]) == "GND" && b[3]&^3 == 0 && b[6] > 0 && b[6] <= max(b[7], 1): // flags, part, count
		return sure(r, 80)
	case len(b) >= 23 && gnutellaKind(b[16]) && b[17] <= 7 && b[18] <= 7 && b[17]+b[18] > 0 && le16(b[19:]) == len(b)-23 && b[21] == 0:
		return sure(r, 80)
	}
	return NotMine
}

// gnutellaKind knows ping, pong, bye, query routing, vendor messages, push, query and hit.
func gnutellaKind(kind byte) bool {
	switch kind {
	case 0x00, 0x01, 0x02, 0x30, 0x31, 0x32, 0x40, 0x80, 0x81:
		return true
	}
	return false
}
