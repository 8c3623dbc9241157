package dpi

import "bytes"

// Steam: its connection managers over TCP and UDP, discovery of other clients at home, and game networking. The wire is
// known from SteamKit (TcpConnection, UdpPacket), ValvePython's steam, and Valve's GameNetworkingSockets
// (steamnetworkingsockets_messages_udp.proto).

const steamBudget = 8

// readSteamStream takes a length and the magic VT01 on both sides: the manager asks for encryption, the client agrees.
func readSteamStream(v *View, r *Result) Verdict {
	return both(steamPacket(v.Client), steamPacket(v.Server), r, 80)
}

func steamPacket(b []byte) Verdict {
	if len(b) < 4 {
		return Need
	}
	if n := le32(b); n == 0 || n > 1<<24 {
		return NotMine
	}
	return starts(b[4:], "VT01")
}

// readSteam reads the datagrams of all three.
func readSteam(v *View, r *Result) Verdict {
	b := v.Payload
	switch {
	case len(b) >= 36 && string(b[:4]) == "VS01" && le16(b[4:]) == len(b)-36:
		return Found
	case len(b) >= 16 && string(b[:8]) == "\xff\xff\xff\xff\x21\x4c\x5f\xa0": // discovery: magic, length of its header
		return Found
	case len(b) >= 16 && bytes.Contains(b[:16], []byte("sdping")): // to a relay, before a game
		return sure(r, 80)
	case isSteamChallenge(b):
		return sure(r, 80)
	}
	return NotMine
}

// isSteamChallenge checks the request that opens a connection of game networking: the number 32, the length of a protobuf
// message with a connection (field 1, 32 bits) and a time (field 3, 64 bits), padded to 512 bytes.
func isSteamChallenge(b []byte) bool {
	if len(b) < 512 || b[0] != 32 {
		return false
	}
	n := le16(b[1:])
	return n >= 14 && n <= 64 && b[3] == 1<<3|5 && b[8] == 3<<3|1
}
