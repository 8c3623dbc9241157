package dpi

// readPOP3 reads the greeting and the first command (RFC 1939 §3, RFC 2449, RFC 2595).
func readPOP3(v *View, r *Result) Verdict {
	client := saysAny(v.Client, "USER ", "APOP ", "AUTH", "CAPA", "STLS", "QUIT", "PASS ", "XTND ", "STAT")
	alone := v.ifPort(110, 80)
	if len(v.Client) == 0 {
		alone = max(alone, 60)
	}
	return both(client, startsAny(v.Server, "+OK", "-ERR"), r, alone)
}
