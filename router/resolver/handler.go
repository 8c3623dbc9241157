package resolver

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/flow"
)

// ServeDNS answers one query of a client. The DNS server calls it on a goroutine for each.
func (r *Resolver) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	client := addrPortOf(w.RemoteAddr())
	network := w.RemoteAddr().Network()
	if r.health.ours(network + client.String()) {
		r.stats.loops.Add(1)
		if r.saidLoop.now(r.now()) {
			r.cfg.Log.Warn("a DNS query of ours came back: an upstream forwards to this router, or a redirect catches the router's own queries", "client", client)
		}
		return
	}
	if !r.limit.enter(client.Addr()) {
		r.stats.flooded.Add(1)
		if r.saidFlood.now(r.now()) {
			r.cfg.Log.Warn("a client sends more DNS queries than are answered at a time; some are refused", "client", client.Addr())
		}
		if !query.Response {
			r.send(w, client, network, query, tooMany(query))
		}
		return
	}
	defer r.limit.leave(client.Addr())
	if resp := r.Answer(r.base, client, query); resp != nil {
		r.send(w, client, network, query, resp)
	}
}

// tooMany is the answer to a query on top of what is served at a time. It is given rather than nothing so that the client need not wait for
// its own patience to end, and costs about the query's own bytes, so that nobody is flooded by way of it.
func tooMany(query *dns.Msg) *dns.Msg {
	m := reply(query, &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeRefused}})
	if o := m.IsEdns0(); o != nil {
		o.Option = append(o.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeProhibited, ExtraText: "too many queries at a time"})
	}
	return m
}

func (r *Resolver) send(w dns.ResponseWriter, client netip.AddrPort, network string, query, resp *dns.Msg) {
	fitInto(resp, query, network)
	if err := w.WriteMsg(resp); err != nil {
		r.cfg.Log.Debug("a DNS answer could not be sent", "client", client, "error", err)
	}
}

// fitInto cuts an answer to what the client can take (RFC 6891 §6.2.3); the client then asks over TCP.
func fitInto(resp, query *dns.Msg, network string) {
	size := dns.MaxMsgSize
	if network == "udp" {
		size = dns.MinMsgSize
		if o := query.IsEdns0(); o != nil {
			size = max(size, min(int(o.UDPSize()), ednsSize))
		}
	}
	resp.Truncate(size)
}

// Answer says what a client is to be told, and tells the Observer first. nil: nothing.
func (r *Resolver) Answer(ctx context.Context, client netip.AddrPort, query *dns.Msg) *dns.Msg {
	if query.Response {
		r.stats.malformed.Add(1)
		return nil
	}
	if rcode := r.judge(query); rcode != dns.RcodeSuccess {
		return reply(query, &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: rcode}})
	}
	r.stats.queries.Add(1)
	asked := query.Question[0]
	q := question{name: dns.CanonicalName(asked.Name), qtype: asked.Qtype, cd: query.CheckingDisabled}
	if o := query.IsEdns0(); o != nil {
		q.do = o.Do()
	}
	if q.qtype == dns.TypeANY { // RFC 8482 §4.2
		h := dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: 3600}
		return reply(query, &dns.Msg{Answer: []dns.RR{&dns.HINFO{Hdr: h, Cpu: "RFC8482"}}})
	}
	if m := r.local(q); m != nil {
		r.stats.local.Add(1)
		return reply(query, m)
	}
	if m := r.refuse(ctx, client, q, query); m != nil {
		return m
	}
	m := r.resolve(ctx, q)
	r.hold(ctx, client, q, m)
	return reply(query, m)
}

// judge refuses the kinds of query that are not served.
func (r *Resolver) judge(query *dns.Msg) int {
	o := query.IsEdns0()
	switch {
	case query.Opcode != dns.OpcodeQuery:
		r.stats.refused.Add(1)
		return dns.RcodeNotImplemented
	case len(query.Question) != 1 || query.Truncated:
		r.stats.malformed.Add(1)
		return dns.RcodeFormatError
	case o != nil && o.Version() != 0:
		return dns.RcodeBadVers
	}
	q := query.Question[0]
	if _, ok := dns.IsDomainName(q.Name); !ok {
		r.stats.malformed.Add(1)
		return dns.RcodeFormatError
	}
	switch q.Qtype {
	case dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeNone:
		r.stats.refused.Add(1)
		return dns.RcodeRefused
	}
	if q.Qclass != dns.ClassINET {
		r.stats.refused.Add(1)
		return dns.RcodeRefused
	}
	return dns.RcodeSuccess
}

// reply turns an answer into the message for this client: its id, its spelling of the name, what it may see. m is not used
// elsewhere.
func reply(query, m *dns.Msg) *dns.Msg {
	resp := m
	rcode, authentic := m.Rcode, m.AuthenticatedData
	resp.MsgHdr = dns.MsgHdr{
		Id: query.Id, Response: true, Opcode: query.Opcode, Rcode: rcode, Authoritative: m.Authoritative,
		RecursionDesired: query.RecursionDesired, RecursionAvailable: true, CheckingDisabled: query.CheckingDisabled,
	}
	resp.Question = query.Question
	resp.Compress = true
	resp.Extra = nil
	if len(query.Question) == 1 {
		for _, rr := range resp.Answer {
			if h := rr.Header(); strings.EqualFold(h.Name, query.Question[0].Name) {
				h.Name = query.Question[0].Name
			}
		}
	}
	o := query.IsEdns0()
	resp.AuthenticatedData = authentic && (query.AuthenticatedData || o != nil && o.Do()) // RFC 6840 §5.7
	if o != nil {
		resp.SetEdns0(ednsSize, o.Do())
	}
	return resp
}

// hold tells the Observer of the addresses in an answer and waits for it, at most cfg.Hold. This is done for cached answers too:
// each client needs an entry of its own.
func (r *Resolver) hold(ctx context.Context, client netip.AddrPort, q question, m *dns.Msg) {
	if r.cfg.Observer == nil || len(m.Answer) == 0 {
		return
	}
	host, ok := flow.CleanHost(q.name)
	addrs, ttl := addrsOf(m)
	if !ok || len(addrs) == 0 {
		return
	}
	select {
	case r.holds <- struct{}{}:
	default: // observers hang: the household's names come first
		r.stats.late.Add(1)
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { <-r.holds }()
		r.cfg.Observer(ctx, client, host, addrs, ttl)
	}()
	timer := time.NewTimer(r.cfg.Hold)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		r.stats.late.Add(1)
	}
}
