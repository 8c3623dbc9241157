package dpi

// TeamSpeak 3 (the community's protocol paper "TS3PROTOCOL", §Init): packets of the handshake carry a word in place of a
// signature. TeamSpeak 2 begins its packets with a class and a type.
func readTeamSpeak(v *View, r *Result) Verdict {
	b := v.Payload
	switch {
	case len(b) >= 16 && string(b[:8]) == "TS3INIT1":
		return Found
	case len(b) >= 20 && b[0] == 0xf4 && b[1] == 0xbe && b[2] >= 1 && b[2] <= 4 && b[3] == 0: // class, and a type in little endian
		return sure(r, 80)
	}
	return NotMine
}
