package dpi

// maxIMAPTag is the longest tag of a command that is read.
const maxIMAPTag = 24

// readIMAP reads the greeting and the first tagged command (RFC 9051 §2.2.1, §7.1).
func readIMAP(v *View, r *Result) Verdict {
	alone := v.ifPort(143, 80)
	if len(v.Client) == 0 {
		alone = 80
	}
	return both(imapCommand(v.Client), startsAny(v.Server, "* OK", "* PREAUTH", "* BYE"), r, alone)
}

func imapCommand(b []byte) Verdict {
	for i, c := range b[:min(len(b), maxIMAPTag)] {
		switch {
		case c == ' ' && i > 0:
			return saysAny(b[i+1:], "CAPABILITY\r\n", "LOGIN ", "AUTHENTICATE ", "STARTTLS\r\n", "ID ", "NOOP\r\n", "LOGOUT\r\n", "SELECT ",
				"EXAMINE ", "NAMESPACE\r\n", "LIST ", "ENABLE ", "COMPRESS ")
		case c <= ' ' || c >= 0x7f || c == '*' || c == '"' || c == '{' || c == '(' || c == '+':
			return NotMine
		}
	}
	if len(b) >= maxIMAPTag {
		return NotMine
	}
	return Need
}
