package resolver

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// fit tells how a message from an upstream fits what was asked.
type fit uint8

const (
	foreign   fit = iota // not the answer to this query: noise, or someone guessing
	otherCase            // the answer, but the name's case was not kept (0x20)
	fits
)

// match compares a message with the query it should answer (RFC 5452 §9.1).
func match(query, resp *dns.Msg) fit {
	if resp.Id != query.Id || !resp.Response || resp.Opcode != dns.OpcodeQuery {
		return foreign
	}
	if resp.Rcode == dns.RcodeFormatError && len(resp.Question)+len(resp.Answer) == 0 {
		return fits // what did not understand the question need not repeat it; no harm is in it
	}
	if len(resp.Question) != 1 {
		return foreign
	}
	q, a := query.Question[0], resp.Question[0]
	switch {
	case a.Qtype != q.Qtype || a.Qclass != q.Qclass || !strings.EqualFold(a.Name, q.Name):
		return foreign
	case a.Name != q.Name:
		return otherCase
	}
	return fits
}

// maxChain bounds the aliases followed in one answer.
const maxChain = 16

// maxAddrs bounds the addresses of one answer that are learned.
const maxAddrs = 64

// cleaned is an answer that may be given to clients.
type cleaned struct {
	msg *dns.Msg
	ttl time.Duration // 0: must not be kept
}

// clean keeps of an upstream's answer what answers the question: the records of the name and of its aliases, and in the
// authority section what says how long a "no" holds. Everything else could be poison and nobody asked for it. Names equal to
// the queried one are written as q has it. Addresses of the house are removed unless rebind says they may stay; removed counts them.
// An answer of which something was removed is not told as authentic: no signature fits it.
func (r *Resolver) clean(q question, resp *dns.Msg) (c cleaned, removed int) {
	out := new(dns.Msg)
	out.Response, out.RecursionDesired, out.RecursionAvailable = true, true, true
	out.Rcode, out.AuthenticatedData, out.CheckingDisabled = resp.Rcode, resp.AuthenticatedData, q.cd
	out.Question = []dns.Question{{Name: q.name, Qtype: q.qtype, Qclass: dns.ClassINET}}

	chain := chainOf(q, resp.Answer)
	changed := false
	mayRebind := r.cfg.AllowRebind || r.rebindAllowed(q.name)
	for _, rr := range resp.Answer {
		h := rr.Header()
		if !inChain(chain, rr) || !wanted(q, h.Rrtype) {
			continue
		}
		if !mayRebind {
			n := stripInside(rr)
			if removed += n; n > 0 && (h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA) {
				continue
			}
		}
		if r.cfg.StripECH && stripECH(rr) {
			changed = true
		}
		if strings.EqualFold(h.Name, q.name) {
			h.Name = q.name
		}
		out.Answer = append(out.Answer, rr)
	}
	for _, rr := range resp.Ns {
		if belongs(chain, rr) && (rr.Header().Rrtype == dns.TypeSOA || q.do && isProof(rr.Header().Rrtype)) {
			out.Ns = append(out.Ns, rr)
		}
	}
	out.AuthenticatedData = out.AuthenticatedData && !changed && removed == 0
	return cleaned{msg: out, ttl: r.lifetime(out)}, removed
}

// chainOf lists the names that the answer is about, in lower case: the queried one and what its aliases lead to.
func chainOf(q question, answer []dns.RR) []string {
	chain := []string{q.name}
	for grown := true; grown && len(chain) < maxChain; {
		grown = false
		for _, rr := range answer {
			alias, ok := rr.(*dns.CNAME)
			if !ok || rr.Header().Class != dns.ClassINET || !slices.Contains(chain, dns.CanonicalName(alias.Hdr.Name)) {
				continue
			}
			if target := dns.CanonicalName(alias.Target); !slices.Contains(chain, target) && len(chain) < maxChain {
				chain, grown = append(chain, target), true
			}
		}
	}
	return chain
}

// inChain tells whether a record belongs to a name of the chain; a DNAME belongs when it is above one (RFC 6672).
func inChain(chain []string, rr dns.RR) bool {
	h := rr.Header()
	if h.Class != dns.ClassINET {
		return false
	}
	owner := dns.CanonicalName(h.Name)
	if slices.Contains(chain, owner) {
		return true
	}
	sig, ok := rr.(*dns.RRSIG)
	if h.Rrtype != dns.TypeDNAME && !(ok && sig.TypeCovered == dns.TypeDNAME) {
		return false
	}
	return slices.ContainsFunc(chain, func(name string) bool { return dns.IsSubDomain(owner, name) })
}

// belongs tells whether an authority record is of a zone that a name of the chain lies in. The owner of an NSEC3 is a hash
// below that zone, that of an NSEC may be a sibling.
func belongs(chain []string, rr dns.RR) bool {
	owner := dns.CanonicalName(rr.Header().Name)
	kind := rr.Header().Rrtype
	if sig, ok := rr.(*dns.RRSIG); ok {
		kind = sig.TypeCovered
	}
	if kind == dns.TypeNSEC || kind == dns.TypeNSEC3 {
		_, owner, _ = strings.Cut(owner, ".")
		owner = dns.Fqdn(owner)
	}
	return rr.Header().Class == dns.ClassINET &&
		slices.ContainsFunc(chain, func(name string) bool { return dns.IsSubDomain(owner, name) })
}

func wanted(q question, rrtype uint16) bool {
	switch rrtype {
	case q.qtype, dns.TypeCNAME, dns.TypeDNAME:
		return true
	case dns.TypeRRSIG:
		return q.do
	}
	return false
}

func isProof(rrtype uint16) bool {
	return rrtype == dns.TypeNSEC || rrtype == dns.TypeNSEC3 || rrtype == dns.TypeRRSIG
}

// lifetime brings all TTLs between MinTTL and MaxTTL and says how long the answer may be kept: the shortest of its records;
// for a "no" what the SOA says (RFC 2308 §5), at most three hours, and nothing without a SOA.
func (r *Resolver) lifetime(m *dns.Msg) time.Duration {
	clamp := func(h *dns.RR_Header) time.Duration {
		ttl := time.Duration(h.Ttl) * time.Second
		if h.Ttl > 1<<31-1 { // RFC 2181 §8
			ttl = 0
		}
		ttl = min(max(ttl, r.cfg.MinTTL), r.cfg.MaxTTL)
		h.Ttl = uint32(ttl / time.Second)
		return ttl
	}
	shortest := r.cfg.MaxTTL
	positive := false
	for _, rr := range m.Answer {
		shortest = min(shortest, clamp(rr.Header()))
		positive = positive || rr.Header().Rrtype == m.Question[0].Qtype
	}
	soa := false
	for _, rr := range m.Ns {
		ttl := clamp(rr.Header())
		if s, ok := rr.(*dns.SOA); ok {
			soa = true
			ttl = max(min(ttl, time.Duration(s.Minttl)*time.Second, 3*time.Hour), r.cfg.MinTTL)
			s.Hdr.Ttl = uint32(ttl / time.Second)
		}
		shortest = min(shortest, ttl)
	}
	if !positive && !soa {
		return 0
	}
	return shortest
}

// rebindAllowed tells whether a name may have addresses of the house.
func (r *Resolver) rebindAllowed(name string) bool {
	return slices.ContainsFunc(r.cfg.RebindNames, func(d string) bool { return dns.IsSubDomain(d, name) })
}

// inside tells whether an address is one of a house or of the router itself, which no name of the internet should have: a web page
// could reach them by its own name.
func inside(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.Is4() && a.As4()[0] == 0
}

// stripInside counts the addresses of the house in a record and removes them from the hints of an HTTPS or SVCB record.
func stripInside(rr dns.RR) (n int) {
	switch rr := rr.(type) {
	case *dns.A, *dns.AAAA:
		if a, ok := addrOf(rr); ok && inside(a) {
			n++
		}
	case *dns.HTTPS:
		rr.Value, n = stripHints(rr.Value)
	case *dns.SVCB:
		rr.Value, n = stripHints(rr.Value)
	}
	return n
}

func stripHints(values []dns.SVCBKeyValue) ([]dns.SVCBKeyValue, int) {
	return without(values, func(v dns.SVCBKeyValue) bool {
		return slices.ContainsFunc(hintsOf([]dns.SVCBKeyValue{v}), inside)
	})
}

// stripECH removes the keys for Encrypted Client Hello from an HTTPS or SVCB record (RFC 9848) and tells whether there were any.
func stripECH(rr dns.RR) bool {
	isECH := func(v dns.SVCBKeyValue) bool { return v.Key() == dns.SVCB_ECHCONFIG }
	n := 0
	switch rr := rr.(type) {
	case *dns.HTTPS:
		rr.Value, n = without(rr.Value, isECH)
	case *dns.SVCB:
		rr.Value, n = without(rr.Value, isECH)
	}
	return n > 0
}

// without removes parameters of an HTTPS or SVCB record and counts them. What is gone is not mandatory any more: a client would have
// to pass over a record that lacks what it calls mandatory (RFC 9460 §8).
func without(values []dns.SVCBKeyValue, drop func(dns.SVCBKeyValue) bool) ([]dns.SVCBKeyValue, int) {
	var gone []dns.SVCBKey
	values = slices.DeleteFunc(values, func(v dns.SVCBKeyValue) bool {
		dropped := drop(v)
		if dropped {
			gone = append(gone, v.Key())
		}
		return dropped
	})
	if len(gone) == 0 {
		return values, 0
	}
	values = slices.DeleteFunc(values, func(v dns.SVCBKeyValue) bool {
		m, ok := v.(*dns.SVCBMandatory)
		if !ok {
			return false
		}
		m.Code = slices.DeleteFunc(m.Code, func(k dns.SVCBKey) bool { return slices.Contains(gone, k) })
		return len(m.Code) == 0
	})
	return values, len(gone)
}

// addrOf reads the address of an A or AAAA record.
func addrOf(rr dns.RR) (netip.Addr, bool) {
	var a netip.Addr
	var ok bool
	switch rr := rr.(type) {
	case *dns.A:
		a, ok = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		a, ok = netip.AddrFromSlice(rr.AAAA)
	}
	return a.Unmap(), ok
}

// hintsOf reads the address hints of an HTTPS or SVCB record (RFC 9460 §7.3).
func hintsOf(values []dns.SVCBKeyValue) []netip.Addr {
	var addrs []netip.Addr
	for _, v := range values {
		switch v := v.(type) {
		case *dns.SVCBIPv4Hint:
			for _, ip := range v.Hint {
				if a, ok := netip.AddrFromSlice(ip); ok {
					addrs = append(addrs, a.Unmap())
				}
			}
		case *dns.SVCBIPv6Hint:
			for _, ip := range v.Hint {
				if a, ok := netip.AddrFromSlice(ip); ok {
					addrs = append(addrs, a)
				}
			}
		}
	}
	return addrs
}

// addrsOf lists the addresses that an answer gives for its name, and for how long.
func addrsOf(m *dns.Msg) (addrs []netip.Addr, ttl time.Duration) {
	for _, rr := range m.Answer {
		var found []netip.Addr
		if a, ok := addrOf(rr); ok {
			found = []netip.Addr{a}
		}
		switch rr := rr.(type) {
		case *dns.HTTPS:
			found = hintsOf(rr.Value)
		case *dns.SVCB:
			found = hintsOf(rr.Value)
		}
		for _, a := range found {
			if len(addrs) < maxAddrs && !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
		if t := time.Duration(rr.Header().Ttl) * time.Second; ttl == 0 || t < ttl {
			ttl = t
		}
	}
	return addrs, ttl
}
