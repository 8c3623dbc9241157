package dpi

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/trenza-router/trenza/router/flow"
	"pgregory.net/rapid"
)

var (
	lan    = netip.MustParseAddr("10.77.0.20")
	server = netip.MustParseAddr("203.0.113.7")
	epoch  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func tcpKey(port uint16) flow.Key {
	return flow.Key{Proto: 6, Src: netip.AddrPortFrom(lan, port), Dst: netip.AddrPortFrom(server, 443)}
}

func toServer(port uint16, seq uint32, flags TCPFlags, payload []byte) []byte {
	return ipv4(6, lan, server, tcp(port, 443, seq, flags, payload))
}

// However the copies of a hello arrive (cut, copied, out of order, with or without the SYN, with the server's answers
// between, across the wrap of sequence numbers), the flow gets its name, once.
func TestTrackerFindsTheNameInAnyOrder(t *testing.T) {
	hello := helloRecords(t, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2"}})
	request := []byte("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
	rapid.Check(t, func(t *rapid.T) {
		stream, source := hello, SourceTLS
		if rapid.Bool().Draw(t, "http") {
			stream, source = request, SourceHTTP
		}
		isn := rapid.Uint32().Draw(t, "isn")
		var packets [][]byte
		cuts := rapid.IntRange(0, 4).Draw(t, "cuts")
		at := 0
		for i := range cuts + 1 {
			to := len(stream)
			if i < cuts {
				to = rapid.IntRange(at, len(stream)).Draw(t, "to")
			}
			if to > at {
				packets = append(packets, toServer(4000, isn+1+uint32(at), ACK|PSH, stream[at:to]))
			}
			at = to
		}
		// Without the SYN, as many foreign starts as the tracker waits for.
		synFirst := rapid.Bool().Draw(t, "syn")
		packets = append(packets, packets[rapid.IntRange(0, len(packets)-1).Draw(t, "copy")])
		if !synFirst {
			packets = packets[:min(len(packets), uncertainPackets)]
			if len(packets) < cuts+1 {
				packets = [][]byte{toServer(4000, isn+1, ACK|PSH, stream)}
			}
		}
		order := make([]int, len(packets))
		for i := range order {
			order[i] = i
		}
		order = rapid.Permutation(order).Draw(t, "order")
		shuffled := make([][]byte, len(packets))
		for i, at := range order {
			shuffled[i] = packets[at]
		}
		packets = shuffled
		if synFirst {
			packets = append([][]byte{toServer(4000, isn, SYN, nil)}, packets...)
		}
		tr := NewTracker(Limits{}, Parsers())
		var found []Finding
		for _, p := range packets {
			if f, ok := tr.Observe(p, FromClient, epoch); ok {
				found = append(found, f)
			}
			answer := ipv4(6, server, lan, tcp(443, 4000, 77, ACK, []byte("server")))
			if _, ok := tr.Observe(answer, FromServer, epoch); ok {
				t.Fatal("the server's bytes gave a finding")
			}
		}
		if len(found) != 1 || found[0].Host != "www.example.com" || found[0].Source != source || found[0].Key != tcpKey(4000) {
			t.Fatalf("found %+v", found)
		}
	})
}

func TestTrackerReadsQUIC(t *testing.T) {
	tr := NewTracker(Limits{}, Parsers())
	var found []Finding
	for _, d := range quicFlight(t, "video.example.org", quic.Version1) {
		if f, ok := tr.Observe(ipv4(17, lan, server, udp(4000, 443, d)), FromClient, epoch); ok {
			found = append(found, f)
		}
	}
	if len(found) != 1 || found[0].Host != "video.example.org" || found[0].Source != SourceQUIC || !found[0].ALPN.Has("h3") {
		t.Fatalf("found %+v", found)
	}
}

func TestTrackerForgetsAndReuses(t *testing.T) {
	request := func(host string) []byte { return fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host) }
	tr := NewTracker(Limits{Flows: 4, Readers: 2, Age: time.Second}, Parsers())
	observe := func(p []byte, now time.Time) string {
		f, ok := tr.Observe(p, FromClient, now)
		if !ok {
			return ""
		}
		return f.Host
	}
	if got := observe(toServer(1, 100, ACK, request("a.example")), epoch); got != "a.example" {
		t.Fatalf("got %q", got)
	}
	if got := observe(toServer(1, 100, ACK, request("a.example")), epoch); got != "" {
		t.Errorf("a retransmission gave %q again", got)
	}
	observe(toServer(1, 900, SYN, nil), epoch)
	if got := observe(toServer(1, 901, ACK, request("b.example")), epoch); got != "b.example" {
		t.Errorf("ports used again gave %q", got)
	}
	if got := observe(toServer(1, 5000, ACK, request("c.example")), epoch.Add(2*time.Second)); got != "c.example" {
		t.Errorf("after the age %q", got)
	}
	for port := uint16(10); port < 200; port++ { // a flood of half requests
		observe(toServer(port, 1, ACK, []byte("GET /")), epoch.Add(2*time.Second))
	}
	if tr.Len() > 4 || tr.reading > 2 {
		t.Errorf("%d flows, %d readers", tr.Len(), tr.reading)
	}
	if got := observe(toServer(300, 1, ACK, request("d.example")), epoch.Add(2*time.Second)); got != "d.example" {
		t.Errorf("in a flood %q", got)
	}
	if s := tr.Stats(); s.Crowded == 0 || s.Found != 4 {
		t.Errorf("stats %+v", s)
	}
}

func TestTrackerGivesUp(t *testing.T) {
	tr := NewTracker(Limits{}, webParsers())
	tr.Observe(toServer(1, 99, SYN, nil), FromClient, epoch)
	tr.Observe(toServer(1, 100, ACK, []byte("SSH-2.0-x\r\n")), FromClient, epoch)
	if tr.reading != 0 || tr.Stats().Unknown != 1 {
		t.Errorf("still reading a flow of another protocol: %+v", tr.Stats())
	}
	for i := range clientPackets + 1 { // nobody's, and no SYN
		tr.Observe(toServer(2, uint32(100+9*i), ACK, []byte("\x00\xff\xfe nob.")), FromClient, epoch)
	}
	if tr.reading != 0 {
		t.Error("still reading after the packet budget")
	}
	long := []byte("GET /" + strings.Repeat("x", maxHead))
	for i := range long { // one byte of a head at a time, for ever
		tr.Observe(toServer(3, uint32(100+i), ACK, long[i:i+1]), FromClient, epoch)
	}
	if tr.reading != 0 {
		t.Error("still reading after the byte budget")
	}
	for _, p := range [][]byte{nil, {0x45}, toServer(4, 1, ACK, nil)} {
		if _, ok := tr.Observe(p, FromClient, epoch); ok {
			t.Errorf("finding in %x", p)
		}
	}
}
