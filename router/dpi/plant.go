package dpi

// readHARTIP reads the header of HART-IP on its port (FieldComm TS20085 §5.1): version 1, a type, an identifier, the length of the datagram.
func readHARTIP(v *View, r *Result) Verdict {
	b := v.Payload
	return foundIf(v.on(5094) && len(b) >= 8 && b[0] == 1 && (b[1] <= 3 || b[1] == 15) && b[2] <= 5 && be16(b[6:]) == len(b))
}

// readFINS reads Omron's protocol: over UDP on its port (FINS commands, W227 §3-4: an information field, zero, a gateway count), over TCP by its magic.
func readFINS(v *View, r *Result) Verdict {
	b := v.Payload
	return foundIf(v.on(9600) && len(b) >= 12 && b[0]&0x3e == 0 && b[0]&0x80 != 0 && b[1] == 0 && b[2] >= 1 && b[2] <= 7)
}

func readFINSStream(v *View, r *Result) Verdict { return starts(v.Client, "FINS\x00\x00") }

// readADS reads the header of Beckhoff's ADS (TE1000, "AMS/TCP packet"): two zero bytes, a length, two addresses, a command, flags, and the length of the data, which agrees.
func readADS(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x00\x00"); v != Found {
		return v
	}
	if len(b) > 4 && b[4] != 0 {
		return NotMine
	}
	if len(b) < 30 {
		return Need
	}
	return foundIf(le32(b[2:]) == le32(b[26:])+32 && le16(b[22:]) >= 1 && le16(b[22:]) <= 9 && (le16(b[24:])&^1 == 4))
}

// readSynchrophasor checks the first frame of a phasor measurement (IEEE C37.118.2 §6.2): sync word, the size, and a code over all of it.
func readSynchrophasor(v *View, r *Result) Verdict {
	return both(phasorFrame(v.Client), phasorFrame(v.Server), r, 95)
}

func readSynchrophasorDatagram(v *View, r *Result) Verdict {
	return foundIf(len(v.Payload) >= 16 && be16(v.Payload[2:]) == len(v.Payload) && phasorFrame(v.Payload) == Found)
}

func phasorFrame(b []byte) Verdict {
	if v := starts(b, "\xaa"); v != Found {
		return v
	}
	if len(b) > 1 && (b[1]>>4 > 5 || b[1]&15 < 1 || b[1]&15 > 3) {
		return NotMine
	}
	if len(b) < 4 {
		return Need
	}
	size := be16(b[2:])
	if size < 16 || size > 512 {
		return NotMine
	}
	if len(b) < size {
		return Need
	}
	crc := uint16(0xffff) // CRC-CCITT
	for _, c := range b[:size-2] {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return foundIf(crc == uint16(be16(b[size-2:])))
}
