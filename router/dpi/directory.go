package dpi

// readLDAP reads a message over TCP (RFC 4511 §4.1.1): a sequence of a number and an operation.
func readLDAP(v *View, r *Result) Verdict { return ldapMessage(v.Client, r) }

// readCLDAP reads a search or its result over UDP ([MS-ADTS] §6.3.3).
func readCLDAP(v *View, r *Result) Verdict {
	outer, verdict := readBER(v.Payload, 0)
	if verdict != Found || outer.end() > len(v.Payload) {
		return NotMine
	}
	return foundIf(ldapMessage(v.Payload, r) == Found)
}

func ldapMessage(b []byte, r *Result) Verdict {
	if len(b) > 0 && b[0] != 0x30 {
		return NotMine
	}
	outer, verdict := readBER(b, 0)
	if verdict != Found {
		return verdict
	}
	number, at, verdict := berInteger(b, outer.at)
	if verdict != Found {
		return verdict
	}
	if number == 0 || outer.length < 5 {
		return NotMine
	}
	operation, verdict := readBER(b, at)
	if verdict != Found {
		return verdict
	}
	if operation.end() > outer.end() {
		return NotMine
	}
	switch operation.tag {
	case 0x42, 0x4a, 0x50: // unbind, delete, abandon: no more structure
		return foundIf(operation.tag == 0x42 && operation.length == 0)
	case 0x60: // bind: the version
		version, _, verdict := berInteger(b, operation.at)
		if verdict == Found {
			return foundIf(version == 2 || version == 3)
		}
		return verdict
	case 0x63, 0x64: // search: where it begins; an entry: its name
		base, verdict := readBER(b, operation.at)
		if verdict != Found {
			return verdict
		}
		return foundIf(base.tag == 4 && base.end() <= operation.end())
	case 0x61, 0x65: // results: a code
		code, verdict := readBER(b, operation.at)
		if verdict != Found {
			return verdict
		}
		return foundIf(code.tag == 10 && code.length == 1)
	case 0x77: // an extended request: its name
		name, verdict := readBER(b, operation.at)
		if verdict != Found {
			return verdict
		}
		return foundIf(name.tag == 0x80)
	}
	return NotMine
}

// readKerberos reads a message over UDP (RFC 4120 §5.10): its application tag and, inside, version 5.
func readKerberos(v *View, r *Result) Verdict {
	outer, verdict := readBER(v.Payload, 0)
	if verdict != Found || outer.end() > len(v.Payload)+4 {
		return NotMine
	}
	return foundIf(kerberosMessage(v.Payload) == Found)
}

// readKerberosStream reads the same after its length (RFC 4120 §7.2.2).
func readKerberosStream(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) > 0 && b[0] != 0 || len(b) > 1 && b[1] > 1 {
		return NotMine
	}
	if len(b) < 4 {
		return Need
	}
	outer, verdict := readBER(b[4:], 0)
	if verdict != Found {
		if len(b) > 4 && !kerberosTag(b[4]) {
			return NotMine
		}
		return verdict
	}
	if uint32(outer.end()) != be32(b) {
		return NotMine
	}
	return kerberosMessage(b[4:])
}

func kerberosTag(tag byte) bool {
	return tag >= 0x6a && tag <= 0x6f || tag >= 0x74 && tag <= 0x76 || tag == 0x7e
}

// kerberosMessage reads tag, sequence and the field of the version, which is 5.
func kerberosMessage(b []byte) Verdict {
	outer, v := readBER(b, 0)
	if v != Found {
		return v
	}
	if !kerberosTag(outer.tag) {
		return NotMine
	}
	sequence, v := readBER(b, outer.at)
	if v != Found {
		return v
	}
	if sequence.tag != 0x30 {
		return NotMine
	}
	return startsAny(b[sequence.at:], "\xa0\x03\x02\x01\x05", "\xa1\x03\x02\x01\x05")
}

// readRADIUS walks the attributes of a packet (RFC 2865 §3, §5), which must fill it.
func readRADIUS(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 20 || len(b) > 4096 || be16(b[2:]) != len(b) {
		return NotMine
	}
	switch code := b[0]; {
	case code >= 1 && code <= 5, code >= 11 && code <= 13, code >= 40 && code <= 45:
	default:
		return NotMine
	}
	at := 20
	for at+2 <= len(b) {
		if b[at] == 0 || b[at+1] < 2 {
			return NotMine
		}
		at += int(b[at+1])
	}
	if at != len(b) {
		return NotMine
	}
	return sure(r, 95)
}

// readDCERPC reads the header of connection-oriented DCE RPC (C706 §12.6.3; [MS-RPCE] §2.2.2): version 5.0 or 5.1, a type, the representation of data
// and the length of the fragment.
func readDCERPC(v *View, r *Result) Verdict {
	return both(dcerpcHeader(v.Client), dcerpcHeader(v.Server), r, 95)
}

func dcerpcHeader(b []byte) Verdict {
	if v := startsAny(b, "\x05\x00", "\x05\x01"); v != Found {
		return v
	}
	if len(b) > 2 && b[2] > 19 || len(b) > 4 && b[4] != 0x10 && b[4] != 0 {
		return NotMine
	}
	if len(b) < 16 {
		return Need
	}
	length := be16(b[8:])
	if b[4] == 0x10 {
		length = le16(b[8:])
	}
	return foundIf(b[5] == 0 && b[6]|b[7] == 0 && length >= 16)
}

// readDCERPCDatagram reads the header of connectionless DCE RPC (C706 §12.5): version 4, a type, and the length of what follows
// the 80 bytes of it.
func readDCERPCDatagram(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 80 || b[0] != 4 || b[1] > 10 || b[4] != 0x10 && b[4] != 0 || b[5]|b[6] != 0 {
		return NotMine
	}
	length := be16(b[74:])
	if b[4] == 0x10 {
		length = le16(b[74:])
	}
	if length+80 != len(b) {
		return NotMine
	}
	return sure(r, 95)
}
