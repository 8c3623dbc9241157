package dpi

// readTACACS reads the header of TACACS+ (RFC 8907 §4.1): version 12, a type, number 1, flags, a session that the answer repeats with number 2, a length.
func readTACACS(v *View, r *Result) Verdict {
	client, server := tacacsHeader(v.Client, 1), tacacsHeader(v.Server, 2)
	if client == Found && server == Found && string(v.Client[4:8]) != string(v.Server[4:8]) {
		return NotMine
	}
	return both(client, server, r, v.ifPort(49, 80))
}

func tacacsHeader(b []byte, number byte) Verdict {
	if v := startsAny(b, "\xc0\x01", "\xc0\x02", "\xc0\x03", "\xc1\x01", "\xc1\x02", "\xc1\x03"); v != Found {
		return v
	}
	if len(b) < 12 {
		return Need
	}
	return foundIf(b[2] == number && b[3]&^5 == 0 && be32(b[8:]) < 4096)
}

// readXDMCP reads a packet of the display manager's protocol on its port (XDMCP 1.1 §3): version 1, an operation, the length of the rest.
func readXDMCP(v *View, r *Result) Verdict {
	b := v.Payload
	return foundIf(v.on(177) && len(b) >= 6 && be16(b) == 1 && be16(b[2:]) >= 1 && be16(b[2:]) <= 15 && be16(b[4:])+6 == len(b))
}

// readCAPWAP reads the header between access points and their controller on their ports (RFC 5415 §4.2): version 0, plain or DTLS, and the length of the header.
func readCAPWAP(v *View, r *Result) Verdict {
	b := v.Payload
	if !v.on(5246) && !v.on(5247) || len(b) < 8 {
		return NotMine
	}
	switch {
	case b[0] == 1:
		return foundIf(b[1]|b[2]|b[3] == 0 && b[4] >= 20 && b[4] <= 23 && b[5] == 0xfe)
	case b[0] != 0:
		return NotMine
	}
	header := int(b[1]>>3) * 4
	if header < 8 || header > len(b) {
		return NotMine
	}
	if v.on(5246) && header+8 <= len(b) && be24(b[header:]) == 0 && b[header+3] >= 1 && b[header+3] <= 26 {
		return sure(r, 95)
	}
	return sure(r, 60)
}

// readPFCP reads the header between the halves of a mobile gateway on its port (3GPP TS 29.244 §7.2.2): version 1, the length of the rest.
func readPFCP(v *View, r *Result) Verdict {
	b := v.Payload
	return foundIf(v.on(8805) && len(b) >= 8 && b[0]>>5 == 1 && be16(b[2:])+4 == len(b))
}

// readLISP reads control messages and data of the locator/identifier split on their ports (RFC 9301 §4, RFC 9300 §5).
func readLISP(v *View, r *Result) Verdict {
	b := v.Payload
	switch {
	case v.on(4342) && len(b) >= 8 && (b[0]>>4 >= 1 && b[0]>>4 <= 4 || b[0]>>4 == 8):
		return sure(r, 80)
	case v.on(4341) && len(b) >= 28 && (b[8]>>4 == 4 && be16(b[10:])+8 == len(b) || b[8]>>4 == 6):
		return sure(r, 80)
	}
	return NotMine
}

// readUbiquiti reads the discovery of Ubiquiti's devices on its port: version 1 or 2, a command, the length of the rest.
func readUbiquiti(v *View, r *Result) Verdict {
	b := v.Payload
	return foundIf(v.on(10001) && len(b) >= 4 && (b[0] == 1 || b[0] == 2) && b[1] <= 11 && be16(b[2:])+4 == len(b))
}

// readRadmin reads the first message of Radmin 3 of either side: version 1, its length, a fixed type.
func readRadmin(v *View, r *Result) Verdict {
	return both(starts(v.Client, "\x01\x00\x00\x00\x01\x00\x00\x00\x08\x08"), starts(v.Server, "\x01\x00\x00\x00\x25\x00\x00"), r, 95)
}

// readNoMachine reads the greeting of both sides (NoMachine NX).
func readNoMachine(v *View, r *Result) Verdict {
	return both(starts(v.Client, "NXSH-"), starts(v.Server, "NXSH-"), r, 95)
}

// readTinc reads the identification of both sides (tinc, "The meta-protocol"): request 0, a name, version 17.
func readTinc(v *View, r *Result) Verdict {
	return both(tincID(v.Client), tincID(v.Server), r, 80)
}

func tincID(b []byte) Verdict {
	if v := starts(b, "0 "); v != Found {
		return v
	}
	for i := 2; i < min(len(b), 40); i++ {
		c := b[i]
		switch {
		case c == ' ' && i > 2:
			return startsAny(b[i+1:], "17\n", "17.")
		case c != '_' && c != '^' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z'):
			return NotMine
		}
	}
	if len(b) >= 40 {
		return NotMine
	}
	return Need
}
