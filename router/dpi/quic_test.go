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
	"github.com/trenza-router/trenza/router/flow"
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
	for {
		b := make([]byte, 2000)
		n, err := server.Read(b)
		if err != nil {
			t.Fatalf("after %d datagrams: %v", len(flight), err)
		}
		flight = append(flight, b[:n])
		if v, _ := readDatagrams(flight); v == Found {
			return flight
		}
	}
}

// readDatagrams asks the QUIC parser about a client's datagrams.
func readDatagrams(datagrams [][]byte) (v Verdict, text string) {
	view := View{Proto: flow.ProtoUDP, ClientPort: 50000, ServerPort: 443}
	var r Result
	for _, d := range datagrams {
		r.reset(QUIC)
		view.Payload = d
		if v = readQUIC(&view, &r); v == Found || v == NotMine {
			break
		}
	}
	return v, answer(&r, v)
}

func TestQUICOfQuicGo(t *testing.T) {
	for name, version := range map[string]quic.Version{"v1": quic.Version1, "v2": quic.Version2} {
		t.Run(name, func(t *testing.T) {
			flight := quicFlight(t, "video.example.org", version)
			const want = `quic host="video.example.org" alpn="h3" ech=false`
			rapid.Check(t, func(t *rapid.T) { // in any order, with copies
				copied := append([][]byte{flight[0]}, flight...)
				if _, got := readDatagrams(rapid.Permutation(copied).Draw(t, "order")); got != want {
					t.Fatalf("got %s", got)
				}
			})
			if len(flight) < 2 {
				t.Errorf("the hello came in %d datagram: the test wants one with a post-quantum key share", len(flight))
			}
			broken := bytes.Clone(flight[0])
			broken[len(broken)-1] ^= 1
			if v, _ := readDatagrams([][]byte{broken, flight[1]}); v == Found {
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
		if v, _ := readDatagrams([][]byte{[]byte(d)}); v == Found || v == Likely {
			t.Errorf("%s: verdict %d", name, v)
		}
	}
	random := "\xc0\x00\x00\x00\x01\x08abcdefgh\x00\x00\x40\x40" + strings.Repeat("x", 64)
	if v, _ := readDatagrams([][]byte{[]byte(random)}); v != Likely {
		t.Errorf("verdict %d of what only looks like it", v)
	}
}

func FuzzQUIC(f *testing.F) {
	hello := unhex(clientHello8448)[5:]
	f.Add(unhex(clientInitial9001), unhex(clientInitial9369))
	f.Add(append([]byte{framePing, frameCrypto, 0x40, 100, 0x40, byte(len(hello) - 100)}, hello[100:]...), // the second half first
		append([]byte{frameACK, 1, 0, 0, 0, framePadding, frameCrypto, 0, 0x40, 100}, hello[:100]...))
	f.Add(append([]byte{frameGoogleCrypto, 0, 0x40, byte(len(hello))}, hello...), []byte("\xc3Q046\x50abcdefgh\x00\x00\x00\x01 CHLO\x01\x00\x00\x00SNI\x00\x09\x00\x00\x00a.example"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		readDatagrams([][]byte{a, b})
		readDatagrams([][]byte{b, a})
		// What is inside an opened packet is a stranger's too.
		var q quicMemory
		var r Result
		q.reset()
		q.frames(a, quicV1, &r)
		q.frames(b, 'T'<<24|'0'<<16|'5'<<8|'1', &r)
	})
}
