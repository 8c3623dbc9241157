package dpi

import "bytes"

// readTuya reads a frame of Tuya's local protocol (as its users documented it: 0x000055aa, number, command, length ... 0x0000aa55; 0x00006699 since
// version 3.5).
func readTuya(v *View, r *Result) Verdict {
	return both(tuyaHeader(v.Client), tuyaHeader(v.Server), r, 95)
}

func readTuyaDatagram(v *View, r *Result) Verdict { return foundIf(tuyaHeader(v.Payload) == Found) }

func tuyaHeader(b []byte) Verdict {
	if v := startsAny(b, "\x00\x00\x55\xaa", "\x00\x00\x66\x99"); v != Found {
		return v
	}
	if len(b) < 18 {
		return Need
	}
	length := be32(b[12:])
	if b[2] == 0x66 {
		length = be32(b[14:])
	}
	return foundIf(length >= 8 && length <= 4096)
}

// readTPLinkHome reads the smart-home protocol of TP-Link: JSON, where each byte is XORed with the one before it, the first with 171 (as its users documented it).
func readTPLinkHome(v *View, r *Result) Verdict {
	return foundIf(tplinkJSON(v.Payload) == Found)
}

// readTPLinkHomeStream reads the same after a length of four bytes.
func readTPLinkHomeStream(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x00\x00"); v != Found {
		return v
	}
	if len(b) < 4 {
		return Need
	}
	return tplinkJSON(b[4:])
}

// tplinkJSON wants an object whose first name is of letters, digits and '_': `{"system":`.
func tplinkJSON(b []byte) Verdict {
	last, name := byte(171), 0
	for i, c := range b[:min(len(b), 32)] {
		last, c = c, c^last
		switch {
		case i == 0 && c == '{', i == 1 && c == '"':
		case i > 1 && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '.' || c >= '0' && c <= '9'):
			name++
		case c == '"' && name > 2:
			return Found
		default:
			return NotMine
		}
	}
	if len(b) >= 32 {
		return NotMine
	}
	return Need
}

// readSpotifyDiscovery reads the datagrams by which Spotify's clients find each other ("SpotUdp" and a version).
func readSpotifyDiscovery(v *View, r *Result) Verdict {
	return foundIf(starts(v.Payload, "SpotUdp") == Found)
}

// readSpotify reads the hello to an access point (as librespot documented it): 0, 4, a length, then a message whose first fields are the build
// information.
func readSpotify(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x00\x04\x00\x00"); v != Found {
		return v
	}
	if len(b) < 9 {
		return Need
	}
	if b[6] != 0x52 || b[7] < 4 || b[7] > 32 || b[8] != 0x50 {
		return NotMine
	}
	return sure(r, 80)
}

// readKNX reads the header of KNXnet/IP (ISO 22510 §5.2): its size, version 1.0, a service that exists, and the length of the datagram.
func readKNX(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 6 || b[0] != 6 || b[1] != 0x10 || be16(b[4:]) != len(b) || b[2] < 2 || b[2] > 9 {
		return NotMine
	}
	return sure(r, 95)
}

// readRTPS reads the magic of the publish-subscribe protocol of DDS (OMG RTPS 2.5 §9.4.4), then its version.
func readRTPS(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 20 || !bytes.HasPrefix(b, []byte("RTPS")) && !bytes.HasPrefix(b, []byte("RTPX")) {
		return NotMine
	}
	return foundIf(b[4] >= 1 && b[4] <= 2)
}
