package client

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// Env is what a host knows of its network.
type Env struct {
	// Resolv is the path of the host's resolv.conf (resolv.conf(5)), read anew for each name.
	Resolv string `json:"resolv"`
	// CA is the path of the lab CA's certificate, PEM, read anew for each connection.
	CA string `json:"ca"`
}

// Family chooses between IPv4 and IPv6.
type Family string

// The families. AnyFamily prefers IPv6 and falls back after 250 ms (RFC 8305).
const (
	AnyFamily Family = ""
	V4        Family = "v4"
	V6        Family = "v6"
)

// Target is where a flow goes and how its socket is made.
type Target struct {
	// Host is a name, or an address in text.
	Host string `json:"host"`
	// Addr is the address to use instead of asking DNS for Host.
	Addr netip.Addr `json:"addr,omitzero"`
	// Port has a default for each kind of job.
	Port   uint16 `json:"port,omitempty"`
	Family Family `json:"family,omitempty"`
	// DSCP is the differentiated services code point of all packets, 0 to 63 (RFC 2474).
	DSCP int `json:"dscp,omitempty"`
	// SourcePort and Source bind the socket; 0 and zero leave it to the kernel.
	SourcePort uint16     `json:"source_port,omitempty"`
	Source     netip.Addr `json:"source,omitzero"`
}

// Resolve asks the resolver one question.
type Resolve struct {
	Name string `json:"name"`
	// Type is a record type such as A, AAAA, HTTPS; default A.
	Type string `json:"type,omitempty"`
	// Server is asked instead of the resolver in Env.Resolv.
	Server netip.AddrPort `json:"server,omitzero"`
	// TCP asks over TCP at once; otherwise only after a truncated answer.
	TCP bool `json:"tcp,omitempty"`
}

// Resolved is the answer to a Resolve. A negative answer is an answer, not an error: see Rcode.
type Resolved struct {
	// Rcode is NOERROR, NXDOMAIN, REFUSED and so on.
	Rcode string       `json:"rcode"`
	Addrs []netip.Addr `json:"addrs,omitempty"`
	// Answers are all records of the answer section in presentation format.
	Answers []string       `json:"answers,omitempty"`
	TTL     uint32         `json:"ttl"` // the least of the answers, in seconds
	Server  netip.AddrPort `json:"server"`
	TCP     bool           `json:"tcp,omitempty"`
	Took    time.Duration  `json:"took_ns"`
}

// The HTTP versions for HTTP.Proto. AnyHTTP offers HTTP/2 and HTTP/1.1 over TLS.
const (
	AnyHTTP = ""
	HTTP1   = "http/1.1"
	HTTP2   = "h2"
	HTTP3   = "h3"
)

// HTTP is one request on a connection of its own. Port is 443 by default, 80 when Plain.
type HTTP struct {
	Target
	// Plain is HTTP without TLS.
	Plain bool `json:"plain,omitempty"`
	// Proto is one of the HTTP versions; the request fails when the server takes another.
	Proto string `json:"proto,omitempty"`
	// SNI is said in the handshake instead of Host; the certificate must then be of SNI.
	SNI    string `json:"sni,omitempty"`
	Method string `json:"method,omitempty"` // default GET
	Path   string `json:"path,omitempty"`   // default /
	// Tag is how the recorder will know the request.
	Tag string `json:"tag,omitempty"`
	// Stream makes the request a download or upload of a checked stream.
	Stream *wire.Order `json:"stream,omitempty"`
	// Timeout bounds one attempt up to the head of the answer, and with a Stream each time without a byte; default 10 s.
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	// Retries are further attempts after a failed one, each RetryDelay (default 250 ms) after the failure.
	Retries    int           `json:"retries,omitempty"`
	RetryDelay time.Duration `json:"retry_delay_ns,omitempty"`
}

// HTTPAnswer is what came of an HTTP request. With an error it has what the last attempt got to.
type HTTPAnswer struct {
	// Seen is what the server saw; zero when the answer is not from a server of the lab.
	Seen   wire.Seen      `json:"seen"`
	Status int            `json:"status"`
	Proto  string         `json:"proto"` // the version spoken: http/1.1, h2 or h3
	Addr   netip.AddrPort `json:"addr"`
	Local  netip.AddrPort `json:"local"`
	// Head and Body are the answer's, the body's first 64 KiB. Body is empty for a stream.
	Head map[string]string `json:"head,omitempty"`
	Body string            `json:"body,omitempty"`
	// Outcome is that of the stream.
	Outcome *wire.Outcome `json:"outcome,omitempty"`
	// The times of the last attempt: the name's answer, the connection (with QUIC the handshake too), the TLS
	// handshake, and the head of the answer, each from the end of the one before.
	ResolveTime time.Duration `json:"resolve_ns"`
	DialTime    time.Duration `json:"dial_ns"`
	TLSTime     time.Duration `json:"tls_ns"`
	AnswerTime  time.Duration `json:"answer_ns"`
	// Total is from the first attempt's start to the end.
	Total time.Duration `json:"total_ns"`
	// Failed are the attempts before the last one, and the last one too if it failed.
	Failed []Attempt `json:"failed,omitempty"`
}

// Attempt is a failed try.
type Attempt struct {
	At    time.Time      `json:"at"`
	Took  time.Duration  `json:"took_ns"`
	Addr  netip.AddrPort `json:"addr,omitzero"`
	Error string         `json:"error"`
	Cause Cause          `json:"cause"`
}

// Connect opens a TCP connection, or sends one datagram.
type Connect struct {
	Target
	// Network is tcp (default) or udp.
	Network string `json:"network,omitempty"`
	// Send goes out after the greeting, if there is one; over UDP it is the datagram.
	Send string `json:"send,omitempty"`
	// Wait is how long to wait for bytes of the server; default 2 s; negative does not wait.
	Wait    time.Duration `json:"wait_ns,omitempty"`
	Timeout time.Duration `json:"timeout_ns,omitempty"` // of the dial, default 10 s
}

// Connected is what came of a Connect.
type Connected struct {
	// Seen is the greeting of the lab's TCP server, zero for any other server.
	Seen     wire.Seen      `json:"seen"`
	Local    netip.AddrPort `json:"local"`
	Addr     netip.AddrPort `json:"addr"`
	DialTime time.Duration  `json:"dial_ns"`
	// Received are the first bytes after the greeting, at most 64 KiB; over UDP the answer.
	Received string `json:"received,omitempty"`
}

// Flood opens many TCP connections to the greeting server and counts the sources that it saw. Port is 7 by default.
type Flood struct {
	Target
	// Hosts are called in turn, if set, instead of Host.
	Hosts []string `json:"hosts,omitempty"`
	Count int      `json:"count"`
	// Parallel is how many are open at once; default 16.
	Parallel int           `json:"parallel,omitempty"`
	Tag      string        `json:"tag,omitempty"`
	Timeout  time.Duration `json:"timeout_ns,omitempty"` // of each connection, default 10 s
}

// Flooded is what came of a Flood.
type Flooded struct {
	Sources map[netip.Addr]int            `json:"sources"`
	ByHost  map[string]map[netip.Addr]int `json:"by_host"`
	Failed  int                           `json:"failed"`
	Errors  map[Cause]int                 `json:"errors,omitempty"`
	Took    time.Duration                 `json:"took_ns"`
}

// Transfer moves a checked stream over TCP to or from the throughput server. Port is 9000 by default.
type Transfer struct {
	Target
	wire.Order
	Timeout time.Duration `json:"timeout_ns,omitempty"` // of the dial, and of each time without a byte; default 30 s
}

// Transferred is what came of a Transfer.
type Transferred struct {
	Seen  wire.Seen      `json:"seen"`
	Addr  netip.AddrPort `json:"addr"`
	Local netip.AddrPort `json:"local"`
	// Outcome is the receiver's: ours after a download, the server's after an upload. When an upload breaks, it has
	// the bytes that were handed to the kernel.
	Outcome wire.Outcome `json:"outcome"`
	// Broken says that the connection did not live to the end of the stream.
	Broken bool `json:"broken"`
}

// Moved is the progress of a stream, about every 250 ms.
type Moved struct {
	Bytes   int64         `json:"bytes"`
	Elapsed time.Duration `json:"elapsed_ns"`
}
