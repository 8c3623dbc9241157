package internet

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestAnswers(t *testing.T) {
	z := newZone(Names())
	for _, c := range []struct {
		name  string
		qtype uint16
		rcode int
		want  []string // fields separated by one blank
	}{
		{"youtube.com.", dns.TypeA, 0, []string{"youtube.com. 300 IN A 203.0.113.10"}},
		{"YouTube.COM.", dns.TypeA, 0, []string{"YouTube.COM. 300 IN A 203.0.113.10"}},
		{"youtube.com.", dns.TypeHTTPS, 0, []string{`youtube.com. 300 IN HTTPS 1 . alpn="h3,h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8:100:10::1"`}},
		{"www.netflix.com.", dns.TypeA, 0, []string{
			"www.netflix.com. 300 IN CNAME www.dradis.netflix.com.",
			"www.dradis.netflix.com. 60 IN CNAME www.eu-west-1.internal.dradis.netflix.com.",
			"www.eu-west-1.internal.dradis.netflix.com. 60 IN A 203.0.113.20",
			"www.eu-west-1.internal.dradis.netflix.com. 60 IN A 203.0.113.21",
			"www.eu-west-1.internal.dradis.netflix.com. 60 IN A 203.0.113.22"}},
		{"www.netflix.com.", dns.TypeCNAME, 0, []string{"www.netflix.com. 300 IN CNAME www.dradis.netflix.com."}},
		{"github.com.", dns.TypeAAAA, 0, nil},
		{"ipv6.google.com.", dns.TypeA, 0, nil},
		{"ipv6.google.com.", dns.TypeAAAA, 0, []string{"ipv6.google.com. 300 IN AAAA 2001:db8:100::16"}},
		{"github.io.", dns.TypeHTTPS, 0, []string{"github.io. 60 IN HTTPS 0 dyna.wikimedia.org."}},
		{"nowhere.example.org.", dns.TypeA, dns.RcodeNameError, nil},
		{"googlevideo.com.", dns.TypeA, 0, nil}, // has names below it (RFC 8020)
		{"youtube.com.", dns.TypeANY, dns.RcodeRefused, nil},
	} {
		m := z.answer(new(dns.Msg).SetQuestion(c.name, c.qtype))
		var got []string
		for _, rr := range m.Answer {
			got = append(got, strings.Join(strings.Fields(rr.String()), " "))
		}
		if diff := cmp.Diff(c.want, got); diff != "" || m.Rcode != c.rcode {
			t.Errorf("%s %s: %s (-want +got):\n%s", c.name, dns.TypeToString[c.qtype], dns.RcodeToString[m.Rcode], diff)
		}
		if len(got) == 0 && m.Rcode != dns.RcodeRefused && (len(m.Ns) != 1 || m.Ns[0].Header().Ttl != negativeTTL) {
			t.Errorf("%s: a negative answer without its SOA: %v", c.name, m.Ns)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, q := range []string{"youtube.com.", "www.netflix.com.", "x."} {
		b, err := new(dns.Msg).SetQuestion(q, dns.TypeHTTPS).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	h := dnsHandler{newZone(Names()), NewRecorder(4)}
	at := netip.MustParseAddrPort("192.0.2.1:53")
	f.Fuzz(func(t *testing.T, b []byte) {
		answer := h.datagram(b, at, at)
		if answer == nil {
			return
		}
		m := new(dns.Msg)
		if err := m.Unpack(answer); err != nil {
			t.Fatalf("the answer does not parse: %v", err)
		}
		if !m.Response || len(answer) > dns.DefaultMsgSize && len(m.Answer) > 0 {
			t.Fatalf("%d bytes: %v", len(answer), m)
		}
	})
}

func TestNames(t *testing.T) {
	names := Names()
	if err := checkNames(names); err != nil {
		t.Fatal(err)
	}
	var v4only, v6only, several, aliases, hints int
	users := make(map[netip.Addr][]string)
	for _, n := range names {
		for _, a := range slices.Concat(n.V4, n.V6) {
			users[a] = append(users[a], n.App)
			if !slices.ContainsFunc(Networks(), func(p netip.Prefix) bool { return p.Contains(a) }) {
				t.Errorf("%s: %s is outside the lab's networks", n.Host, a)
			}
		}
		switch {
		case n.CNAME != "":
			aliases++
		case len(n.V6) == 0 && len(n.V4) == 0:
			t.Errorf("%s has no address", n.Host)
		case len(n.V6) == 0:
			v4only++
		case len(n.V4) == 0:
			v6only++
		}
		if len(n.V4) > 1 {
			several++
		}
		if n.HTTPS != nil && n.HTTPS.Hints {
			hints++
		}
		if n.TTL == 0 {
			t.Errorf("%s has no TTL", n.Host)
		}
	}
	if len(names) < 30 || v4only < 2 || v6only < 1 || several < 3 || aliases < 4 || hints < 2 {
		t.Errorf("%d names, %d IPv4 alone, %d IPv6 alone, %d with several addresses, %d aliases, %d hints",
			len(names), v4only, v6only, several, aliases, hints)
	}
	shared := 0
	for a, apps := range users {
		if len(apps) > 1 {
			shared++
			if diff := cmp.Diff([]string{"windowsupdate", "youtube"}, slices.Sorted(slices.Values(apps))); diff != "" {
				t.Errorf("%s is shared by %v", a, apps)
			}
		}
	}
	if shared != 2 {
		t.Errorf("%d shared addresses, want one of each family", shared)
	}
	if len(Addresses()) != len(users) {
		t.Errorf("%d addresses to assign, %d in the table", len(Addresses()), len(users))
	}
	if n, ok := Find(names, "GitHub.com."); !ok || n.App != "github" {
		t.Errorf("Find: %+v, %v", n, ok)
	}
}
