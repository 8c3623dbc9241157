package dpi

import "bytes"

// readFTP reads the greeting and the first command of a control connection (RFC 959 §5.4, RFC 4217, RFC 7151).
func readFTP(v *View, r *Result) Verdict {
	client := saysAny(v.Client, "USER ", "AUTH TLS", "AUTH SSL", "AUTH GSSAPI", "FEAT\r\n", "SYST\r\n", "OPTS ", "PASS ", "HOST ", "CLNT ", "PBSZ ")
	if client == NotMine && v.ServerPort == 21 {
		client = saysAny(v.Client, "QUIT", "NOOP", "HELP", "STAT", "PWD", "XPWD", "TYPE ", "CWD ", "PASV", "EPSV", "PORT ", "LIST", "ACCT ", "AUTH ")
	}
	alone := v.ifPort(21, 80)
	if line, _ := firstLine(v.Server, 512); bytes.Contains(line, []byte("FTP")) {
		alone = 80
	} else if len(v.Client) == 0 {
		alone = max(alone, 45) // mail greets alike
	}
	return both(client, startsAny(v.Server, "220 ", "220-", "421 ", "421-", "120 "), r, alone)
}

// readFTPData reads a directory listing, which is the one thing on a data connection that shows what it is: the lines of
// LIST (RFC 959 §4.1.3) as "ls -l" writes them. Data go one way, so the other side is silent.
func readFTPData(v *View, r *Result) Verdict {
	data := v.Server
	if len(data) == 0 {
		data = v.Client
	} else if len(v.Client) > 0 {
		return NotMine
	}
	if verdict := listing(data); verdict != Found {
		return verdict
	}
	return maybe(r, 80)
}

// listing knows a line such as "drwxr-xr-x " and the "total 12" that may come before.
func listing(b []byte) Verdict {
	if v := starts(b, "total "); v == Need {
		return Need
	} else if v == Found {
		_, v := firstLine(b, 32)
		if v != Found {
			return v
		}
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	const mode = "-rwxrwxrwx"
	for i, c := range b[:min(len(b), len(mode))] {
		switch {
		case i == 0 && (c == 'd' || c == '-' || c == 'l'):
		case i > 0 && (c == mode[i] || c == '-' || i%3 == 0 && (c == 's' || c == 't' || c == 'S' || c == 'T')):
		default:
			return NotMine
		}
	}
	if len(b) <= len(mode) {
		return Need
	}
	return foundIf(b[len(mode)] == ' ' || b[len(mode)] == '+' || b[len(mode)] == '.')
}
