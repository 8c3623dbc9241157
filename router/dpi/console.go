package dpi

import "bytes"

// What game consoles say between themselves. Their services are TLS and told by name.

// readPia takes the header of Pia, Nintendo's library for play between consoles (the community's NintendoClients wiki,
// "Pia Protocol"): magic, then encrypted and version.
func readPia(v *View, _ *Result) Verdict {
	b := v.Payload
	return foundIf(len(b) >= 24 && string(b[:4]) == "\x32\xab\x98\x64" && b[4]&0x7f <= 16)
}

// readPlayStation takes the search for a console and its answer (device discovery, as the free remote play clients document it).
func readPlayStation(v *View, _ *Result) Verdict {
	b := v.Payload
	if bytes.HasPrefix(b, []byte("SRCH * HTTP/1.1\n")) || bytes.HasPrefix(b, []byte("WAKEUP * HTTP/1.1\n")) {
		return Found
	}
	return foundIf(bytes.HasPrefix(b, []byte("HTTP/1.1 ")) && bytes.Contains(b[:min(len(b), 64)], []byte("\nhost-id:")))
}

// readXbox takes the header of Xbox 360 play, in the clear before its keys are agreed on: a security index of zero, then a type and
// the letter X.
func readXbox(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) <= 12 || be32(b) != 0 || b[5] != 'X' || b[7] != 0 || b[8] != 0 || b[9] != 0 {
		return NotMine
	}
	switch be16([]byte{b[4], b[6]}) {
	case 0x0c76, 0x0218, 0x0b80, 0x0340, 0x064e:
		return sure(r, 80)
	}
	return NotMine
}
