package dpi

// Ports of IKE and of IPsec through address translation (RFC 3948).
const (
	portIKE   = 500
	portIPsec = 4500
)

// readIKE reads the header of ISAKMP and IKE (RFC 2408 §3.1, RFC 7296 §3.1), after the non-ESP marker where there is one
// (RFC 3948 §2.2).
func readIKE(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) >= 32 && be32(b) == 0 && v.on(portIPsec) {
		b = b[4:]
	}
	if len(b) < 28 || be32(b)|be32(b[4:]) == 0 || be32(b[24:]) != uint32(len(b)) {
		return NotMine
	}
	switch version, exchange := b[17], b[18]; {
	case version == 0x10 && (exchange <= 6 || exchange >= 32 && exchange <= 34):
	case version == 0x20 && exchange >= 34 && exchange <= 44:
	default:
		return NotMine
	}
	return sure(r, 95)
}

// readIKEStream reads the prefix of IKE over TCP (RFC 9329 §4).
func readIKEStream(v *View, r *Result) Verdict { return starts(v.Client, "IKETCP") }

// readESP reads ESP in UDP (RFC 3948 §2.1) on its port: an identifier that is not reserved, then a number that counts up.
func readESP(v *View, r *Result) Verdict {
	b := v.Payload
	if !v.on(portIPsec) {
		return NotMine
	}
	if len(b) == 1 && b[0] == 0xff { // keeps the translation alive
		return maybe(r, 60)
	}
	if len(b) < 24 || be32(b) < 256 {
		return NotMine
	}
	for i := range v.Heads {
		h := v.Heads[i].Bytes()
		if v.Heads[i].Dir == v.Dir && len(h) >= 8 && be32(h) == be32(b) && be32(b[4:])-be32(h[4:]) < 1024 {
			return sure(r, 80)
		}
	}
	return maybe(r, 60)
}
