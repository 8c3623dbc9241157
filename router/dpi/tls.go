package dpi

import (
	"bytes"

	"github.com/trenza-router/trenza/router/flow"
)

// Content types of TLS records (RFC 8446 §5.1) and the handshake messages that are looked at (§4).
const (
	recordChangeCipher = 20
	recordAlert        = 21
	recordHandshake    = 22
	recordData         = 23

	helloClient        = 1
	helloServer        = 2
	messageCertificate = 11
)

// maxRecord is the longest protected record (RFC 5246 §6.2.3); a plain one is shorter.
const maxRecord = 1<<14 + 2048

func tlsParser() Parser {
	return Parser{Protocol: TLS, Over: flow.ProtoTCP, Budget: maxStream, Read: readTLS}
}

// readTLS reads the hello at the start of what the client sent: server name, ALPN, encrypted hello. Where the client named no host, the
// server's certificate may (TLS 1.2 and older send it in the clear). A connection whose start was missed shows its records only.
func readTLS(v *View, r *Result) Verdict {
	if v.ServerPort == 853 {
		r.Protocol = DoT
	}
	if len(v.Client) == 0 {
		return readServerOnly(v, r)
	}
	if v.Client[0] != recordHandshake {
		if v.Client[0]&0x80 != 0 {
			return readSSLv2(v.Client, r)
		}
		return readRecords(v.Client, r)
	}
	message, verdict := handshake(v, v.Client)
	if verdict == NotMine || len(message) > 0 && message[0] != helloClient {
		if verdict == NotMine || message[0] != 16 { // ClientKeyExchange: the start was missed
			return NotMine
		}
		return readRecords(v.Client, r)
	}
	r.Source = SourceTLS
	switch hello := readHello(message, r); {
	case hello == NotMine:
		return NotMine
	case hello == Need:
		if len(message) < 6 {
			return Need
		}
		if verdict == Found { // the records hold something else after part of a hello
			return NotMine
		}
		r.waits = true
		return Likely
	}
	if r.ALPN.Has("dot") {
		r.Protocol = DoT
	}
	if r.n > 0 || r.ECH {
		return Found
	}
	r.Source = 0
	return certificateName(v, r)
}

// handshake joins the handshake messages at the start of a direction, which may be cut into records anywhere (RFC 8446 §5.1). Found: another
// kind of record follows, so that there is no more; Need: the stream ends before that; NotMine: these are no records. Messages
// in one record are not copied.
func handshake(v *View, b []byte) ([]byte, Verdict) {
	var first []byte
	joined := false
	for at := 0; ; {
		rest := b[at:]
		switch {
		case len(rest) > 0 && rest[0] != recordHandshake && at > 0:
			return first, Found
		case len(rest) > 0 && rest[0] != recordHandshake, len(rest) > 1 && rest[1] != 3, len(rest) > 2 && rest[2] > 4:
			return nil, NotMine
		case len(rest) < 5:
			return first, Need
		}
		size := int(rest[3])<<8 | int(rest[4])
		if size == 0 || size > maxRecord {
			return nil, NotMine
		}
		body := rest[5:min(len(rest), 5+size)]
		switch {
		case first == nil:
			first = body
		case !joined:
			room := v.needRoom()
			room.join = append(append(room.join[:0], first...), body...)
			first, joined = room.join, true
		default:
			v.room.join = append(first, body...)
			first = v.room.join
		}
		if at += 5 + size; at >= len(b) {
			return first, Need
		}
		if complete(first) {
			return first, Need
		}
	}
}

// complete tells whether a ClientHello or what else comes first has arrived in full. A server's flight is longer: its hello is
// only the first message.
func complete(b []byte) bool {
	return len(b) >= 4 && b[0] == helloClient && len(b) >= 4+messageSize(b)
}

func messageSize(b []byte) int { return int(b[1])<<16 | int(b[2])<<8 | int(b[3]) }

// readServerOnly judges a connection of which the client's side has not been seen, or not yet.
func readServerOnly(v *View, r *Result) Verdict {
	if len(v.Server) < 6 {
		return Need
	}
	if v.Server[0] == recordHandshake && v.Server[1] == 3 && v.Server[5] == helloServer {
		certificateName(v, r)
		return Likely
	}
	if readRecords(v.Server, r) == NotMine {
		return Need // the client's bytes decide
	}
	return Likely
}

// readRecords looks at the middle of a connection: a chain of records.
func readRecords(b []byte, r *Result) Verdict {
	chain := 0
	for len(b) > 0 && chain < 3 {
		if b[0] < recordChangeCipher || b[0] > recordData || len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
			return NotMine
		}
		if len(b) < 5 {
			break
		}
		size := int(b[3])<<8 | int(b[4])
		if size == 0 || size > maxRecord || b[0] == recordChangeCipher && size != 1 || b[0] == recordAlert && size < 2 {
			return NotMine
		}
		chain++
		b = b[min(len(b), 5+size):]
	}
	switch chain {
	case 0:
		return Need
	case 1:
		r.Confidence = 70
	case 2:
		r.Confidence = 90
	default:
		return Found
	}
	return Likely
}

// readSSLv2 recognises the hello that programs of the nineties wrapped for servers of SSL 2 (RFC 5246 appendix E.2).
func readSSLv2(b []byte, r *Result) Verdict {
	if len(b) > 2 && b[2] != helloClient || len(b) > 3 && b[3] != 3 && b[3] != 0 || len(b) > 4 && (b[3] == 3 && b[4] > 3 || b[3] == 0 && b[4] != 2) {
		return NotMine
	}
	if len(b) < 11 {
		return Need
	}
	size := int(b[0]&0x7f)<<8 | int(b[1])
	suites, session, challenge := int(b[5])<<8|int(b[6]), int(b[7])<<8|int(b[8]), int(b[9])<<8|int(b[10])
	if suites == 0 || suites%3 != 0 || session != 0 && session != 16 || challenge < 16 || challenge > 32 || size != 9+suites+session+challenge {
		return NotMine
	}
	r.Confidence = 90
	return Found
}

// fronts are names that only the outer side of encrypted hellos has: providers publish them for that and serve nothing else there.
func isFront(host []byte) bool {
	return bytes.Equal(host, []byte("cloudflare-ech.com")) || bytes.Equal(host, []byte("public.tls-ech.dev")) || bytes.Equal(host, []byte("cover.defo.ie"))
}
