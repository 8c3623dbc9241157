package dpi

import "bytes"

// SIP (RFC 3261 §7, and the methods of RFC 3262, 3265, 3311, 3428, 3515, 3903 and 6086), over UDP and TCP.

// lineBudget bounds the first line of SIP and RTSP.
const lineBudget = 2 << 10

func readSIP(v *View, r *Result) Verdict {
	b := v.Payload
	if isKeepAlive(b) && len(v.Heads) < 3 && v.hasPort(5060, 5061) {
		return Need
	}
	if sipLine(b, r) != Found {
		return NotMine
	}
	return Found
}

// isKeepAlive: clients behind a NAT send empty lines (RFC 5626 §4.4.1), and some send zeros.
func isKeepAlive(b []byte) bool {
	return len(b) <= 8 && (len(bytes.Trim(b, "\r\n")) == 0 || len(bytes.Trim(b, "\x00")) == 0)
}

func readSIPStream(v *View, r *Result) Verdict { return opening(v, r, sipLine) }

// sipLine reads "METHOD uri SIP/2.0" or "SIP/2.0 code reason"; empty lines may come before (RFC 3261 §7.5).
func sipLine(b []byte, r *Result) Verdict {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	if status := statusLine(b, "SIP/2.0 "); status != NotMine {
		return status
	}
	target, verdict := requestLine(b, sipMethod, "SIP/2.0")
	if verdict != Found {
		return verdict
	}
	scheme := bytes.IndexByte(target, ':')
	if scheme < 2 || scheme > 4 {
		return NotMine
	}
	target = target[scheme+1:]
	if at := bytes.IndexByte(target, '@'); at >= 0 {
		target = target[at+1:]
	}
	if end := bytes.IndexAny(target, ";?>"); end >= 0 {
		target = target[:end]
	}
	keepAddress(target, SourceSIP, r)
	return Found
}

func sipMethod(name []byte) bool {
	switch string(name) {
	case "INVITE", "ACK", "OPTIONS", "BYE", "CANCEL", "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "INFO", "REFER", "MESSAGE", "UPDATE":
		return true
	}
	return false
}

// statusLine reads a version and a code of three digits: "SIP/2.0 200 ".
func statusLine(b []byte, version string) Verdict {
	if verdict := starts(b, version); verdict != Found {
		return verdict
	}
	b = b[len(version):]
	for i, c := range b[:min(len(b), 3)] {
		if c < '0' || c > '9' || i == 0 && (c == '0' || c > '6') {
			return NotMine
		}
	}
	switch {
	case len(b) < 4:
		return Need
	case b[3] != ' ' && b[3] != '\r':
		return NotMine
	}
	return Found
}

const longestMethod = 16

// requestLine reads a line "METHOD target" and the version after it, as far as it goes.
func requestLine(b []byte, known func(method []byte) bool, version string) (target []byte, verdict Verdict) {
	space := bytes.IndexByte(b[:min(len(b), longestMethod)], ' ')
	method := b[:min(len(b), longestMethod)]
	if space >= 0 {
		method = b[:space]
	}
	for _, c := range method {
		if (c < 'A' || c > 'Z') && c != '_' {
			return nil, NotMine
		}
	}
	switch {
	case space < 0 && len(b) >= longestMethod:
		return nil, NotMine
	case space < 0:
		return nil, Need
	case !known(method):
		return nil, NotMine
	}
	b = b[space+1:]
	end := bytes.IndexByte(b[:min(len(b), lineBudget-longestMethod-2)], '\n')
	if end < 0 {
		if !isText(b) || len(b) >= lineBudget-longestMethod-2 {
			return nil, NotMine
		}
		return nil, Need
	}
	line := bytes.TrimSuffix(b[:end], []byte("\r"))
	space = bytes.IndexByte(line, ' ')
	if space <= 0 || string(line[space+1:]) != version || !isText(line) {
		return nil, NotMine
	}
	return line[:space], Found
}

// isText refuses bytes that no line of text has; names may be in UTF-8.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// keepAddress keeps the host of "host", "host:port" or "host:port/path". A literal address is no host name.
func keepAddress(b []byte, from Source, r *Result) {
	if len(b) > 0 && b[0] == '[' {
		return
	}
	if end := bytes.IndexAny(b, ":/"); end >= 0 {
		b = b[:end]
	}
	if len(b) <= len(r.host) {
		if r.keepHost(copy(r.host[:], b)); r.n > 0 {
			r.Source = from
		}
	}
}
