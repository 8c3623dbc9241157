package dpi

// readGIOP reads the header of CORBA's messages (OMG CORBA 3.3 part 2 §9.4.1): magic, version 1.0 to 1.3, flags, type.
func readGIOP(v *View, r *Result) Verdict {
	return both(giopHeader(v.Client), giopHeader(v.Server), r, 95)
}

func giopHeader(b []byte) Verdict {
	if v := starts(b, "GIOP\x01"); v != Found {
		return v
	}
	if len(b) < 8 {
		return Need
	}
	return foundIf(b[5] <= 3 && b[7] <= 7)
}

// readJavaRMI reads the header of a stream (Java RMI specification §10.2): magic, version 1 or 2, and one of three protocols.
func readJavaRMI(v *View, r *Result) Verdict {
	b := v.Client
	if v := startsAny(b, "JRMI\x00\x01", "JRMI\x00\x02"); v != Found {
		return v
	}
	if len(b) < 7 {
		return Need
	}
	return foundIf(b[6] >= 0x4b && b[6] <= 0x4d)
}

// readThrift reads a call in the strict binary protocol (Apache Thrift, "Binary protocol encoding"), with or without the frame's length before it: version 1, a type, the
// length of the method's name and the name.
func readThrift(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) > 0 && b[0] == 0 {
		if len(b) < 4 {
			return Need
		}
		b = b[4:]
	}
	if v := startsAny(b, "\x80\x01\x00\x01", "\x80\x01\x00\x04"); v != Found {
		return v
	}
	if len(b) < 9 {
		return Need
	}
	n := be32(b[4:])
	if n == 0 || n > 64 {
		return NotMine
	}
	for _, c := range b[8:min(len(b), 8+int(n))] {
		if c < '.' || c > 'z' {
			return NotMine
		}
	}
	if len(b) < 8+int(n) {
		return Need
	}
	return sure(r, 95)
}

// readGearman reads a binary request (Gearman protocol): magic, type, length.
func readGearman(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x00REQ\x00\x00\x00"); v != Found {
		return v
	}
	if len(b) < 8 {
		return Need
	}
	return foundIf(b[7] >= 1 && b[7] <= 42)
}

// readSOMEIP reads the header of automotive service messages (AUTOSAR PRS_SOMEIP §4.1.2): service, a length that is the datagram's, the request's number,
// version 1, a type and a return code.
func readSOMEIP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 16 || be32(b[4:]) != uint32(len(b)-8) || b[12] != 1 || b[15] > 0x5e {
		return NotMine
	}
	switch b[14] &^ 0x20 {
	case 0, 1, 2, 0x80, 0x81:
		return sure(r, 80)
	}
	return NotMine
}
