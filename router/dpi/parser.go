package dpi

import (
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

// Direction tells who sent a payload.
type Direction uint8

const (
	FromClient Direction = iota // who opened the flow
	FromServer
)

// Verdict is what a parser makes of the bytes so far.
type Verdict uint8

const (
	Need    Verdict = iota // can be mine; more bytes will tell
	Found                  // mine, and Result is complete
	NotMine                // not mine, broken, or over the budget; stays so until Reset
)

// Parser reads one protocol. Stream parsers (TCP) get the bytes of each direction in order, cut anywhere;
// datagram parsers (UDP) get one datagram a call, in any order. After Found or NotMine, Feed changes nothing.
type Parser interface {
	Feed(dir Direction, payload []byte) Verdict
	// Result is meaningful after Found. It points into the parser and is good until Reset.
	Result() *Result
	// Reset makes the parser ready for another flow.
	Reset()
}

// Source is the protocol that a name was read from.
type Source uint8

const (
	SourceTLS Source = iota + 1
	SourceHTTP
	SourceQUIC
)

func (s Source) String() string {
	switch s {
	case SourceTLS:
		return "tls"
	case SourceHTTP:
		return "http"
	case SourceQUIC:
		return "quic"
	}
	return "unknown"
}

// Result is what a parser read. Host is in the form of flow.CleanHost, or empty when the client named none.
type Result struct {
	Source Source
	ALPN   ALPN
	// ECH: the hello carries an encrypted one (RFC 9849), so Host may be the outer name, which is that of the
	// front and not of the service. Browsers also send a decoy (GREASE) that looks the same; then Host is true. The
	// wire alone cannot tell them apart.
	ECH  bool
	host [flow.MaxHost + maxPort]byte
	n    int
}

// maxPort is the length of ":65535" and a final dot, which may follow a host name in HTTP.
const maxPort = 7

// Host returns the name in the parser's own memory.
func (r *Result) Host() []byte { return r.host[:r.n] }

// keepHost normalises the first n bytes of the host buffer and keeps them if they are a host name.
func (r *Result) keepHost(n int) { r.n = copy(r.host[:], flow.CleanHostBytes(r.host[:n])) }

func (r *Result) reset(s Source) {
	r.Source, r.ALPN, r.ECH, r.n = s, ALPN{}, false, 0
}

// ALPN is a list of application protocols in the order offered (RFC 7301), as a value: names of one length byte each.
// Names beyond its size are left out.
type ALPN struct {
	n int8
	b [47]byte
}

func (a *ALPN) add(name []byte) {
	if int(a.n)+1+len(name) > len(a.b) || len(name) == 0 {
		return
	}
	a.b[a.n] = byte(len(name))
	copy(a.b[a.n+1:], name)
	a.n += int8(1 + len(name))
}

// Has tells whether a protocol such as "h2" was offered.
func (a ALPN) Has(name string) bool {
	for b := a.b[:a.n]; len(b) > 0; b = b[1+b[0]:] {
		if string(b[1:1+b[0]]) == name {
			return true
		}
	}
	return false
}

// String joins the names with commas: "h2,http/1.1".
func (a ALPN) String() string {
	var s strings.Builder
	for b := a.b[:a.n]; len(b) > 0; b = b[1+b[0]:] {
		if s.Len() > 0 {
			s.WriteByte(',')
		}
		s.Write(b[1 : 1+b[0]])
	}
	return s.String()
}
