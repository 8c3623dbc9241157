package dpi

import "bytes"

// readXMPP reads the start of an XML stream (RFC 6120 §4.2).
func readXMPP(v *View, r *Result) Verdict {
	client := xmppOpens(v.Client)
	return both(client, xmppOpens(v.Server), r, 95)
}

func xmppOpens(b []byte) Verdict {
	if v := starts(b, "<?xml"); v == Need {
		return Need
	} else if v == Found {
		end := bytes.IndexByte(b[:min(len(b), 128)], '>')
		if end < 0 {
			if len(b) >= 128 {
				return NotMine
			}
			return Need
		}
		b = b[end+1:]
		for len(b) > 0 && (b[0] == '\n' || b[0] == '\r' || b[0] == ' ') {
			b = b[1:]
		}
	}
	return startsAny(b, "<stream:stream ", "<stream:stream\n", "<open xmlns=")
}

// readIRC reads the registration of a client (RFC 2812 §3.1, IRCv3 capability negotiation): two commands of it, or one that no
// other protocol has.
func readIRC(v *View, r *Result) Verdict {
	var server Verdict
	switch {
	case len(v.Server) == 0:
		server = Need
	case v.Server[0] == ':':
		server = Found
	default:
		server = saysAny(v.Server, "PING :", "NOTICE ", "ERROR :")
	}
	alone := v.ifPort(6667, 80)
	if len(v.Client) > 0 {
		alone = 80
	}
	return both(ircCommands(v.Client), server, r, alone)
}

func ircCommands(b []byte) Verdict {
	if v := saysAny(b, "CAP LS", "CAP REQ ", "WEBIRC "); v != NotMine {
		return v
	}
	seen := 0
	for range 3 { // PASS, NICK, USER
		if v := saysAny(b, "NICK ", "USER ", "PASS "); v != Found {
			return v
		}
		if seen++; seen == 2 {
			return Found
		}
		if _, v := firstLine(b, 256); v != Found {
			return v
		}
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return NotMine
}

// readMTProto reads Telegram's plain transports (core.telegram.org/mtproto/mtproto-transports): abridged, intermediate and padded, whose
// first message has no key yet. What is obfuscated looks like noise and is not recognised.
func readMTProto(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) == 0 {
		return Need
	}
	var at, length int
	switch b[0] {
	case 0xef:
		if len(b) < 2 {
			return Need
		}
		at, length = 2, int(b[1])*4
	case 0xee, 0xdd:
		if v := startsAny(b, "\xee\xee\xee\xee", "\xdd\xdd\xdd\xdd"); v != Found {
			return v
		}
		if len(b) < 8 {
			return Need
		}
		at, length = 8, int(min(le32(b[4:]), 1<<20))
	default:
		return NotMine
	}
	if length < 40 || length > 1<<16 {
		return NotMine
	}
	if len(b) < at+20 {
		return Need
	}
	if message := b[at:]; be32(message)|be32(message[4:]) == 0 && le32(message[16:]) < uint32(length) {
		return sure(r, 95) // no key: an exchange begins
	}
	if b[0] == 0xef {
		return NotMine // 1 stream of 256 begins so
	}
	return sure(r, 80)
}

// readWhatsApp reads the prologue of the messenger's Noise handshake: "WA", two version numbers and a length of three bytes, after the
// routing information ("ED", 0, 1) if there is any.
func readWhatsApp(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "ED\x00\x01"); v == Found {
		if len(b) < 7 {
			return Need
		}
		n := be24(b[4:])
		if n > 64 {
			return NotMine
		}
		b = b[min(len(b), 7+n):]
	} else if v == Need && len(b) > 0 {
		return Need
	}
	if v := starts(b, "WA"); v != Found {
		return v
	}
	if len(b) > 2 && (b[2] < 1 || b[2] > 9) || len(b) > 3 && b[3] > 16 {
		return NotMine
	}
	if len(b) < 7 {
		return Need
	}
	return foundIf(be24(b[4:]) < 2048)
}
