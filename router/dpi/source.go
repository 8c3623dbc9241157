package dpi

import "bytes"

// Messages without a connection of the engines that descend from Quake: four bytes of ones, then a command. Source (Valve
// Developer Community, "Server queries") uses single letters, the Quake family words (id Software's released sources,
// SV_ConnectionlessPacket and CL_ConnectionlessPacket).

const outOfBand = "\xff\xff\xff\xff"

// readSource takes the queries A2S_INFO, A2S_PLAYER and A2S_RULES, their answers, and the request to join.
func readSource(v *View, r *Result) Verdict {
	b := v.Payload
	if starts(b, outOfBand) != Found || len(b) < 6 {
		return NotMine
	}
	switch b = b[4:]; b[0] {
	case 'T': // info
		return foundIf(bytes.HasPrefix(b[1:], []byte("Source Engine Query\x00")))
	case 'q': // join, with a challenge of the client
		return foundIf(bytes.Contains(b, []byte("connect0x")) || bytes.Contains(b, []byte("0000000000\x00")))
	case 'U', 'V': // players, rules: a challenge
		if len(b) == 5 {
			return sure(r, 80)
		}
	case 'A': // a challenge
		if len(b) == 5 || len(b) > 5 && bytes.HasPrefix(b[5:], []byte("connect0x")) {
			return sure(r, 80)
		}
	case 'I', 'm': // info: version, or address, then a name that ends with a zero
		if len(b) > 16 && bytes.IndexByte(b[2:], 0) > 0 {
			return sure(r, 80)
		}
	case 'D', 'E': // players, rules: how many, then the list
		if len(b) > 7 && bytes.IndexByte(b[2:], 0) > 0 {
			return sure(r, 80)
		}
	case 'i', 'j': // the ping of old, and its answer
		if len(b) <= 16 && (b[0] == 'i' || bytes.HasPrefix(b, []byte("j00000000000000"))) {
			return sure(r, 60)
		}
	}
	return NotMine
}

// readQuake takes the commands of Quake II and III and what is built on them, and the greeting of the first Quake.
func readQuake(v *View, r *Result) Verdict {
	b := v.Payload
	if bytes.HasPrefix(b, []byte("\x80\x00\x00\x0c\x01QUAKE\x00\x03")) { // control packet of 12 bytes
		return Found
	}
	if starts(b, outOfBand) != Found || len(b) < 8 {
		return NotMine
	}
	if b = b[4:]; len(b) > 2 && b[0] == 0xff && b[1] == 0xff {
		b = b[2:] // Doom 3 and its kin use fewer and more ones
	}
	end := 0
	for end < len(b) && end < 24 && (b[end] >= 'a' && b[end] <= 'z' || b[end] >= 'A' && b[end] <= 'Z') {
		end++
	}
	if quakeCommand(b[:end]) && (end == len(b) || b[end] <= ' ' || b[end] == '\\' || b[end] == '"') {
		return Found
	}
	return NotMine
}

func quakeCommand(word []byte) bool {
	switch string(word) {
	case "getstatus", "getinfo", "getchallenge", "getservers", "getserversExt", "getserversResponse", "getserversExtResponse",
		"statusResponse", "infoResponse", "challengeResponse", "connectResponse", "connect", "disconnect", "challenge",
		"getKeyAuthorize", "getIpAuthorize", "ipAuthorize", "keyAuthorize", "heartbeat", "print", "rcon", "client_connect",
		"getInfo", "getChallenge", "status", "info", "servers", "keepalive":
		return true
	}
	return false
}
