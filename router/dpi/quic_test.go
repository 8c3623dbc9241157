package dpi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"pgregory.net/rapid"
)

// quicFlight returns the datagrams with which quic-go opens a connection: those sent before any answer.
func quicFlight(t testing.TB, host string, version quic.Version) [][]byte {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		quic.DialAddr(ctx, server.LocalAddr().String(), &tls.Config{ServerName: host, NextProtos: []string{"h3"}, InsecureSkipVerify: true},
			&quic.Config{Versions: []quic.Version{version}})
	}()
	defer func() { cancel(); <-done }()
	server.SetReadDeadline(time.Now().Add(30 * time.Second))
	var flight [][]byte
	p := NewQUIC()
	for {
		b := make([]byte, 2000)
		n, err := server.Read(b)
		if err != nil {
			t.Fatalf("after %d datagrams: %v", len(flight), err)
		}
		flight = append(flight, b[:n])
		if p.Feed(FromClient, b[:n]) != Need {
			return flight
		}
	}
}

func TestQUICOfQuicGo(t *testing.T) {
	for name, version := range map[string]quic.Version{"v1": quic.Version1, "v2": quic.Version2} {
		t.Run(name, func(t *testing.T) {
			flight := quicFlight(t, "video.example.org", version)
			const want = `quic host="video.example.org" alpn="h3" ech=false`
			p := NewQUIC()
			rapid.Check(t, func(t *rapid.T) { // in any order, with copies and foreign datagrams between
				p.Reset()
				order := []int{0}
				for i := range flight {
					order = append(order, i)
				}
				v := Need
				for _, i := range rapid.Permutation(order).Draw(t, "order") {
					d := flight[i]
					v = p.Feed(FromClient, d)
					p.Feed(FromServer, d)
				}
				if got := answer(p, v); got != want {
					t.Fatalf("got %s", got)
				}
			})
			if len(flight) < 2 {
				t.Errorf("the hello came in %d datagram: the test wants one with a post-quantum key share", len(flight))
			}
			broken := bytes.Clone(flight[0])
			broken[len(broken)-1] ^= 1
			p.Reset()
			if v := p.Feed(FromClient, broken); v == Found || p.keys.valid {
				t.Error("a packet with a wrong tag was opened")
			}
		})
	}
}

// The client's Initial of RFC 9001 appendix A.2.
func TestQUICVectorOfRFC9001(t *testing.T) {
	var k initialKeys
	dcid, _ := hex.DecodeString("8394c8f03e515708")
	if !k.derive(quicV1, dcid) {
		t.Fatal("no keys")
	}
	if got := hex.EncodeToString(k.iv[:]); got != "fa044b2f42a3fd3b46fb255c" {
		t.Errorf("iv %s", got)
	}
	sample, _ := hex.DecodeString("d1b1c98dd7689fb8ec11d242b123dc9b")
	var mask [16]byte
	k.header.Encrypt(mask[:], sample)
	if got := hex.EncodeToString(mask[:5]); got != "437b9aec36" {
		t.Errorf("header protection mask %s", got)
	}
}

func TestQUICIsNotEverythingOnUDP(t *testing.T) {
	for name, d := range map[string]string{
		"dns":          "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01",
		"stun":         "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl",
		"wireguard":    "\x01\x00\x00\x00" + strings.Repeat("x", 144),
		"unknown":      "\xc0\xfa\xce\xb0\x02" + strings.Repeat("x", 100),
		"negotiation":  "\xc0\x00\x00\x00\x00" + strings.Repeat("\x00", 100),
		"short header": "\x40" + strings.Repeat("x", 100),
		"cut":          "\xc0\x00\x00\x00\x01\x08abcd",
		"empty":        "",
	} {
		if v := NewQUIC().Feed(FromClient, []byte(d)); v != NotMine {
			t.Errorf("%s: verdict %d", name, v)
		}
	}
	p := NewQUIC()
	random := "\xc0\x00\x00\x00\x01\x08abcdefgh\x00\x00\x40\x40" + strings.Repeat("x", 64)
	for range maxQUICDatagrams {
		if v := p.Feed(FromClient, []byte(random)); v == Found {
			t.Fatal("found a name in noise")
		}
	}
	if v := p.Feed(FromClient, []byte(random)); v != NotMine {
		t.Errorf("verdict %d after the budget", v)
	}
}

func FuzzQUIC(f *testing.F) {
	for _, d := range quicFlight(f, "video.example.org", quic.Version1) {
		f.Add(d, d)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p := NewQUIC()
		p.Feed(FromClient, a)
		if v := p.Feed(FromClient, b); v == Found {
			_ = answer(p, v)
		}
		// What is inside an opened packet is a stranger's too.
		p.Reset()
		p.frames(a)
		p.frames(b)
	})
}

func BenchmarkQUIC(b *testing.B) {
	flight := quicFlight(b, "video.example.org", quic.Version1)
	p := NewQUIC()
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		for _, d := range flight {
			p.Feed(FromClient, d)
		}
	}
}
