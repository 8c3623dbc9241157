package resolver

import (
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// BenchmarkCached is one cached answer over UDP on loopback, there and back, with an observer.
func BenchmarkCached(b *testing.B) {
	up := newUpstream(b, "fiber", zone(b, "www.example.com. 3600 IN A 203.0.113.10"))
	_, at := start(b, Config{Observer: (&recorder{}).observe, PerClient: 1000}, up)
	query, err := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA).Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("udp", at)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		buf := make([]byte, 1500)
		for pb.Next() {
			if _, err := conn.Write(query); err != nil {
				b.Error(err)
				return
			}
			if _, err := conn.Read(buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkAnswer is the same without the network.
func BenchmarkAnswer(b *testing.B) {
	up := newUpstream(b, "fiber", zone(b, "www.example.com. 3600 IN A 203.0.113.10"))
	r := prepare(b, Config{}, up)
	client := netip.MustParseAddrPort("10.77.0.20:1000")
	query := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		if m := r.Answer(b.Context(), client, query); len(m.Answer) != 1 {
			b.Fatal(m)
		}
	}
}
