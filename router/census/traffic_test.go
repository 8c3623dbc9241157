package census_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
)

func question(t testing.TB, name string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeA)
	m.Id = 7
	return pack(t, m)
}

// reply answers through an alias.
func reply(t testing.TB, name string, addrs ...string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeA)
	m.Id, m.Response = 7, true
	alias := "edge.example.net."
	head := func(name string, kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 60}
	}
	m.Answer = append(m.Answer, &dns.CNAME{Hdr: head(dns.Fqdn(name), dns.TypeCNAME), Target: alias})
	for _, text := range addrs {
		a := netip.MustParseAddr(text)
		if a.Is4() {
			m.Answer = append(m.Answer, &dns.A{Hdr: head(alias, dns.TypeA), A: a.AsSlice()})
		} else {
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head(alias, dns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
	return pack(t, m)
}

func pack(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hello is what crypto/tls says first, with its post-quantum key share.
func hello(t testing.TB, host string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go tls.Client(client, &tls.Config{ServerName: host, NextProtos: []string{"h2", "http/1.1"}}).HandshakeContext(context.Background())
	if err := server.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// quicInitial is the first datagram of quic-go's client whose hello fits into one.
func quicInitial(t testing.TB, host string) []byte {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go quic.DialAddr(ctx, server.LocalAddr().String(), &tls.Config{
		ServerName: host, NextProtos: []string{"h3"}, CurvePreferences: []tls.CurveID{tls.X25519},
	}, nil)
	if err := server.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// dhcpDiscover follows RFC 2131 §2.
func dhcpDiscover() []byte {
	b := make([]byte, 240, 300)
	b[0], b[1], b[2] = 1, 1, 6
	copy(b[28:], []byte{2, 0, 0, 0, 0, 1})
	copy(b[236:], []byte{99, 130, 83, 99})
	return append(b, 53, 1, 1, 255)
}
