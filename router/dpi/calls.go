package dpi

import "encoding/binary"

// Calls of messengers whose wire is their own. None is published by its maker; each docstring names where it was described.
// Confidence is accordingly: a few bytes, and where they are too few, several datagrams or the port as well.

// discordOpus is the type of RTP that Discord has for sound.
const discordOpus = 120

// readDiscord takes the discovery of the own address (Discord's developer documentation, "Voice Connections", IP Discovery): type,
// length 70, and a keep-alive with a fixed first word. Either may come after media, RTP of type 120.
func readDiscord(v *View, r *Result) Verdict {
	b := v.Payload
	if h, ok := parseRTP(b, len(b)); ok && h.kind == discordOpus && v.datagrams() < clientPackets {
		return Need
	}
	switch {
	case len(b) == 74 && be16(b) == 1 && be16(b[2:]) == 70 && allZero(b[8:72]):
		return Found
	case len(b) == 74 && be16(b) == 2 && be16(b[2:]) == 70:
		return Found
	case len(b) == 8 && be32(b) == 0x1337cafe:
		return sure(r, 90)
	}
	return NotMine
}

// readTelegramCall takes requests to the reflectors (libtgvoip, published by Telegram as source): a tag of the peer of 16
// bytes, then 12 bytes of ones and the kind of request.
func readTelegramCall(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 32 || binary.BigEndian.Uint64(b[16:]) != 1<<64-1 || be32(b[24:]) != 1<<32-1 || allZero(b[:16]) ||
		binary.BigEndian.Uint64(b) == 1<<64-1 {
		return NotMine
	}
	if v.hasPort(500, 600) || v.on(1400) || b[28] == 0xff && b[29] == 0xff && b[30] == 0xff {
		return sure(r, 80)
	}
	return maybe(r, 60)
}

// readLineCall looks for LINE's headers (seen in public captures): before media 0xb6, a type, the length of the rest; around media a
// byte between 0xd8 and 0xdb, and 6 and 2 after four bytes.
func readLineCall(v *View, r *Result) Verdict {
	agree := 0
	for i := range v.datagrams() {
		_, head, size := v.datagram(i)
		switch {
		case len(head) >= 4 && head[0] == 0xb6 && head[1] <= 0x3f && be16(head[2:]) == size-4,
			size >= 150 && head[0]&^3 == 0xd8 && head[4] == 6 && head[5] == 2:
			agree++
		case i == 0:
			return NotMine
		}
	}
	if agree >= 2 {
		return sure(r, 80)
	}
	if v.datagrams() >= 6 {
		return NotMine
	}
	return maybe(r, 60)
}

// readViber takes Viber's header (seen in public captures): a number, then a kind that fixes the size, at the ports that Viber
// tells administrators to open.
func readViber(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 6 || !v.hasPort(7985, 7987) && !v.hasPort(5242, 5243) && !v.on(4244) && !v.on(9785) {
		return NotMine
	}
	switch kind := le16(b[2:]); {
	case kind == 0x03, kind == 0x09 && len(b) == 20, kind == 0x19 && len(b) == 34, kind == 0x1b && len(b) == 34,
		kind == 0x01 && b[4] == 5 && b[5] == 0:
		return sure(r, 80)
	}
	return NotMine
}

// Zoom's encapsulation (Michel et al., "Enabling Passive Measurement of Zoom Performance in Production Networks", IMC 2022, §4):
// eight bytes to or from its servers, then a media header of which the first byte is the type, then RTP or RTCP.
const zoomServers = 5

// zoomMedia is how far RTP or RTCP begins after the start of the media header, by its type; 0 for an unknown one.
func zoomMedia(kind byte) int {
	switch kind {
	case 13, 30: // screen
		return 27 - 7*int(kind/30)
	case 15: // audio
		return 19
	case 16: // video
		return 24
	case 33, 34, 35: // RTCP
		return 16
	}
	return 0
}

// readZoom says Found when two datagrams are Zoom's, or one at the ports that its servers use.
func readZoom(v *View, r *Result) Verdict {
	if len(v.Heads) == 0 && isZoomMedia(v.Payload) && v.hasPort(8801, 8810) {
		return sure(r, 80)
	}
	agree, hellos := 0, uint8(0)
	for i := range v.datagrams() {
		_, head, size := v.datagram(i)
		switch kind := zoomHello(head, size); {
		case kind != 0:
			hellos |= kind
		case len(head) > 8 && head[0] == zoomServers && head[7]&^4 == 0 && zoomMedia(head[8]) > 0:
			agree++
		case i == 0 && !v.hasPort(8801, 8810):
			return NotMine
		}
	}
	switch {
	case agree >= 2, hellos == 3, agree > 0 && hellos > 0:
		return sure(r, 80)
	case v.datagrams() >= 6:
		return NotMine
	case agree > 0 || hellos > 0:
		return maybe(r, 60)
	}
	return Need
}

// zoomHello knows what a client (1) and a server (2) say first (seen in public captures): the kind, then the length of the rest,
// or in older ones a fixed number and size.
func zoomHello(head []byte, size int) (kind uint8) {
	if len(head) < 4 || head[1] != 0 {
		return 0
	}
	rest := le16(head[2:]) == size-3
	switch head[0] {
	case 1:
		if head[2] == 2 && (size == 107 || size == 109) || rest && size > 100 {
			return 1
		}
	case 2:
		if (head[2] == 1 || rest) && size >= 35 && size < 64 {
			return 2
		}
	}
	return 0
}

// isZoomMedia also checks the version of the RTP or RTCP inside.
func isZoomMedia(b []byte) bool {
	if len(b) < 9 || b[0] != zoomServers || b[7]&^4 != 0 {
		return false
	}
	at := zoomMedia(b[8])
	return at > 0 && len(b) >= 8+at+12 && b[8+at]>>6 == 2
}
