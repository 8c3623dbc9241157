package dpi

// readBGP reads the header of a message (RFC 4271 §4.1): a marker of ones, a length, a type.
func readBGP(v *View, r *Result) Verdict {
	return both(bgpHeader(v.Client), bgpHeader(v.Server), r, 95)
}

func bgpHeader(b []byte) Verdict {
	const marker = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
	if v := starts(b, marker); v != Found {
		return v
	}
	if len(b) < 19 {
		return Need
	}
	return foundIf(be16(b[16:]) >= 19 && be16(b[16:]) <= 4096 && b[18] >= 1 && b[18] <= 5)
}

// readRIP reads RIP on its port (RFC 2453 §4) and RIPng on its own (RFC 2080 §2.1): entries of 20 bytes.
func readRIP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 24 || len(b)%20 != 4 || b[0] < 1 || b[0] > 2 || b[2]|b[3] != 0 {
		return NotMine
	}
	switch family := be16(b[4:]); {
	case v.on(520) && (b[1] == 1 || b[1] == 2) && (family == 0 || family == 2 || family == 0xffff):
		return sure(r, 95)
	case v.on(521) && b[1] == 1 && b[22] <= 128:
		return sure(r, 95)
	}
	return NotMine
}

// readBFD reads a control packet on its ports (RFC 5880 §4.1, RFC 5881 §4): version 1, a multiplier, a length that fits, a number of its own.
func readBFD(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 24 || b[0]>>5 != 1 || b[2] == 0 || int(b[3]) < 24 || int(b[3]) > len(b) || be32(b[4:]) == 0 {
		return NotMine
	}
	switch v.ServerPort {
	case 3784, 4784, 6784, 7784:
		return sure(r, 95)
	}
	return NotMine
}

// readHSRP reads a hello of version 0 (RFC 2281 §5) or 2 (Cisco) on its port.
func readHSRP(v *View, r *Result) Verdict {
	b := v.Payload
	if !v.on(1985) && !v.on(2029) || len(b) < 8 {
		return NotMine
	}
	switch {
	case b[0] == 0 && b[1] <= 3: // version 0; an advertisement (3) is shorter
		return sure(r, 95)
	case b[0] == 1 && b[1] == 40 && len(b) >= 42 && b[2] == 2: // the group's state, version 2
		return sure(r, 95)
	}
	return NotMine
}

// readNATPMP reads the port control protocol and the one before it (RFC 6887 §7, RFC 6886 §3) on their ports.
func readNATPMP(v *View, r *Result) Verdict {
	b := v.Payload
	if !v.on(5351) && !v.on(5350) || len(b) < 2 {
		return NotMine
	}
	operation := b[1] & 0x7f
	switch {
	case b[0] == 0 && operation == 0 && (len(b) == 2 || b[1] == 128 && len(b) >= 8):
	case b[0] == 0 && (operation == 1 || operation == 2) && (len(b) == 12 || len(b) == 16 || b[1] >= 128 && len(b) == 8):
	case b[0] == 2 && operation <= 3 && len(b) >= 24 && len(b)%4 == 0 && len(b) <= 1100:
	default:
		return NotMine
	}
	return sure(r, 95)
}

// readPTP reads a message of the precision time protocol on its ports (IEEE 1588-2019 §13.3, annex C): version 2, a type that exists, a length that fits.
func readPTP(v *View, r *Result) Verdict {
	b := v.Payload
	if !v.on(319) && !v.on(320) || len(b) < 34 {
		return NotMine
	}
	if b[1]&15 == 1 && b[0] == 0 && len(b) >= 40 { // IEEE 1588-2002
		return sure(r, 80)
	}
	if kind := b[0] & 15; b[1]&15 != 2 || kind > 3 && kind < 8 || kind > 13 || be16(b[2:]) > len(b) || be16(b[2:]) < 34 {
		return NotMine
	}
	return sure(r, 95)
}

// readDiameter reads the header of a message (RFC 6733 §3): version 1, a length in whole words, flags without the reserved ones, and a first
// attribute that begins every message: session or origin.
func readDiameter(v *View, r *Result) Verdict {
	return both(diameterHeader(v.Client), diameterHeader(v.Server), r, 95)
}

func diameterHeader(b []byte) Verdict {
	if v := starts(b, "\x01\x00"); v != Found {
		return v
	}
	if len(b) > 4 && b[4]&0x0f != 0 {
		return NotMine
	}
	if len(b) < 24 {
		return Need
	}
	length, command, first := be24(b[1:]), be24(b[5:]), be32(b[20:])
	return foundIf(length >= 28 && length%4 == 0 && command >= 257 && (first == 263 || first == 264 || first == 268 || first == 296))
}

// readLDP reads the header of a PDU of label distribution over TCP and UDP (RFC 5036 §3.5), then the type of the first message.
func readLDP(v *View, r *Result) Verdict {
	return both(ldpHeader(v.Client), ldpHeader(v.Server), r, 95)
}

func readLDPDatagram(v *View, r *Result) Verdict {
	return foundIf(v.on(646) && ldpHeader(v.Payload) == Found)
}

func ldpHeader(b []byte) Verdict {
	if v := starts(b, "\x00\x01"); v != Found {
		return v
	}
	if len(b) < 14 {
		return Need
	}
	length, kind, message := be16(b[2:]), be16(b[10:])&0x7fff, be16(b[12:])
	return foundIf(length >= 14 && length <= 4096 && b[8]|b[9] == 0 && message+10 <= length && (kind == 0x100 || kind == 0x200 || kind == 0x201 || kind == 0x300))
}
