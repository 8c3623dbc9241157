package internet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// maxChain bounds how many aliases in a row an answer follows.
const maxChain = 8

// negativeTTL is how long a resolver may remember that something does not exist, in seconds (RFC 2308).
const negativeTTL = 10

// zone answers for the table of names, as if it were the whole DNS.
type zone map[string]Name

func newZone(names []Name) zone {
	z := make(zone, len(names))
	for _, n := range names {
		z[n.Host] = n
	}
	return z
}

// answer makes the response to a query. It is pure; size limits are the transport's.
func (z zone) answer(query *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(query)
	m.Authoritative, m.RecursionAvailable = true, true
	if query.Opcode != dns.OpcodeQuery {
		m.Rcode = dns.RcodeNotImplemented
		return m
	}
	if len(query.Question) != 1 {
		m.Rcode = dns.RcodeFormatError
		return m
	}
	q := query.Question[0]
	if q.Qclass != dns.ClassINET || q.Qtype == dns.TypeANY || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		m.Rcode = dns.RcodeRefused
		return m
	}
	owner := q.Name // keeps the letter case of the question (0x20) for the first owner
	name, ok := z[strings.ToLower(strings.TrimSuffix(q.Name, "."))]
	if !ok {
		if !z.encloses(q.Name) {
			m.Rcode = dns.RcodeNameError
		}
		m.Ns = append(m.Ns, soa())
		return m
	}
	for step := 0; name.CNAME != "" && q.Qtype != dns.TypeCNAME && step < maxChain; step++ {
		m.Answer = append(m.Answer, cname(owner, name))
		owner = dns.Fqdn(name.CNAME)
		name = z[name.CNAME]
	}
	before := len(m.Answer)
	m.Answer = append(m.Answer, name.records(owner, q.Qtype)...)
	if len(m.Answer) == before {
		m.Ns = append(m.Ns, soa())
	}
	return m
}

// encloses tells whether a name without records has names below it: it then exists, without data (RFC 8020).
func (z zone) encloses(fqdn string) bool {
	suffix := "." + strings.ToLower(strings.TrimSuffix(fqdn, "."))
	for host := range z {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return fqdn == "."
}

func (n Name) records(owner string, qtype uint16) []dns.RR {
	head := dns.RR_Header{Name: owner, Rrtype: qtype, Class: dns.ClassINET, Ttl: n.TTL}
	var out []dns.RR
	switch qtype {
	case dns.TypeA:
		for _, a := range n.V4 {
			out = append(out, &dns.A{Hdr: head, A: a.AsSlice()})
		}
	case dns.TypeAAAA:
		for _, a := range n.V6 {
			out = append(out, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	case dns.TypeCNAME:
		if n.CNAME != "" {
			out = append(out, cname(owner, n))
		}
	case dns.TypeHTTPS:
		if n.HTTPS != nil {
			out = append(out, n.https(head))
		}
	}
	return out
}

func (n Name) https(head dns.RR_Header) dns.RR {
	rr := &dns.HTTPS{SVCB: dns.SVCB{Hdr: head, Priority: 1, Target: "."}}
	if n.HTTPS.Target != "" {
		rr.Priority, rr.Target = 0, dns.Fqdn(n.HTTPS.Target)
		return rr
	}
	if len(n.HTTPS.ALPN) > 0 {
		rr.Value = append(rr.Value, &dns.SVCBAlpn{Alpn: n.HTTPS.ALPN})
	}
	if n.HTTPS.Hints && len(n.V4) > 0 {
		rr.Value = append(rr.Value, &dns.SVCBIPv4Hint{Hint: ipList(n.V4)})
	}
	if n.HTTPS.Hints && len(n.V6) > 0 {
		rr.Value = append(rr.Value, &dns.SVCBIPv6Hint{Hint: ipList(n.V6)})
	}
	return rr
}

func ipList(addrs []netip.Addr) []net.IP {
	out := make([]net.IP, len(addrs))
	for i, a := range addrs {
		out[i] = a.AsSlice()
	}
	return out
}

func cname(owner string, n Name) dns.RR {
	return &dns.CNAME{
		Hdr:    dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: n.TTL},
		Target: dns.Fqdn(n.CNAME),
	}
}

func soa() dns.RR {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: negativeTTL},
		Ns:  "a.root-servers.net.", Mbox: "nstld.verisign-grs.com.",
		Serial: 1, Refresh: 1800, Retry: 900, Expire: 604800, Minttl: negativeTTL,
	}
}

// dnsHandler answers from the zone and records each question.
type dnsHandler struct {
	zone zone
	rec  *Recorder
}

// respond answers a query of either transport, in at most size bytes.
func (h dnsHandler) respond(query *dns.Msg, proto string, size int, local, remote netip.AddrPort) *dns.Msg {
	m := h.zone.answer(query)
	if len(query.Question) == 1 {
		q := query.Question[0]
		h.rec.Add(wire.Seen{
			Proto: proto, Name: strings.TrimSuffix(strings.ToLower(q.Name), "."), Tag: dns.TypeToString[q.Qtype],
			Local: local, Remote: remote, Detail: dns.RcodeToString[m.Rcode],
		})
	}
	if query.IsEdns0() != nil {
		m.SetEdns0(dns.DefaultMsgSize, false)
	}
	m.Truncate(size)
	return m
}

// ServeDNS implements dns.Handler for TCP.
func (h dnsHandler) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	m := h.respond(query, wire.ProtoDNSTCP, dns.MaxMsgSize, addrPort(w.LocalAddr()), addrPort(w.RemoteAddr()))
	_ = w.WriteMsg(m) // the client is gone or its network is: it asks again
}

// datagram answers one query over UDP. It has its own loop because the server of miekg/dns does not tell which of the
// addresses of a wildcard socket was asked.
func (h dnsHandler) datagram(b []byte, local, remote netip.AddrPort) []byte {
	query := new(dns.Msg)
	if query.Unpack(b) != nil || query.Response {
		return nil
	}
	size := dns.MinMsgSize
	if opt := query.IsEdns0(); opt != nil {
		size = max(size, int(min(opt.UDPSize(), dns.DefaultMsgSize)))
	}
	answer, err := h.respond(query, wire.ProtoDNSUDP, size, local, remote).Pack()
	if err != nil {
		return nil // a question that cannot be repeated in an answer
	}
	return answer
}

// serveDNS runs a DNS server over TCP until ctx ends.
func serveDNS(ctx context.Context, srv *dns.Server) error {
	done := make(chan error, 1)
	started := make(chan struct{})
	srv.NotifyStartedFunc = func() { close(started) }
	go func() { done <- srv.ActivateAndServe() }()
	select {
	case err := <-done:
		return err
	case <-started:
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		expired, cancel := context.WithCancel(context.Background())
		cancel() // do not wait for open queries
		_ = srv.ShutdownContext(expired)
		if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}
