package wire

import (
	"net/netip"
	"time"
)

// The protocols that a server reports in Seen.Proto.
const (
	ProtoDNSUDP  = "dns-udp"
	ProtoDNSTCP  = "dns-tcp"
	ProtoTLS     = "tls" // a TLS handshake over TCP; the requests inside are reported on their own
	ProtoHTTP1   = "http/1.1"
	ProtoHTTP2   = "h2"
	ProtoHTTP3   = "h3"
	ProtoTCP     = "tcp" // the greeting TCP echo server
	ProtoUDPEcho = "udp-echo"
	ProtoGame    = "game"
	ProtoStream  = "stream" // throughput sink and source
)

// TagHeader is the HTTP request header in which a client states its tag. The query parameter `tag` does the same.
const TagHeader = "X-Lab-Tag"

// MaxTag is the greatest length of a tag in bytes; servers cut longer ones.
const MaxTag = 128

// Seen is what a server saw of one connection, request or datagram. The source address is the one after all
// address translation on the way: it tells which link the flow took.
type Seen struct {
	// Seq numbers all records of one server process from 1, without gaps.
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	// Proto is one of the Proto constants.
	Proto string `json:"proto"`
	// Name is what the client called the server: SNI, HTTP Host, DNS question (without the final dot). May be empty.
	Name   string         `json:"name,omitempty"`
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
	// SNI and ALPN are those of the TLS handshake, empty without TLS.
	SNI  string `json:"sni,omitempty"`
	ALPN string `json:"alpn,omitempty"`
	// TLS is the version of the handshake, such as "TLS 1.3"; empty without TLS.
	TLS string `json:"tls,omitempty"`
	// Tag is what the client chose to be found by; for DNS it is the question type, such as "AAAA".
	Tag string `json:"tag,omitempty"`
	// Detail is the HTTP method and path, the direction of a stream, and the like.
	Detail string `json:"detail,omitempty"`
}

// CutTag bounds a tag that a client sent.
func CutTag(tag string) string {
	if len(tag) > MaxTag {
		return tag[:MaxTag]
	}
	return tag
}

// Unmapped returns an address:port with an IPv4-mapped IPv6 address turned into plain IPv4 and without a zone, so that
// two records of the same peer compare equal.
func Unmapped(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// Answer is the JSON body of an HTTP server's answer.
type Answer struct {
	Seen
	// Outcome is what became of an uploaded stream.
	Outcome *Outcome `json:"outcome,omitempty"`
}

// SourceHeader is the HTTP response header with the source address:port that the server saw, on every answer.
const SourceHeader = "X-Lab-Source"

// SeenHeader is the HTTP response header with a Seen in JSON when the body is a stream.
const SeenHeader = "X-Lab-Seen"
