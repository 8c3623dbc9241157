package resolver

import (
	"context"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/flow"
)

// refuse answers "no such name" where the client may not be given the name, with the reason for those that can show it (RFC 8914 §4.16,
// "Blocked"). nil: it may. The answer has no SOA, so that nobody keeps it and a rule that is lifted counts at once.
func (r *Resolver) refuse(ctx context.Context, client netip.AddrPort, q question, query *dns.Msg) *dns.Msg {
	if r.cfg.Refuse == nil {
		return nil
	}
	host, ok := flow.CleanHost(q.name)
	if !ok {
		return nil
	}
	reason, refused := r.cfg.Refuse(ctx, client, host)
	if !refused {
		return nil
	}
	r.stats.blocked.Add(1)
	m := reply(query, &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeNameError}})
	if o := m.IsEdns0(); o != nil {
		o.Option = append(o.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeBlocked, ExtraText: reason})
	}
	return m
}
