package resolver

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// localTTL is how long clients may keep names of the house: leases change.
const localTTL = 30

// local answers what must not leave the house, and nil for everything else: names of leases, names with a single label, special
// names (RFC 6761, RFC 6762, RFC 7686, RFC 8375), names by which programs ask what the house wants, and reverse names of private addresses (RFC 6303).
func (r *Resolver) local(q question) *dns.Msg {
	m := new(dns.Msg)
	m.Authoritative = true
	m.Question = []dns.Question{{Name: q.name, Qtype: q.qtype, Qclass: dns.ClassINET}}
	if addr, ok := reverseAddr(q.name); ok {
		return r.localReverse(m, q, addr)
	}
	bare := strings.TrimSuffix(q.name, ".")
	label, inDomain := strings.CutSuffix(q.name, "."+r.cfg.Domain)
	if !inDomain {
		label, inDomain = strings.CutSuffix(q.name, ".home.arpa.")
	}
	single := bare != "" && !strings.Contains(bare, ".") && asksForHost(q.qtype)
	switch {
	case dns.IsSubDomain("localhost.", q.name):
		addAddrs(m, q, []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()})
	case inDomain || single && q.name != r.cfg.Domain:
		if !inDomain {
			label = bare
		}
		addrs := r.localAddrs(label)
		if len(addrs) == 0 {
			m.Rcode = dns.RcodeNameError
		}
		addAddrs(m, q, addrs)
	case q.name == r.cfg.Domain || q.name == "home.arpa.":
	case dns.IsSubDomain("invalid.", q.name), dns.IsSubDomain("onion.", q.name), dns.IsSubDomain("local.", q.name):
		m.Rcode = dns.RcodeNameError
	case dns.IsSubDomain("resolver.arpa.", q.name): // where this server could be had encrypted (RFC 9462 §6.4): nowhere
	case r.cfg.NoBrowserDoH && q.name == browserCanary, r.cfg.NoRelay && slices.Contains(relayNames(), q.name):
		m.Rcode = dns.RcodeNameError
	default:
		return nil
	}
	return m
}

// browserCanary is the name whose absence tells Firefox that the network wants its own name server used.
const browserCanary = "use-application-dns.net."

// relayNames are those whose absence tells Apple's devices that Private Relay is not to be used in this network.
func relayNames() []string { return []string{"mask.icloud.com.", "mask-h2.icloud.com."} }

func (r *Resolver) localAddrs(name string) []netip.Addr {
	if r.cfg.Local == nil {
		return nil
	}
	return r.cfg.Local.Addrs(name)
}

// asksForHost tells apart the questions that a host name is meant by from those about a top-level domain.
func asksForHost(qtype uint16) bool {
	switch qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB:
		return true
	}
	return false
}

func addAddrs(m *dns.Msg, q question, addrs []netip.Addr) {
	for _, a := range addrs {
		h := dns.RR_Header{Name: q.name, Rrtype: q.qtype, Class: dns.ClassINET, Ttl: localTTL}
		a = a.Unmap()
		switch {
		case q.qtype == dns.TypeA && a.Is4():
			m.Answer = append(m.Answer, &dns.A{Hdr: h, A: a.AsSlice()})
		case q.qtype == dns.TypeAAAA && a.Is6():
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: h, AAAA: a.AsSlice()})
		}
	}
}

// localReverse answers for the house's own addresses, and with "no such name" for private addresses that are not known.
func (r *Resolver) localReverse(m *dns.Msg, q question, addr netip.Addr) *dns.Msg {
	name := ""
	if r.cfg.Local != nil {
		name = r.cfg.Local.Name(addr)
	}
	if clean := strings.Trim(name, "."); clean != "" {
		if _, ok := dns.IsDomainName(clean); ok && q.qtype == dns.TypePTR {
			target := dns.Fqdn(clean)
			if !strings.Contains(clean, ".") {
				target += r.cfg.Domain
			}
			h := dns.RR_Header{Name: q.name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: localTTL}
			m.Answer = []dns.RR{&dns.PTR{Hdr: h, Ptr: target}}
		}
		return m
	}
	if !inside(addr) {
		return nil
	}
	m.Rcode = dns.RcodeNameError
	return m
}

// reverseAddr reads the address out of a reverse name (RFC 1035 §3.5, RFC 3596 §2.5).
func reverseAddr(name string) (netip.Addr, bool) {
	if labels, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(labels, ".")
		if len(parts) != net.IPv4len {
			return netip.Addr{}, false
		}
		var b [4]byte
		for i, p := range parts {
			n, err := strconv.ParseUint(p, 10, 8)
			if err != nil {
				return netip.Addr{}, false
			}
			b[3-i] = byte(n)
		}
		return netip.AddrFrom4(b), true
	}
	labels, ok := strings.CutSuffix(name, ".ip6.arpa.")
	if !ok || len(labels) != 63 {
		return netip.Addr{}, false
	}
	var b [16]byte
	for i := range 32 {
		digit, err := strconv.ParseUint(labels[2*i:2*i+1], 16, 8)
		if err != nil || i > 0 && labels[2*i-1] != '.' {
			return netip.Addr{}, false
		}
		at := 31 - i
		b[at/2] |= byte(digit) << (4 * (1 - at%2))
	}
	return netip.AddrFrom16(b), true
}
