package resolver

import (
	"crypto"
	"crypto/x509"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// signedZone is example., signed with a key of its own: it answers like a validating server.
type signedZone struct {
	t       testing.TB
	key     *dns.DNSKEY
	private crypto.Signer

	mu    sync.Mutex
	asked []dns.MsgHdr
}

func newSignedZone(t testing.TB) *signedZone {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: "example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	return &signedZone{t: t, key: key, private: private.(crypto.Signer)}
}

// sign gives each record a signature behind it.
func (z *signedZone) sign(records ...string) []dns.RR {
	var out []dns.RR
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			z.t.Error(err)
			return nil
		}
		now := time.Now()
		sig := &dns.RRSIG{
			Algorithm: z.key.Algorithm, KeyTag: z.key.KeyTag(), SignerName: "example.",
			Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(time.Hour).Unix()),
		}
		if err := sig.Sign(z.private, []dns.RR{rr}); err != nil {
			z.t.Error(err)
			return nil
		}
		out = append(out, rr, sig)
	}
	return out
}

func (z *signedZone) serve(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	z.asked = append(z.asked, q.MsgHdr)
	z.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.AuthenticatedData = !q.CheckingDisabled && q.AuthenticatedData
	switch name := dns.CanonicalName(q.Question[0].Name); {
	case name == "www.example." && q.Question[0].Qtype == dns.TypeA:
		m.Answer = z.sign(q.Question[0].Name + " 2 IN A 203.0.113.10")
	default:
		m.Rcode = dns.RcodeNameError
		m.Ns = z.sign("example. 600 IN SOA ns.example. admin.example. 1 2 3 4 60", "example. 60 IN NSEC www.example. SOA NS RRSIG NSEC", "www.example. 60 IN NSEC example. A RRSIG NSEC")
	}
	if q.IsEdns0() == nil || !q.IsEdns0().Do() {
		unsigned := func(rr dns.RR) bool { return isProof(rr.Header().Rrtype) }
		m.Answer, m.Ns = slices.DeleteFunc(m.Answer, unsigned), slices.DeleteFunc(m.Ns, unsigned)
	}
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(ednsSize, o.Do())
	}
	if err := w.WriteMsg(m); err != nil {
		z.t.Error(err)
	}
}

// verify checks every signature of a section and counts them.
func (z *signedZone) verify(section []dns.RR) (n int) {
	z.t.Helper()
	for _, rr := range section {
		sig, ok := rr.(*dns.RRSIG)
		if !ok {
			continue
		}
		n++
		var covered []dns.RR
		for _, other := range section {
			if other.Header().Rrtype == sig.TypeCovered && dns.CanonicalName(other.Header().Name) == dns.CanonicalName(sig.Hdr.Name) {
				covered = append(covered, other)
			}
		}
		if err := sig.Verify(z.key, covered); err != nil {
			z.t.Errorf("%v does not fit %v: %v", sig, covered, err)
		}
	}
	return n
}

// A client that validates gets all it needs, fresh and from the cache, whatever was changed on the way in case and TTL.
func TestSignaturesReachTheClient(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		z := newSignedZone(t)
		var u Upstream
		var roots *x509.CertPool
		if encrypted {
			u, _, roots = secureUpstreams(t, "fiber", z.serve)
		} else {
			u = newUpstream(t, "fiber", z.serve).Upstream
		}
		_, at := start(t, Config{Roots: roots, Upstreams: func() []Upstream { return []Upstream{u} }})
		for _, network := range []string{"udp", "udp", "tcp"} {
			ask := func(name string, do, ad, cd bool) *dns.Msg {
				q := new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(4096, do)
				q.AuthenticatedData, q.CheckingDisabled = ad, cd
				return exchangeWith(t, network, at, q)
			}
			m := ask("WWW.example.", true, false, false)
			if len(m.Answer) != 2 || z.verify(m.Answer) != 1 || !m.IsEdns0().Do() || m.AuthenticatedData != encrypted {
				t.Errorf("%s, encrypted %v: a signed answer arrives as %v", network, encrypted, m)
			}
			m = ask("none.example.", true, false, false)
			if m.Rcode != dns.RcodeNameError || len(m.Ns) != 6 || z.verify(m.Ns) != 3 || m.AuthenticatedData != encrypted {
				t.Errorf("%s, encrypted %v: a signed denial arrives as %v", network, encrypted, m)
			}
			if m = ask("www.example.", false, false, false); len(m.Answer) != 1 || m.AuthenticatedData || m.IsEdns0().Do() {
				t.Errorf("%s, encrypted %v: who asked for no signatures got %v", network, encrypted, m)
			}
			if m = ask("www.example.", false, true, false); len(m.Answer) != 1 || m.AuthenticatedData != encrypted {
				t.Errorf("%s, encrypted %v: who asked whether it was validated got %v", network, encrypted, m)
			}
			if m = ask("www.example.", true, true, true); z.verify(m.Answer) != 1 || m.AuthenticatedData || !m.CheckingDisabled {
				t.Errorf("%s, encrypted %v: who asked for no validation got %v", network, encrypted, m)
			}
		}
		z.mu.Lock()
		if !slices.ContainsFunc(z.asked, func(h dns.MsgHdr) bool { return h.CheckingDisabled }) {
			t.Error("the upstream was never asked without validation")
		}
		z.mu.Unlock()
	}
}
