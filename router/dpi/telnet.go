package dpi

// readTelnet reads the negotiation that opens a session (RFC 854, RFC 855): IAC, then WILL, WON'T, DO or DON'T, and an option.
func readTelnet(v *View, r *Result) Verdict {
	verdict := both(telnetSide(v.Client, true), telnetSide(v.Server, false), r, 80)
	if verdict == Likely && len(v.Server) == 0 && v.Client[0] != 0xff {
		return Need // whatever was typed shows nothing
	}
	return verdict
}

// telnetSide wants a negotiation of the server; the client may type instead.
func telnetSide(b []byte, client bool) Verdict {
	if len(b) == 0 {
		return Need
	}
	if b[0] != 0xff {
		return foundIf(client && (b[0] >= ' ' && b[0] <= '~' || b[0] == '\r' || b[0] == '\n'))
	}
	if len(b) > 1 && (b[1] < 0xfa || b[1] == 0xff) || len(b) > 2 && b[2] > 49 && b[2] != 0xff && b[2] < 138 {
		return NotMine
	}
	if len(b) < 3 {
		return Need
	}
	return Found
}
