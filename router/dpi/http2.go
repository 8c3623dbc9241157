package dpi

import "github.com/trenza-router/trenza/router/flow"

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func http2Parser() Parser {
	return Parser{Protocol: HTTP2, Over: flow.ProtoTCP, Budget: maxHead, Read: readHTTP2}
}

// readHTTP2 reads HTTP/2 that a client speaks in the clear without asking first (RFC 9113 §3.3), as gRPC does: the :authority of the
// first request.
func readHTTP2(v *View, r *Result) Verdict {
	b := v.Client[:min(len(v.Client), maxHead)]
	n := min(len(b), len(preface))
	if string(b[:n]) != preface[:n] {
		return NotMine
	}
	if n < len(preface) {
		r.waits = n > 8
		if r.waits {
			return Likely
		}
		return Need
	}
	for rest := b[n:]; len(rest) >= 9; { // frames, RFC 9113 §4.1
		size, kind, flags := int(rest[0])<<16|int(rest[1])<<8|int(rest[2]), rest[3], rest[4]
		if kind == 1 && len(rest) >= 9+size {
			return readHeaders(rest[9:9+size], flags, r)
		}
		if 9+size > len(rest) {
			break
		}
		rest = rest[9+size:]
	}
	if len(b) == maxHead {
		return Found
	}
	r.waits = true
	return Likely
}

// readHeaders finds :authority in a HEADERS frame (RFC 9113 §6.2), else Host.
func readHeaders(b []byte, flags byte, r *Result) Verdict {
	const padded, priority = 0x08, 0x20
	if flags&padded != 0 {
		if len(b) == 0 || int(b[0]) >= len(b) {
			return Found
		}
		b = b[1 : len(b)-int(b[0])]
	}
	if flags&priority != 0 {
		b = b[min(5, len(b)):]
	}
	for len(b) > 0 {
		var name, value hpackString
		var index int
		var ok bool
		switch first := b[0]; {
		case first&0x80 != 0: // indexed: a field of the static table, none of which has a host
			_, b, ok = hpackInt(b, 7)
			if !ok {
				return Found
			}
			continue
		case first&0xe0 == 0x20: // size of the dynamic table
			if _, b, ok = hpackInt(b, 5); !ok {
				return Found
			}
			continue
		case first&0xc0 == 0x40:
			index, b, ok = hpackInt(b, 6)
		default:
			index, b, ok = hpackInt(b, 4)
		}
		if ok && index == 0 {
			name, b, ok = hpackText(b)
		}
		if ok {
			value, b, ok = hpackText(b)
		}
		if !ok {
			return Found
		}
		const authority, host = 1, 38 // RFC 7541 appendix A
		if (index == authority || index == host || name.is(":authority") || name.is("host")) && r.n == 0 {
			var text [len(r.host)]byte
			if n, ok := value.decode(text[:]); ok {
				keepAuthority(text[:n], r)
			}
		}
	}
	return Found
}
