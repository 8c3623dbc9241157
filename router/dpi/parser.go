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
	NotMine                // not mine, broken, or over the budget; stays so
	Likely                 // looks like mine, but so could something else: counts when the reading ends and nothing better was found
)

// Source is the protocol that a name was read from.
type Source uint8

const (
	SourceTLS Source = iota + 1
	SourceHTTP
	SourceQUIC
	SourceDNS         // the first question
	SourceSOCKS       // what the proxy is asked for
	SourceCertificate // the server's, TLS 1.2 and older: one of the names it may answer for, not the one that was asked for
	SourceSIP
	SourceRTSP
)

func (s Source) String() string {
	switch s {
	case SourceTLS:
		return "tls"
	case SourceHTTP:
		return "http"
	case SourceQUIC:
		return "quic"
	case SourceDNS:
		return "dns"
	case SourceSOCKS:
		return "socks"
	case SourceCertificate:
		return "certificate"
	case SourceSIP:
		return "sip"
	case SourceRTSP:
		return "rtsp"
	}
	return "unknown"
}

// Result is what a parser read. Host is in the form of flow.CleanHost, a literal address, or empty when the client named none.
type Result struct {
	Protocol Protocol
	// Confidence is how sure Found (or Likely) is, 1 to 100: 95 for a proof by structure, 80 for a distinct pattern of a few bytes,
	// 60 for one that others could have by chance.
	Confidence uint8
	Source     Source // that Host was read from
	ALPN       ALPN
	// ECH: the hello carries an encrypted one (RFC 9849), so Host may be the outer name, which is that of the
	// front and not of the service. Browsers also send a decoy (GREASE) that looks the same; then Host is true. The
	// wire alone cannot tell them apart.
	ECH bool
	// Literal: Host is an address, which the client wrote where a name should stand.
	Literal bool
	// Front: Host is a name that only fronts of encrypted hellos have. The service behind it is hidden.
	Front bool
	waits bool // see Parser
	inner bool // a stream of its own follows, which may have a hello (CONNECT)
	host  [flow.MaxHost + maxPort]byte
	n     int
}

// maxPort is the length of ":65535" and a final dot, which may follow a host name in HTTP.
const maxPort = 7

// Host returns the name in the parser's own memory.
func (r *Result) Host() []byte { return r.host[:r.n] }

// keepHost normalises the first n bytes of the host buffer and keeps them if they are a host name.
func (r *Result) keepHost(n int) { r.n = copy(r.host[:], flow.CleanHostBytes(r.host[:n])) }

// reset prepares for a parser of the protocol. The name's bytes stay: what counts is their number.
func (r *Result) reset(p Protocol) {
	r.Protocol, r.Confidence, r.Source, r.n = p, proven, 0, 0
	r.ALPN.n, r.ECH, r.Literal, r.Front, r.waits, r.inner = 0, false, false, false, false, false
}

// proven is the confidence of a proof by structure.
const proven = 95

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
