package dpi

import (
	"bytes"

	"github.com/trenza-router/trenza/router/flow"
)

// maxHead bounds the head of a request, maxMethod the method's name.
const (
	maxHead   = 16 << 10
	maxMethod = 20
)

func httpParser() Parser {
	return Parser{Protocol: HTTP, Over: flow.ProtoTCP, Budget: maxHead, Read: readHTTP}
}

// readHTTP reads the head of the first HTTP/1 request (RFC 9112) and finds its host: the authority of an absolute target or of
// CONNECT, else the Host field. A connection of which only the server was seen shows its answer.
func readHTTP(v *View, r *Result) Verdict {
	if len(v.Client) == 0 {
		return readResponse(v.Server, r)
	}
	head := v.Client[:min(len(v.Client), maxHead)]
	fields, verdict := readRequestLine(head, r)
	if verdict != Found {
		r.waits = r.waits && len(head) < maxHead
		return verdict
	}
	for {
		end := bytes.IndexByte(fields, '\n')
		if end < 0 {
			break
		}
		line := fields[:end]
		fields = fields[end+1:]
		if end > 0 && line[end-1] == '\r' {
			line = line[:end-1]
		}
		if len(line) == 0 {
			return Found
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue // an obsolete continuation of the line before (RFC 9112 §5.2)
		}
		if !readField(line, r) {
			return NotMine
		}
	}
	if len(head) == maxHead {
		return Found
	}
	r.waits = true
	return Likely
}

// readRequestLine goes through "METHOD target HTTP/1.x CR LF" and returns what follows it.
func readRequestLine(b []byte, r *Result) (fields []byte, v Verdict) {
	at := 0
	for at < len(b) && (b[at] >= 'A' && b[at] <= 'Z' || b[at] == '-' && at > 0) {
		at++
	}
	if at > maxMethod || at < len(b) && (b[at] != ' ' || at < 3) {
		return nil, NotMine
	}
	if at++; at >= len(b) {
		return nil, Need
	}
	method, start := b[:at-1], at
	for at < len(b) && b[at] > ' ' && b[at] != 0x7f {
		at++
	}
	target := b[start:at]
	if at == len(b) {
		if r.waits = len(target) > 0 && target[0] == '/' && knownMethod(method); r.waits {
			return nil, Likely
		}
		return nil, Need
	}
	if b[at] != ' ' || len(target) == 0 {
		return nil, NotMine
	}
	const version = "HTTP/1."
	rest := b[at+1:]
	if n := min(len(rest), len(version)); string(rest[:n]) != version[:n] {
		return nil, NotMine
	}
	if len(rest) <= len(version) {
		return nil, Need
	}
	if rest = rest[len(version):]; rest[0] < '0' || rest[0] > '9' {
		return nil, NotMine
	}
	rest = rest[1:]
	if len(rest) > 0 && rest[0] == '\r' {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		r.waits = true
		return nil, Likely
	}
	if rest[0] != '\n' {
		return nil, NotMine
	}
	if isAnnounce(target) && string(method) == "GET" {
		r.Protocol = BitTorrent
	}
	readTarget(method, target, r)
	return rest[1:], Found
}

func knownMethod(m []byte) bool {
	switch string(m) {
	case "GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS":
		return true
	}
	return false
}

// isAnnounce tells a client of BitTorrent at its tracker (BEP 3, "Trackers"; BEP 48): the hash of a torrent, as the first parameter or after
// those of the tracker's user.
func isAnnounce(target []byte) bool {
	i := bytes.IndexByte(target, '?')
	if i < 0 {
		return false
	}
	path, query := target[:i], target[i+1:]
	return (bytes.HasSuffix(path, []byte("/announce")) || bytes.HasSuffix(path, []byte("/scrape"))) &&
		(bytes.HasPrefix(query, []byte("info_hash=")) || bytes.Contains(query, []byte("&info_hash=")))
}

// readTarget keeps the host of a target that names one: it prevails over the Host field (RFC 9112 §3.2.2).
func readTarget(method, target []byte, r *Result) {
	if target[0] == '/' {
		return
	}
	if string(method) == "CONNECT" {
		r.inner = true
		keepAuthority(target, r)
		return
	}
	i := bytes.Index(target[:min(len(target), 8)], []byte("://"))
	if i <= 0 {
		return
	}
	rest := target[i+3:]
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if at := bytes.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	keepAuthority(rest, r)
}

// readField judges one line of the head: only two are of use.
func readField(line []byte, r *Result) bool {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return false
	}
	switch name := line[:colon]; {
	case isWord(name, "host"):
		if r.n == 0 {
			keepAuthority(bytes.Trim(line[colon+1:], " \t"), r)
		}
	case isWord(name, "upgrade"):
		if isWord(bytes.Trim(line[colon+1:], " \t"), "websocket") {
			r.Protocol = WebSocket
		}
	}
	return true
}

// isWord compares without regard to case; word is in lower case letters.
func isWord(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if c|0x20 != word[i] {
			return false
		}
	}
	return true
}

// keepAuthority keeps the host of "host" or "host:port".
func keepAuthority(b []byte, r *Result) {
	if i := bytes.LastIndexByte(b, ':'); i >= 0 && len(b)-i <= maxPort && b[len(b)-1] != ']' {
		b = b[:i]
	}
	if len(b) > 0 && len(b) <= len(r.host) {
		if r.keepHost(copy(r.host[:], b)); r.n == 0 && isLiteral(b) {
			r.n, r.Literal = copy(r.host[:], bytes.Trim(b, "[]")), true
		}
		if r.n > 0 {
			r.Source = SourceHTTP
		}
	}
}

// isLiteral tells whether a host is an address: four numbers, or anything of an IPv6 address's letters in brackets (RFC 3986 §3.2.2).
func isLiteral(b []byte) bool {
	if len(b) > 4 && b[0] == '[' && b[len(b)-1] == ']' {
		for _, c := range b[1 : len(b)-1] {
			if hex := c|0x20 >= 'a' && c|0x20 <= 'f'; !hex && c != ':' && c != '.' && (c < '0' || c > '9') {
				return false
			}
		}
		return bytes.IndexByte(b, ':') > 0
	}
	parts, number, digits := 1, 0, 0
	for _, c := range b {
		switch {
		case c == '.' && digits > 0:
			parts, number, digits = parts+1, 0, 0
		case c >= '0' && c <= '9' && digits < 3:
			number, digits = 10*number+int(c-'0'), digits+1
		default:
			return false
		}
		if number > 255 {
			return false
		}
	}
	return parts == 4 && digits > 0
}

// readResponse recognises the answer of a server whose client was not seen. It is never NotMine: the client's bytes decide.
func readResponse(b []byte, r *Result) Verdict {
	const start = "HTTP/1."
	if len(b) < len(start)+5 || string(b[:len(start)]) != start || b[len(start)+1] != ' ' || b[len(start)+2] < '1' || b[len(start)+2] > '5' {
		return Need
	}
	r.Confidence = 90
	return Likely
}

// RequestPath is the path, with its query, of the HTTP/1 request that a stream begins with (RFC 9112 §3.2); "" when there is none, or its
// line has not ended yet.
func RequestPath(stream []byte) string {
	var r Result
	if _, v := readRequestLine(stream[:min(len(stream), maxHead)], &r); v != Found {
		return ""
	}
	_, rest, _ := bytes.Cut(stream, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	if _, absolute, ok := bytes.Cut(target, []byte("://")); ok && target[0] != '/' {
		slash := bytes.IndexByte(absolute, '/')
		if slash < 0 {
			return "/"
		}
		target = absolute[slash:]
	}
	return string(target)
}
