package dpi

import "bytes"

// HTTP reads the head of the first HTTP/1 request of a TCP stream (RFC 9112) and finds its host: the authority of
// an absolute target, else the Host field.
type HTTP struct {
	result  Result
	verdict Verdict
	state   httpState
	line    [maxHTTPLine]byte // the start of the current line, or of the target
	n       int               // bytes kept of it
	method  int               // bytes of the method, then of the version
	read    int               // bytes of the client so far
	whole   bool              // the line fits
	fields  int
}

// maxHTTPHead bounds the head, maxHTTPLine what is kept of a line: "Host:" and the longest authority with white space to spare.
const (
	maxHTTPHead   = 16 << 10
	maxHTTPLine   = 320
	maxHTTPMethod = 20
)

type httpState uint8

const (
	httpMethod httpState = iota
	httpTarget
	httpVersion
	httpField
)

// NewHTTP makes a parser ready for a flow.
func NewHTTP() *HTTP {
	h := new(HTTP)
	h.Reset()
	return h
}

func (h *HTTP) Reset() {
	h.result.reset(SourceHTTP)
	h.verdict, h.state, h.method, h.read, h.fields = Need, httpMethod, 0, 0, 0
	h.newLine()
}

func (h *HTTP) newLine() { h.n, h.whole = 0, true }

func (h *HTTP) Result() *Result { return &h.result }

func (h *HTTP) Feed(dir Direction, b []byte) Verdict {
	if dir == FromServer {
		return h.verdict
	}
	for len(b) > 0 && h.verdict == Need {
		if h.read >= maxHTTPHead {
			h.verdict = NotMine
			break
		}
		if h.state == httpField {
			b = h.fieldBytes(b)
			continue
		}
		h.read++
		h.verdict = h.requestByte(b[0])
		b = b[1:]
	}
	return h.verdict
}

const httpVersionText = "HTTP/1."

// requestByte goes through "METHOD target HTTP/1.x CR LF".
func (h *HTTP) requestByte(c byte) Verdict {
	switch h.state {
	case httpMethod:
		switch {
		case c >= 'A' && c <= 'Z' || c == '-' && h.method > 0:
			h.method++
			return verdict(h.method <= maxHTTPMethod)
		case c == ' ' && h.method >= 3:
			h.state = httpTarget
			return Need
		}
		return NotMine
	case httpTarget:
		if c == ' ' && (h.n > 0 || !h.whole) {
			h.state, h.method = httpVersion, 0
			return Need
		}
		if c <= ' ' || c == 0x7f {
			return NotMine
		}
		h.keep(c)
		return Need
	}
	// httpVersion
	switch {
	case h.method < len(httpVersionText):
		if c != httpVersionText[h.method] {
			return NotMine
		}
	case h.method == len(httpVersionText):
		if c < '0' || c > '9' {
			return NotMine
		}
	case c == '\r' && h.method == len(httpVersionText)+1:
	case c == '\n':
		return h.request()
	default:
		return NotMine
	}
	h.method++
	return Need
}

func (h *HTTP) keep(c byte) {
	if h.n < len(h.line) {
		h.line[h.n] = c
		h.n++
	} else {
		h.whole = false
	}
}

// request judges the whole request line: an absolute target names the host and prevails over the Host field
// (RFC 9112 §3.2.2).
func (h *HTTP) request() Verdict {
	target := h.line[:h.n]
	whole := h.whole
	h.state = httpField
	h.newLine()
	if len(target) > 0 && target[0] == '/' {
		return Need
	}
	if i := bytes.Index(target, []byte("://")); i > 0 && i <= 5 {
		rest := target[i+3:]
		end := bytes.IndexAny(rest, "/?#")
		if end < 0 {
			if end = len(rest); !whole {
				return Need
			}
		}
		rest = rest[:end]
		if at := bytes.LastIndexByte(rest, '@'); at >= 0 {
			rest = rest[at+1:]
		}
		h.authority(rest)
		return Found
	}
	return Need // "*" of OPTIONS, the authority of CONNECT (its Host field says the same)
}

// fieldBytes takes bytes up to the end of a line, at most to the end of the budget, and returns the rest.
func (h *HTTP) fieldBytes(b []byte) []byte {
	n := min(len(b), maxHTTPHead-h.read)
	end := bytes.IndexByte(b[:n], '\n')
	if end >= 0 {
		n = end + 1
	}
	h.read += n
	part := b[:n]
	if end >= 0 {
		part = b[:end]
	}
	if kept := copy(h.line[h.n:], part); kept < len(part) {
		h.whole = false
		h.n += kept
	} else {
		h.n += kept
	}
	if end >= 0 {
		h.verdict = h.field()
	}
	return b[n:]
}

// field judges a whole line of the head.
func (h *HTTP) field() Verdict {
	line, whole := h.line[:h.n], h.whole
	h.newLine()
	if whole && len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	if len(line) == 0 {
		return Found // end of the head without a Host field
	}
	folded := line[0] == ' ' || line[0] == '\t' // an obsolete continuation of the line before (RFC 9112 §5.2)
	if h.fields++; folded {
		return verdict(h.fields > 1)
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 && whole || colon < 0 {
		return NotMine
	}
	if !isHostField(line[:colon]) {
		return Need
	}
	if whole {
		h.authority(bytes.Trim(line[colon+1:], " \t"))
	}
	return Found
}

func isHostField(name []byte) bool {
	return len(name) == 4 && name[0]|0x20 == 'h' && name[1]|0x20 == 'o' && name[2]|0x20 == 's' && name[3]|0x20 == 't'
}

// authority keeps the host of "host" or "host:port". A literal address is no host name and leaves the host empty.
func (h *HTTP) authority(b []byte) {
	if i := bytes.LastIndexByte(b, ':'); i >= 0 && len(b)-i <= maxPort {
		b = b[:i]
	}
	if len(b) <= len(h.result.host) {
		h.result.keepHost(copy(h.result.host[:], b))
	}
}
