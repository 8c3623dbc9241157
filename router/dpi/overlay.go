package dpi

// readZeroTier reads the HELLO that opens a path (ZeroTier protocol, Packet.hpp): packet number, two addresses of five bytes, flags, a code
// of eight bytes; then, in the clear, the verb, versions, a time and the identity, which begins with the sender's address again.
func readZeroTier(v *View, r *Result) Verdict {
	b := v.Payload
	const hello = 28
	if len(b) < hello+19 || b[27]&0x1f != 1 || b[18]&0x38 != 0 { // cipher 0: not encrypted
		return NotMine
	}
	if version := b[hello]; version == 0 || version > 32 || string(b[13:18]) != string(b[hello+13:hello+18]) || b[hello+18] != 0 {
		return NotMine
	}
	return sure(r, 95)
}

// readTailscale reads the magic of the messages that look for a path ("disco", tailscale/disco).
func readTailscale(v *View, r *Result) Verdict {
	const magic = "TS💬"
	return foundIf(len(v.Payload) >= len(magic)+32+24 && starts(v.Payload, magic) == Found)
}

// readVXLAN reads the header (RFC 7348 §5) with nothing reserved in use, and the type of the Ethernet frame after it.
func readVXLAN(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 22 || b[0] != 8 || be24(b[1:]) != 0 || b[7] != 0 {
		return NotMine
	}
	switch be16(b[20:]) {
	case 0x0800, 0x0806, 0x8100, 0x86dd, 0x88a8, 0x88cc:
		return sure(r, 95)
	}
	if v.on(4789) {
		return sure(r, 80)
	}
	return NotMine
}

// readTeredo reads IPv6 in UDP (RFC 4380 §5.1.1), after the authentication and origin fields if there are any: a packet as long as
// the rest, from or to an address of Teredo or between link-local ones.
func readTeredo(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) >= 13 && b[0] == 0 && b[1] == 1 { // authentication
		n := 13 + int(b[2]) + int(b[3])
		if n > len(b) {
			return NotMine
		}
		b = b[n:]
	}
	if len(b) >= 8 && b[0]|b[1] == 0 {
		b = b[8:]
	}
	if len(b) < 40 || b[0]>>4 != 6 || be16(b[4:])+40 != len(b) {
		return NotMine
	}
	if be32(b[8:]) == 0x20010000 || be32(b[24:]) == 0x20010000 || v.on(3544) {
		return sure(r, 95)
	}
	return NotMine
}

// Ports of the tunnels of mobile networks (3GPP TS 29.281 §4.4, TS 29.274 §4.2, TS 32.295 §6.1).
const (
	portGTPUser    = 2152
	portGTPControl = 2123
	portGTPPrime   = 3386
)

// readGTP reads the header of GTP version 1 (TS 29.281 §5.1) and 2 (TS 29.274 §5.1), whose length must be that of the datagram.
func readGTP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 8 {
		return NotMine
	}
	known := v.on(portGTPUser) || v.on(portGTPControl) || v.on(portGTPPrime)
	switch {
	case b[0]>>4 == 3 && b[0]&8 == 0 && be16(b[2:])+8 == len(b): // version 1
		if known {
			return sure(r, 95)
		}
		if b[1] == 255 && len(b) >= 28 && b[0]&7 == 0 && (b[8]>>4 == 4 || b[8]>>4 == 6) { // an IP packet inside
			return sure(r, 80)
		}
	case b[0]>>5 == 2 && b[0]&7 == 0 && be16(b[2:])+4 == len(b) && known:
		return sure(r, 95)
	case b[0]>>5 <= 1 && v.on(portGTPPrime) && (be16(b[2:])+6 == len(b) || be16(b[2:])+20 == len(b)):
		return sure(r, 80)
	}
	return NotMine
}

// readSoftEther reads the server's answer to who asks for its own address through a translator: "IP=192.0.2.7,PORT=1234"
// (SoftEther VPN, UDP acceleration). The question is one byte.
func readSoftEther(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) == 1 && (b[0] == 'A' || b[0] == 'B') {
		return Need
	}
	if len(b) < 16 || len(b) > 64 || starts(b, "IP=") != Found {
		return NotMine
	}
	for i, c := range b[3:] {
		if c == ',' {
			return foundIf(i >= 7 && starts(b[3+i:], ",PORT=") == Found)
		}
		if c != '.' && (c < '0' || c > '9') {
			return NotMine
		}
	}
	return NotMine
}
