package dpi

// readDICOM reads the request for an association (DICOM PS3.8 §9.3.2): type 1, a length, version 1, and two titles of 16 characters.
func readDICOM(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x01\x00\x00\x00"); v != Found {
		return v
	}
	if len(b) < 42 {
		if len(b) > 9 && (be16(b[6:]) != 1 || be16(b[8:]) != 0) {
			return NotMine
		}
		return Need
	}
	return foundIf(be16(b[6:]) == 1 && be16(b[8:]) == 0 && printable(b[10:42]))
}

// readHL7 reads the start of a framed message (HL7 minimal lower layer protocol): a vertical tab and the header's segment.
func readHL7(v *View, r *Result) Verdict { return starts(v.Client, "\x0bMSH|") }

// readFIX reads the first two fields of a message (FIX session layer §3): the version and the length.
func readFIX(v *View, r *Result) Verdict {
	b := v.Client
	if v := startsAny(b, "8=FIX.4.", "8=FIX.5.", "8=FIXT.1."); v != Found {
		return v
	}
	for i := 8; i < min(len(b), 16); i++ {
		if b[i] == 1 {
			return starts(b[i+1:], "9=")
		}
	}
	if len(b) >= 16 {
		return NotMine
	}
	return Need
}

// readSMPP reads a bind (SMPP 3.4 §4.1): length, command, status 0, a number, and the system's name.
func readSMPP(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x00\x00\x00"); v != Found {
		return v
	}
	if v := startsAny(b[min(len(b), 4):], "\x00\x00\x00\x01\x00\x00\x00\x00", "\x00\x00\x00\x02\x00\x00\x00\x00", "\x00\x00\x00\x09\x00\x00\x00\x00"); v != Found {
		return v
	}
	if len(b) < 18 {
		return Need
	}
	return foundIf(b[3] >= 23 && b[16] > ' ' && b[16] <= '~')
}

// readDRDA reads the first request of DB2's clients (DRDA volume 3, DDM): length, magic, format, a number; inside, a shorter length and EXCSAT.
func readDRDA(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) > 2 && b[2] != 0xd0 || len(b) > 0 && b[0] > 4 {
		return NotMine
	}
	if len(b) < 10 {
		return Need
	}
	return foundIf(be16(b) == be16(b[6:])+6 && be16(b[8:]) == 0x1041)
}

// readCeph reads the banner that both sides send (Ceph, "msgr v1" and "msgr v2").
func readCeph(v *View, r *Result) Verdict {
	return both(startsAny(v.Client, "ceph v027", "ceph v2\n"), startsAny(v.Server, "ceph v027", "ceph v2\n"), r, 95)
}

// readOSCAR reads the first frame of AIM and ICQ (OSCAR, FLAP): channel 1, a number, a length, version 1.
func readOSCAR(v *View, r *Result) Verdict {
	return both(flapHello(v.Client), flapHello(v.Server), r, 95)
}

func flapHello(b []byte) Verdict {
	if v := starts(b, "*\x01"); v != Found {
		return v
	}
	if len(b) < 10 {
		return Need
	}
	return foundIf(be16(b[4:]) >= 4 && be32(b[6:]) == 1)
}

// readOICQ reads QQ's old protocol on its port: a packet that begins with 2 and ends with 3, in between a version, a command, a number and the user's.
func readOICQ(v *View, r *Result) Verdict {
	b := v.Payload
	if !v.on(8000) || len(b) < 14 || b[0] != 2 || b[len(b)-1] != 3 || b[1] < 0x0a || b[1] > 0x40 {
		return NotMine
	}
	return sure(r, 80)
}

// readWeChat reads the records of the messenger's own TLS ("mmtls"): a type as in TLS, version 0xf103 or 0xf104, a length.
func readWeChat(v *View, r *Result) Verdict {
	return both(mmtlsRecord(v.Client), mmtlsRecord(v.Server), r, 80)
}

func mmtlsRecord(b []byte) Verdict {
	if v := startsAny(b, "\x16\xf1\x03", "\x16\xf1\x04", "\x19\xf1\x03", "\x19\xf1\x04", "\x17\xf1\x03", "\x17\xf1\x04"); v != Found {
		return v
	}
	if len(b) < 5 {
		return Need
	}
	return foundIf(be16(b[3:]) > 0 && be16(b[3:]) <= 1<<14)
}

// readMonero reads the header of the peers' protocol (Monero, "Levin protocol"): a signature of eight bytes.
func readMonero(v *View, r *Result) Verdict {
	const signature = "\x01\x21\x01\x01\x01\x01\x01\x01"
	return both(starts(v.Client, signature), starts(v.Server, signature), r, 95)
}
