package resolver

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
)

// noSockets lets no question out.
type noSockets struct{ plainSockets }

func (noSockets) Dial(context.Context, hal.Via, string, netip.AddrPort) (hal.Conn, error) {
	return nil, errors.New("no network")
}

// FuzzQuery hands a client's bytes to the resolver: whatever they are, the answer can be sent.
func FuzzQuery(f *testing.F) {
	for _, m := range []*dns.Msg{
		new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA),
		new(dns.Msg).SetQuestion("laptop.", dns.TypeAAAA).SetEdns0(4096, true),
		new(dns.Msg).SetQuestion("20.0.77.10.in-addr.arpa.", dns.TypePTR),
		new(dns.Msg).SetQuestion(`a\.b\000.example.`, dns.TypeANY),
		new(dns.Msg).SetQuestion(".", dns.TypeNS),
	} {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	r := prepare(f, Config{Local: leases{}, Upstreams: func() []Upstream { return []Upstream{{Link: "none"}} }})
	r.cfg.Sockets = noSockets{}
	client := netip.MustParseAddrPort("10.77.0.20:1000")
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(dns.Msg)
		if m.Unpack(b) != nil {
			return
		}
		resp := r.Answer(t.Context(), client, m)
		if resp == nil {
			return
		}
		fitInto(resp, m, "udp")
		if packed, err := resp.Pack(); err == nil && len(packed) > ednsSize {
			t.Fatalf("%d bytes for a datagram", len(packed))
		}
	})
}

// FuzzUpstreamAnswer hands an upstream's bytes to the cleaning: what comes out answers the question, can be packed, kept
// and read again.
func FuzzUpstreamAnswer(f *testing.F) {
	q := question{name: "www.example.com.", qtype: dns.TypeA}
	https := question{name: "www.example.com.", qtype: dns.TypeHTTPS}
	for _, m := range []*dns.Msg{
		message(f, q, []string{"www.example.com. 60 IN CNAME a.example.", "a.example. 60 IN A 203.0.113.1"}, nil),
		message(f, https, []string{"www.example.com. 60 IN HTTPS 1 . alpn=h3 ipv4hint=203.0.113.1 ipv6hint=2001:db8::1"}, nil),
		message(f, q, nil, []string{"example.com. 60 IN SOA ns. admin. 1 2 3 4 5"}),
	} {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, m.Question[0].Qtype)
	}
	r := prepare(f, Config{})
	f.Fuzz(func(t *testing.T, b []byte, qtype uint16) {
		q := question{name: "www.example.com.", qtype: qtype, do: len(b)%2 == 0}
		m := new(dns.Msg)
		if m.Unpack(b) != nil {
			return
		}
		match(newQuery(q, false, false), m)
		c, _ := r.clean(q, m)
		chain := chainOf(q, c.msg.Answer)
		for _, rr := range c.msg.Answer {
			if !inChain(chain, rr) {
				t.Fatalf("%v does not answer %s", rr, q.name)
			}
		}
		addrs, _ := addrsOf(c.msg)
		for _, a := range addrs {
			if inside(a) {
				t.Fatalf("address of the house %s", a)
			}
		}
		packed, err := c.msg.Pack()
		if err != nil {
			return
		}
		if _, ok := revive(stored{packed: packed, at: r.now(), ttl: c.ttl}, r.now()); !ok {
			t.Fatal("what was kept cannot be read")
		}
	})
}
