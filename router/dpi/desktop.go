package dpi

// readVNC reads the version that both sides of the remote framebuffer send first (RFC 6143 §7.1.1).
func readVNC(v *View, r *Result) Verdict {
	return both(starts(v.Client, "RFB 00"), starts(v.Server, "RFB 00"), r, 95)
}

// readX11 reads the setup of an X connection (X Window System Protocol, Encoding §8): byte order, version 11.0, and the length of
// the authorization's name, which is none or that of MIT-MAGIC-COOKIE-1 or XDM-AUTHORIZATION-1.
func readX11(v *View, r *Result) Verdict {
	b := v.Client
	if v := startsAny(b, "l\x00\x0b\x00\x00\x00", "B\x00\x00\x0b\x00\x00"); v != Found {
		return v
	}
	if len(b) < 12 {
		return Need
	}
	length := be16(b[6:])
	if b[0] == 'l' {
		length = le16(b[6:])
	}
	return foundIf((length == 0 || length == 18 || length == 19) && b[10]|b[11] == 0)
}

// readCitrix reads the greeting of ICA, and that of the common gateway protocol (Citrix; both are fixed texts).
func readCitrix(v *View, r *Result) Verdict {
	return both(startsAny(v.Client, "\x7f\x7fICA\x00", "\x1aCGP/01"), startsAny(v.Server, "\x7f\x7fICA\x00", "\x1aCGP/01"), r, 95)
}

// readTeamViewer reads the magic of TeamViewer's own protocol, which each message of both sides has: 0x1724, or 0x1130 on the direct path.
func readTeamViewer(v *View, r *Result) Verdict {
	const magic, direct = "\x17\x24", "\x11\x30"
	return both(startsAny(v.Client, magic, direct), startsAny(v.Server, magic, direct), r, v.ifPort(5938, 80))
}

// readTeamViewerDatagram reads the same magic, behind a zero byte and a header of eleven bytes.
func readTeamViewerDatagram(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 16 || b[0] != 0 || be16(b[11:]) != 0x1724 {
		return NotMine
	}
	if h := v.answered(); h != nil && len(h.Bytes()) > 12 && be16(h.Bytes()[11:]) == 0x1724 {
		return sure(r, 95)
	}
	return sure(r, 80)
}

// readRustDesk reads the registration at a rendezvous server (hbb_common, rendezvous.proto: RegisterPeer is field 6 of the message, its field 1 the
// identifier, which fills the datagram but for a number).
func readRustDesk(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 10 || len(b) > 64 || b[0] != 0x32 || int(b[1])+2 != len(b) || b[2] != 0x0a {
		return NotMine
	}
	end := 4 + int(b[3])
	if b[3] < 6 || end > len(b) || end < len(b) && b[end] != 0x10 {
		return NotMine
	}
	for _, c := range b[4:end] {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '_' && c != '-' {
			return NotMine
		}
	}
	return sure(r, 95)
}
