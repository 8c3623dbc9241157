package dpi

// readPPTP reads the start of a control connection and its answer (RFC 2637 §2.1, §2.2): 156 bytes, type 1, the magic cookie.
func readPPTP(v *View, r *Result) Verdict {
	const start = "\x00\x9c\x00\x01\x1a\x2b\x3c\x4d\x00"
	return both(starts(v.Client, start+"\x01"), starts(v.Server, start+"\x02"), r, 95)
}
