package dpi

// readModbus reads a request and its answer (MODBUS Messaging on TCP/IP §3.1.3): number, protocol 0, length, unit, function. The answer repeats number
// and function; the request alone is likely on its port.
func readModbus(v *View, r *Result) Verdict {
	b, answer := v.Client, v.Server
	client, server := modbusHeader(b), modbusHeader(answer)
	switch {
	case client == NotMine || server == NotMine:
		return NotMine
	case client == Found && server == Found:
		if string(b[:2]) != string(answer[:2]) || b[7] != answer[7]&0x7f {
			return NotMine
		}
		return sure(r, 95)
	case client == Found && v.ServerPort == 502:
		return maybe(r, 80)
	}
	return Need
}

func modbusHeader(b []byte) Verdict {
	if len(b) > 2 && b[2] != 0 || len(b) > 3 && b[3] != 0 || len(b) > 4 && b[4] != 0 {
		return NotMine
	}
	if len(b) < 8 {
		return Need
	}
	function := b[7] & 0x7f
	return foundIf(b[5] >= 2 && b[5] <= 254 && (function >= 1 && function <= 24 || function == 43 || function == 90))
}

// readBACnet reads BACnet/IP (ASHRAE 135 annex J.2): type 0x81, function, the length of the datagram; then version 1 of the network layer.
func readBACnet(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 4 || b[0] != 0x81 || b[1] > 0x0c || be16(b[2:]) != len(b) {
		return NotMine
	}
	if at := 4; b[1] >= 9 || b[1] == 4 {
		if b[1] == 4 { // forwarded: the address it came from
			at = 10
		}
		if len(b) <= at || b[at] != 1 {
			return NotMine
		}
		return sure(r, 95)
	}
	return sure(r, 80)
}

// readDNP3 checks the header of a frame of DNP3 over TCP and UDP (IEEE 1815 §9.2.4), which has a code of its own over eight bytes.
func readDNP3(v *View, r *Result) Verdict {
	return both(dnp3Header(v.Client), dnp3Header(v.Server), r, 95)
}

func readDNP3Datagram(v *View, r *Result) Verdict { return foundIf(dnp3Header(v.Payload) == Found) }

func dnp3Header(b []byte) Verdict {
	if v := starts(b, "\x05\x64"); v != Found {
		return v
	}
	if len(b) < 10 {
		return Need
	}
	crc := uint16(0) // polynomial x^16+x^13+x^12+x^11+x^10+x^8+x^6+x^5+x^2+1, low bit first
	for _, c := range b[:8] {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa6bc
			} else {
				crc >>= 1
			}
		}
	}
	return foundIf(b[2] >= 5 && uint16(le16(b[8:])) == ^crc)
}

// readEtherNetIP reads the encapsulation header (ODVA, CIP networks library volume 2 §2-3): command, length, session, status 0, context, options 0.
func readEtherNetIP(v *View, r *Result) Verdict {
	return both(cipHeader(v.Client), cipHeader(v.Server), r, 95)
}

func readEtherNetIPDatagram(v *View, r *Result) Verdict {
	b := v.Payload
	return foundIf(cipHeader(b) == Found && le16(b[2:])+24 == len(b) && (v.on(44818) || v.on(2222) || len(b) > 24))
}

func cipHeader(b []byte) Verdict {
	if len(b) > 1 && b[1] != 0 {
		return NotMine
	}
	if len(b) > 0 {
		switch b[0] {
		case 0x04, 0x63, 0x64, 0x65, 0x66, 0x6f, 0x70:
		default:
			return NotMine
		}
	}
	if len(b) < 24 {
		return Need
	}
	if le32(b[8:]) > 0x69 || le32(b[20:]) != 0 || le16(b[2:]) > 4096 {
		return NotMine
	}
	// Registering, which comes first, has four bytes: version 1, no options.
	return foundIf(b[0] != 0x65 || le16(b[2:]) == 4)
}

// readOPCUA reads the messages that open a connection (OPC 10000-6 §7.1.2): type, F, and the length.
func readOPCUA(v *View, r *Result) Verdict {
	return both(opcuaHeader(v.Client, "HELF"), opcuaHeader(v.Server, "ACKF", "ERRF"), r, 95)
}

func opcuaHeader(b []byte, kinds ...string) Verdict {
	if v := startsAny(b, kinds...); v != Found {
		return v
	}
	if len(b) < 8 {
		return Need
	}
	return foundIf(le32(b[4:]) >= 16 && le32(b[4:]) <= 8192)
}

// readIEC104 reads the first frame of IEC 60870-5-104 §5.1: start 0x68, length 4, and the activation of data transfer or of a test; both sides say it.
func readIEC104(v *View, r *Result) Verdict {
	const start, test = "\x68\x04\x07\x00\x00\x00", "\x68\x04\x43\x00\x00\x00"
	return both(startsAny(v.Client, start, test), startsAny(v.Server, "\x68\x04\x0b\x00\x00\x00", "\x68\x04\x83\x00\x00\x00", start, test), r, 80)
}
