package dpi

import "bytes"

// readSMTP reads the greeting and the first command (RFC 5321 §3.1, §4.1.1.1; LHLO: RFC 2033).
func readSMTP(v *View, r *Result) Verdict {
	client := saysAny(v.Client, "EHLO ", "HELO ", "LHLO ", "EHLO\r\n", "HELO\r\n", "MAIL FROM:")
	if client == NotMine && (v.ServerPort == 25 || v.ServerPort == 587) {
		client = saysAny(v.Client, "QUIT", "NOOP", "RSET", "HELP", "AUTH ", "VRFY ", "EXPN ", "STARTTLS")
	}
	alone := uint8(50) // FTP greets alike
	if line, _ := firstLine(v.Server, 512); bytes.Contains(line, []byte("SMTP")) || v.ServerPort == 25 || v.ServerPort == 587 {
		alone = 80
	}
	if client == Found {
		alone = 80
	}
	return both(client, startsAny(v.Server, "220 ", "220-", "554 ", "554-", "421 ", "421-"), r, alone)
}
