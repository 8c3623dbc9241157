package dpi

// readSMB reads the header of the first message (MS-CIFS §2.2.3.1, MS-SMB2 §2.2.1) in its session packet (RFC 1002 §4.3.1), which a session
// request may precede.
func readSMB(v *View, r *Result) Verdict {
	return both(smbMessage(v.Client), smbMessage(v.Server), r, 95)
}

func smbMessage(b []byte) Verdict {
	if length, v := netbiosRequest(b); v == Found {
		b = b[min(len(b), 4+length):]
	} else if v == Need {
		return Need
	} else if v := starts(b, "\x82\x00\x00\x00"); v == Found { // the answer to it
		b = b[4:]
	} else if v == Need {
		return Need
	}
	if len(b) > 0 && b[0] != 0 || len(b) > 1 && b[1] > 1 {
		return NotMine
	}
	if len(b) < 5 {
		return Need
	}
	return startsAny(b[4:], "\xffSMB", "\xfeSMB", "\xfdSMB", "\xfcSMB")
}

// readNetBIOSSession reads the request for a session (RFC 1002 §4.3.2).
func readNetBIOSSession(v *View, r *Result) Verdict {
	if _, v := netbiosRequest(v.Client); v != Found {
		return v
	}
	return maybe(r, 95) // SMB, if it follows, says more
}

// netbiosRequest reads type, flags, length and the form of the called name.
func netbiosRequest(b []byte) (length int, v Verdict) {
	if v := starts(b, "\x81\x00\x00"); v != Found {
		return 0, v
	}
	if len(b) < 4+34 {
		return 0, Need
	}
	return int(b[3]), foundIf(b[3] >= 68 && isNetBIOSName(b[4:]))
}
