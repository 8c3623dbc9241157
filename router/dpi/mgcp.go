package dpi

import "bytes"

// MGCP (RFC 3435 §3.2): "VERB transaction endpoint MGCP 1.0", answered by "code transaction comment".
func readMGCP(v *View, r *Result) Verdict {
	b := v.Payload
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) < 5 || !isText(line) {
		return NotMine
	}
	if line[0] >= '0' && line[0] <= '9' {
		return mgcpResponse(line, v, r)
	}
	if !mgcpVerb(line[:4]) || line[4] != ' ' {
		return NotMine
	}
	if i := bytes.Index(line, []byte(" MGCP ")); i < 0 || !mgcpTransaction(line[5:i]) {
		return NotMine
	}
	return Found
}

func mgcpVerb(verb []byte) bool {
	switch string(verb) {
	case "EPCF", "CRCX", "MDCX", "DLCX", "RQNT", "NTFY", "AUEP", "AUCX", "RSIP", "MESG":
		return true
	}
	return false
}

// mgcpTransaction checks that b begins with a number of one to nine digits.
func mgcpTransaction(b []byte) bool {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n > 0 && n <= 9 && (n == len(b) || b[n] == ' ')
}

// mgcpResponse takes an answer for likely at the protocol's own ports: three digits and a number are little.
func mgcpResponse(line []byte, v *View, r *Result) Verdict {
	if (v.on(2427) || v.on(2727)) && statusLine(line, "") == Found && mgcpTransaction(line[4:]) {
		return maybe(r, 60)
	}
	return NotMine
}
