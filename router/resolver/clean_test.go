package resolver

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func message(t testing.TB, q question, answer, authority []string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(q.name, q.qtype)
	m.Response = true
	for i, list := range [][]string{answer, authority} {
		for _, s := range list {
			rr, err := dns.NewRR(s)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				m.Answer = append(m.Answer, rr)
			} else {
				m.Ns = append(m.Ns, rr)
			}
		}
	}
	return m
}

func TestCleanKeepsOnlyWhatAnswers(t *testing.T) {
	q := question{name: "www.example.com.", qtype: dns.TypeA}
	r := prepare(t, Config{})
	resp := message(t, q, []string{
		"a.cdn.example. 60 IN A 203.0.113.1", // before the alias that leads to it
		"WWW.example.com. 60 IN CNAME b.cdn.example.",
		"b.cdn.example. 60 IN CNAME a.cdn.example.",
		"www.bank.example. 86400 IN A 203.0.113.66",
		"www.example.com. 60 IN TXT \"x\"",
		"www.example.com. 60 CH A 203.0.113.67",
		"www.example.com. 60 IN AAAA 2001:db8::1",
	}, []string{"example.com. 60 IN SOA ns. admin. 1 2 3 4 5", "example.com. 60 IN NS evil.example.", "bank.example. 60 IN SOA ns. admin. 1 2 3 4 5"})
	resp.Extra = message(t, q, []string{"evil.example. 60 IN A 203.0.113.66"}, nil).Answer
	c, removed := r.clean(q, resp)
	want := []string{"a.cdn.example.\t0\tIN\tA\t203.0.113.1", "www.example.com.\t0\tIN\tCNAME\tb.cdn.example.", "b.cdn.example.\t0\tIN\tCNAME\ta.cdn.example."}
	if diff := cmp.Diff(want, texts(c.msg)); diff != "" || removed != 0 {
		t.Errorf("removed %d %s", removed, diff)
	}
	if len(c.msg.Ns) != 1 || len(c.msg.Extra) != 0 {
		t.Errorf("authority %v, additional %v", c.msg.Ns, c.msg.Extra)
	}
	loop := message(t, q, []string{"www.example.com. 60 IN CNAME a.example.", "a.example. 60 IN CNAME www.example.com."}, nil)
	if c, _ := r.clean(q, loop); c.ttl != 0 {
		t.Errorf("a loop of aliases is kept for %v", c.ttl)
	}
}

func TestRebindingIsPrevented(t *testing.T) {
	a := question{name: "rebind.example.", qtype: dns.TypeA}
	https := question{name: "rebind.example.", qtype: dns.TypeHTTPS}
	for _, tt := range []struct {
		name    string
		cfg     Config
		q       question
		answer  []string
		want    []string
		removed int
	}{
		{"private", Config{}, a, []string{"rebind.example. 60 IN A 10.77.0.1", "rebind.example. 60 IN A 203.0.113.1", "rebind.example. 60 IN A 127.0.0.1", "rebind.example. 60 IN A 0.0.0.0"},
			[]string{"rebind.example.\t0\tIN\tA\t203.0.113.1"}, 3},
		{"IPv6", Config{}, question{name: "rebind.example.", qtype: dns.TypeAAAA}, []string{"rebind.example. 60 IN AAAA fd00::1", "rebind.example. 60 IN AAAA fe80::1", "rebind.example. 60 IN AAAA ::ffff:10.0.0.1"}, nil, 3},
		{"hints", Config{}, https, []string{"rebind.example. 60 IN HTTPS 1 . alpn=h2 ipv4hint=192.168.1.1"}, []string{"rebind.example.\t0\tIN\tHTTPS\t1 . alpn=\"h2\""}, 1},
		{"mandatory hints", Config{}, https, []string{"rebind.example. 60 IN HTTPS 1 . mandatory=ipv4hint alpn=h2 ipv4hint=192.168.1.1"}, []string{"rebind.example.\t0\tIN\tHTTPS\t1 . alpn=\"h2\""}, 1},
		{"allowed domain", Config{RebindNames: []string{"Example"}}, a, []string{"rebind.example. 60 IN A 10.77.0.1"}, []string{"rebind.example.\t0\tIN\tA\t10.77.0.1"}, 0},
		{"media server", Config{}, question{name: "10-77-0-9.x.plex.direct.", qtype: dns.TypeA}, []string{"10-77-0-9.x.plex.direct. 60 IN A 10.77.0.9"}, []string{"10-77-0-9.x.plex.direct.\t0\tIN\tA\t10.77.0.9"}, 0},
		{"switched off", Config{AllowRebind: true}, a, []string{"rebind.example. 60 IN A 10.77.0.1"}, []string{"rebind.example.\t0\tIN\tA\t10.77.0.1"}, 0},
		{"carrier addresses are outside", Config{}, a, []string{"rebind.example. 60 IN A 100.64.0.1"}, []string{"rebind.example.\t0\tIN\tA\t100.64.0.1"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, removed := prepare(t, tt.cfg).clean(tt.q, message(t, tt.q, tt.answer, nil))
			if diff := cmp.Diff(tt.want, texts(c.msg)); diff != "" || removed != tt.removed {
				t.Errorf("removed %d %s", removed, diff)
			}
		})
	}
}

func TestKeysForHiddenNamesAreStripped(t *testing.T) {
	q := question{name: "a.example.", qtype: dns.TypeHTTPS}
	plain := "a.example.\t0\tIN\tHTTPS\t1 . alpn=\"h3\" ipv4hint=\"203.0.113.1\""
	for _, tt := range []struct {
		name, record, want string
		strip, authentic   bool
	}{
		{"off", "a.example. 60 IN HTTPS 1 . alpn=h3 ech=AQID", "a.example.\t0\tIN\tHTTPS\t1 . alpn=\"h3\" ech=\"AQID\"", false, true},
		{"on", "a.example. 60 IN HTTPS 1 . alpn=h3 ech=AQID ipv4hint=203.0.113.1", plain, true, false},
		{"alone mandatory", "a.example. 60 IN HTTPS 1 . mandatory=ech alpn=h3 ech=AQID ipv4hint=203.0.113.1", plain, true, false},
		{"also mandatory", "a.example. 60 IN HTTPS 1 . mandatory=alpn,ech alpn=h3 ech=AQID", "a.example.\t0\tIN\tHTTPS\t1 . mandatory=\"alpn\" alpn=\"h3\"", true, false},
		{"nothing there", "a.example. 60 IN HTTPS 1 . alpn=h3 ipv4hint=203.0.113.1", plain, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := message(t, q, []string{tt.record}, nil)
			resp.AuthenticatedData = true
			c, removed := prepare(t, Config{StripECH: tt.strip}).clean(q, resp)
			if diff := cmp.Diff([]string{tt.want}, texts(c.msg)); diff != "" || removed != 0 || c.msg.AuthenticatedData != tt.authentic {
				t.Errorf("removed %d, authentic %v %s", removed, c.msg.AuthenticatedData, diff)
			}
			if _, err := c.msg.Pack(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Names by which programs ask whether the network wants its own name server used.
func TestWhatTheHouseWants(t *testing.T) {
	names := []string{"use-application-dns.net.", "Mask.iCloud.com.", "mask-h2.icloud.com."}
	for _, tt := range []struct {
		name string
		cfg  Config
		want []bool // refused
	}{
		{"default", Config{}, []bool{false, false, false}},
		{"browsers", Config{NoBrowserDoH: true}, []bool{true, false, false}},
		{"relay", Config{NoRelay: true}, []bool{false, true, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var records []string
			for _, n := range append(names, "www.icloud.com.", "_dns.resolver.arpa.") {
				records = append(records, n+" 60 IN A 203.0.113.1")
			}
			up := newUpstream(t, "fiber", zone(t, records...))
			r := prepare(t, tt.cfg, up)
			ask := func(name string) *dns.Msg {
				return r.Answer(t.Context(), netip.AddrPort{}, new(dns.Msg).SetQuestion(name, dns.TypeA))
			}
			for i, n := range names {
				if m := ask(n); (m.Rcode == dns.RcodeNameError) != tt.want[i] || (len(m.Answer) == 0) != tt.want[i] {
					t.Errorf("%s: %v", n, m)
				}
			}
			if m := ask("www.icloud.com."); len(m.Answer) != 1 {
				t.Errorf("got %v", m)
			}
			if m := ask("_dns.resolver.arpa."); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 {
				t.Errorf("got %v", m)
			}
		})
	}
}

func TestLifetime(t *testing.T) {
	q := question{name: "a.example.", qtype: dns.TypeA}
	r := prepare(t, Config{})
	for _, tt := range []struct {
		name              string
		answer, authority []string
		want              time.Duration
	}{
		{"shortest", []string{"a.example. 300 IN CNAME b.example.", "b.example. 60 IN A 203.0.113.1"}, nil, time.Minute},
		{"least", []string{"a.example. 0 IN A 203.0.113.1"}, nil, 5 * time.Second},
		{"most", []string{"a.example. 999999 IN A 203.0.113.1"}, nil, 24 * time.Hour},
		{"top bit", []string{"a.example. 4294967295 IN A 203.0.113.1"}, nil, 5 * time.Second},
		{"negative", nil, []string{"example. 600 IN SOA ns. admin. 1 2 3 4 60"}, time.Minute},
		{"negative, most", nil, []string{"example. 86400 IN SOA ns. admin. 1 2 3 4 86400"}, 3 * time.Hour},
		{"negative without SOA", nil, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if c, _ := r.clean(q, message(t, q, tt.answer, tt.authority)); c.ttl != tt.want {
				t.Errorf("got %v, want %v", c.ttl, tt.want)
			}
		})
	}
}

// leases is a house of one laptop.
type leases struct{}

func (leases) Addrs(name string) []netip.Addr {
	if name != "laptop" {
		return nil
	}
	return []netip.Addr{netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("2001:db8:1::20")}
}

func (leases) Name(a netip.Addr) string {
	if a == netip.MustParseAddr("10.77.0.20") || a == netip.MustParseAddr("2001:db8:1::20") {
		return "laptop"
	}
	return ""
}

func TestNamesOfTheHouse(t *testing.T) {
	up := newUpstream(t, "fiber", zone(t, "8.8.8.8.in-addr.arpa. 60 IN PTR dns.example.", "com. 60 IN NS ns.example."))
	_, at := start(t, Config{Local: leases{}}, up)
	for _, tt := range []struct {
		name  string
		qtype uint16
		rcode int
		want  []string
	}{
		{"laptop.", dns.TypeA, 0, []string{"laptop.\t0\tIN\tA\t10.77.0.20"}},
		{"Laptop.LAN.", dns.TypeA, 0, []string{"Laptop.LAN.\t0\tIN\tA\t10.77.0.20"}},
		{"laptop.home.arpa.", dns.TypeAAAA, 0, []string{"laptop.home.arpa.\t0\tIN\tAAAA\t2001:db8:1::20"}},
		{"laptop.lan.", dns.TypeTXT, 0, nil},
		{"printer.lan.", dns.TypeA, dns.RcodeNameError, nil},
		{"printer.", dns.TypeA, dns.RcodeNameError, nil},
		{"lan.", dns.TypeA, 0, nil},
		{"localhost.", dns.TypeA, 0, []string{"localhost.\t0\tIN\tA\t127.0.0.1"}},
		{"x.local.", dns.TypeA, dns.RcodeNameError, nil},
		{"x.onion.", dns.TypeA, dns.RcodeNameError, nil},
		{"20.0.77.10.in-addr.arpa.", dns.TypePTR, 0, []string{"20.0.77.10.in-addr.arpa.\t0\tIN\tPTR\tlaptop.lan."}},
		{"0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", dns.TypePTR, 0, []string{"0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.\t0\tIN\tPTR\tlaptop.lan."}},
		{"9.9.168.192.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, nil},
		{"8.8.8.8.in-addr.arpa.", dns.TypePTR, 0, []string{"8.8.8.8.in-addr.arpa.\t0\tIN\tPTR\tdns.example."}},
		{"com.", dns.TypeNS, 0, []string{"com.\t0\tIN\tNS\tns.example."}},
		{"any.example.", dns.TypeANY, 0, []string{"any.example.\t0\tIN\tHINFO\t\"RFC8482\" \"\""}},
	} {
		m := query(t, "udp", at, tt.name, tt.qtype)
		if diff := cmp.Diff(tt.want, texts(m)); diff != "" || m.Rcode != tt.rcode {
			t.Errorf("%s %s: rcode %d %s", tt.name, dns.TypeToString[tt.qtype], m.Rcode, diff)
		}
	}
	if asked := up.questions(); len(asked) != 2 {
		t.Errorf("left the house: %v", asked)
	}
	refused := new(dns.Msg).SetQuestion("example.", dns.TypeAXFR)
	chaos := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	newEDNS := new(dns.Msg).SetQuestion("a.example.", dns.TypeA).SetEdns0(1232, false)
	newEDNS.IsEdns0().SetVersion(1)
	for m, want := range map[*dns.Msg]int{refused: dns.RcodeRefused, chaos: dns.RcodeRefused, newEDNS: dns.RcodeBadVers} {
		if resp := exchangeWith(t, "udp", at, m); resp.Rcode != want {
			t.Errorf("%s: rcode %d, want %d", m.Question[0].Name, resp.Rcode, want)
		}
	}
}
