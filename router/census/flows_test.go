package census_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/capture/capturetest"
	"github.com/trenza-router/trenza/router/census"
	"github.com/trenza-router/trenza/router/dpi"
)

// withoutBytes leaves out what the length of the link header changes: "5/270" becomes "5".
func withoutBytes(lines []string) []string {
	out := slices.Clone(lines)
	for i, l := range out {
		before, after, _ := strings.Cut(l, "/")
		_, after, _ = strings.Cut(after, " ")
		out[i] = before + " " + after
	}
	return out
}

func TestEveryFileFormatAndLinkTypeGivesTheSameFlows(t *testing.T) {
	apps, s := builtIn(t), evening(t)
	want, _, _ := survey(t, apps, s.file(capture.LinkRaw), census.DefaultFlows)
	var framed []capturetest.Packet
	for _, p := range s.packets {
		framed = append(framed, capturetest.Packet{At: p.At, Data: capturetest.Frame(capture.LinkSLL2, p.Data)})
	}
	files := map[string][]byte{
		"pcapng":               capturetest.Section(binary.BigEndian, capturetest.Enhanced, 9, capture.LinkSLL2, framed),
		"pcapng obsolete":      capturetest.Section(binary.LittleEndian, capturetest.Obsolete, 6, capture.LinkSLL2, framed),
		"pcapng without times": capturetest.Section(binary.LittleEndian, capturetest.Simple, 6, capture.LinkSLL2, framed),
	}
	for _, link := range capturetest.Links() {
		files[link.String()+fmt.Sprint(" ", uint32(link))] = s.file(link)
	}
	for name := range capturetest.Encapsulated(s.packets[0].Data) {
		var wrapped []capturetest.Packet
		for _, p := range s.packets {
			wrapped = append(wrapped, capturetest.Packet{At: p.At, Data: capturetest.Encapsulated(p.Data)[name]})
		}
		files[name] = capturetest.Pcap(binary.BigEndian, true, capture.LinkEthernet, wrapped)
	}
	for name, file := range files {
		got, _, err := survey(t, apps, file, census.DefaultFlows)
		if diff := cmp.Diff(withoutBytes(want), withoutBytes(got)); diff != "" || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

// A capture that is cut gives the flows before the cut: the same ones, in the same order, with as many packets or fewer.
func TestCutAnywhereGivesAPrefixOfTheFlows(t *testing.T) {
	apps := builtIn(t)
	s := newScript(t)
	s.lookUp("10.77.0.20", "www.youtube.com", "203.0.113.10")
	s.tcp(s.client("10.77.0.20"), netip.MustParseAddrPort("203.0.113.10:443"), hello(t, "www.youtube.com"))
	s.lookUp("10.77.0.20", "zoom.us", "203.0.113.11")
	file := s.file(capture.LinkEthernet)
	ends := func(lines []string) (keys []string) {
		for _, l := range lines {
			keys = append(keys, strings.Join(strings.Fields(l)[:4], " "))
		}
		return keys
	}
	whole, _, _ := survey(t, apps, file, census.DefaultFlows)
	reached := 0
	for cut := 24; cut < len(file); cut++ {
		got, stats, err := survey(t, apps, file[:cut], census.DefaultFlows)
		var broken *capture.Broken
		if !errors.Is(err, io.EOF) && !errors.As(err, &broken) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if len(got) > len(whole) || !slices.Equal(ends(whole)[:len(got)], ends(got)) || int(stats.Flows) != len(got) {
			t.Fatalf("cut at %d: %q", cut, got)
		}
		reached = max(reached, len(got))
	}
	if reached != len(whole) {
		t.Errorf("%d of %d flows", reached, len(whole))
	}
}

// A hello in fragments, out of order, is read as a whole one.
func TestFragments(t *testing.T) {
	apps := builtIn(t)
	for _, ends := range [][2]string{{"10.77.0.20:50001", "203.0.113.10:443"}, {"[2001:db8::20]:50001", "[2001:db8::80]:443"}} {
		client, server := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		s := newScript(t)
		pieces := capturetest.Fragments(capturetest.UDP(client, server, quicInitial(t, "www.netflix.com")), 99, 520)
		slices.Reverse(pieces)
		s.ip(pieces...)
		// Of another one the last piece never comes.
		s.ip(capturetest.Fragments(capturetest.UDP(client, netip.AddrPortFrom(server.Addr(), 53), question(t, strings.Repeat("a.very.long.name.", 8)+"example")), 100, 24)[:4]...)
		lines, stats, _ := survey(t, apps, s.file(capture.LinkEthernet), census.DefaultFlows)
		if len(lines) != 2 || stats.Packets != uint64(len(pieces)+4) {
			t.Fatalf("%q, %+v", lines, stats)
		}
		for i, want := range []string{fmt.Sprintf(" %d/", len(pieces)), " 4/"} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%q has not %q", lines[i], want)
			}
		}
		if !strings.Contains(lines[0], `app "netflix" host www.netflix.com (quic)`) || !strings.Contains(lines[1], ":53 4/") {
			t.Errorf("%q", lines)
		}
	}
}

// IPv6 extension headers stand before the transport.
func TestExtensionHeaders(t *testing.T) {
	client, server := netip.MustParseAddrPort("[2001:db8::20]:50001"), netip.MustParseAddrPort("[2001:db8::53]:53")
	plain := capturetest.UDP(client, server, question(t, "example.org"))
	options := append([]byte{60, 0, 1, 4, 0, 0, 0, 0}, append([]byte{17, 1}, make([]byte, 14)...)...) // hop by hop, then for the destination
	s := newScript(t)
	s.ip(capturetest.IP(0, client.Addr(), server.Addr(), append(options, plain[40:]...)))
	lines, _, _ := survey(t, builtIn(t), s.file(capture.LinkRaw), census.DefaultFlows)
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "udp [2001:db8::20]:50001 -> [2001:db8::53]:53 1/") {
		t.Errorf("%q", lines)
	}
}

func TestWhereAFlowEnds(t *testing.T) {
	apps := builtIn(t)
	client, server := netip.MustParseAddrPort("10.77.0.20:50001"), netip.MustParseAddrPort("203.0.113.10:443")
	syn := func(seq uint32) []byte { return capturetest.TCP(client, server, seq, dpi.SYN, nil) }
	data := func(seq uint32) []byte { return capturetest.TCP(client, server, seq, dpi.ACK, []byte("data")) }
	fin := func(seq uint32) []byte { return capturetest.TCP(client, server, seq, dpi.FIN|dpi.ACK, nil) }
	reset := capturetest.TCP(server, client, 1, dpi.RST|dpi.ACK, nil)
	ntp := func() []byte {
		return capturetest.UDP(client, netip.MustParseAddrPort("203.0.113.10:123"), make([]byte, 48))
	}
	for _, tt := range []struct {
		name    string
		packets [][]byte
		pause   time.Duration // after the first packet
		want    []string      // packets of the flows
	}{
		{"a SYN that is sent again", [][]byte{syn(1), syn(1), data(2)}, 0, []string{" 3/"}},
		{"another attempt", [][]byte{syn(1), syn(500), data(501)}, 0, []string{" 3/"}},
		{"after a refusal", [][]byte{syn(1), reset, syn(500)}, 0, []string{" 2/", " 1/"}},
		{"the ports are used again", [][]byte{syn(1), data(2), fin(6), syn(500), data(501)}, 0, []string{" 3/", " 2/"}},
		{"without a good-bye", [][]byte{syn(1), data(2), syn(500), data(501)}, 0, []string{" 2/", " 2/"}},
		{"the SYN comes late", [][]byte{data(2), syn(1), data(6)}, 0, []string{" 3/"}},
		{"after the end", [][]byte{syn(1), data(2), fin(6), data(2), fin(6)}, 0, []string{" 5/"}},
		{"a silent connection", [][]byte{syn(1), data(2)}, time.Hour, []string{" 2/"}},
		{"a silent datagram flow", [][]byte{ntp(), ntp()}, time.Minute, []string{" 2/"}},
		{"a datagram flow after a long time", [][]byte{ntp(), ntp()}, time.Hour, []string{" 1/", " 1/"}},
	} {
		s := newScript(t)
		for i, p := range tt.packets {
			s.ip(p)
			if i == 0 {
				s.now = s.now.Add(tt.pause)
			}
		}
		lines, _, _ := survey(t, apps, s.file(capture.LinkEthernet), census.DefaultFlows)
		if len(lines) != len(tt.want) {
			t.Errorf("%s: %q", tt.name, lines)
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: flow %d is %q, want%s packets", tt.name, i, lines[i], want)
			}
		}
	}
}

// With room for few flows each is still handed out once, in the order of the first packets, whatever is still going on.
func TestFewFlowsInMemory(t *testing.T) {
	apps, s := builtIn(t), newScript(t)
	for i := range 3000 {
		server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 22)
		s.tcp(s.client("10.77.0.20"), server, []byte("SSH-2.0-OpenSSH_9.9\r\n"))
	}
	file := s.file(capture.LinkEthernet)
	want, _, _ := survey(t, apps, file, census.DefaultFlows)
	got, stats, _ := survey(t, apps, file, 5)
	if diff := cmp.Diff(want, got); diff != "" || stats.Evicted != 2995 {
		t.Errorf("%d evicted; %s", stats.Evicted, diff)
	}
}

func FuzzCensus(f *testing.F) {
	apps := builtIn(f)
	s := newScript(f)
	s.lookUp("10.77.0.20", "www.youtube.com", "203.0.113.10")
	s.tcp(s.client("10.77.0.20"), netip.MustParseAddrPort("203.0.113.10:443"), []byte("GET / HTTP/1.1\r\nHost: zoom.us\r\n\r\n"))
	for _, p := range s.packets {
		f.Add(p.Data, []byte{})
	}
	client, server := netip.MustParseAddrPort("[2001:db8::20]:50001"), netip.MustParseAddrPort("[2001:db8::53]:53")
	pieces := capturetest.Fragments(capturetest.UDP(client, server, reply(f, "example.org", "203.0.113.10")), 1, 48)
	f.Add(pieces[0], pieces[1])
	f.Fuzz(func(t *testing.T, one, other []byte) {
		var flows uint64
		people := census.New(apps, 2, func(f *census.Flow) {
			if flows++; f.Packets == 0 || !f.Key.Src.IsValid() || f.Is.Reason == "" {
				t.Fatalf("%+v", f)
			}
		})
		for i, data := range [][]byte{one, other, one, bytes.Repeat(other, 2)} {
			people.Packet(capture.Record{At: time.Unix(int64(i)*400, 0), Link: capture.LinkRaw, Data: data, Length: len(data)})
		}
		people.Close()
		if people.Stats().Flows != flows {
			t.Fatalf("%d flows of %d", flows, people.Stats().Flows)
		}
	})
}

func BenchmarkCensus(b *testing.B) {
	apps, s := builtIn(b), newScript(b)
	said := hello(b, "www.youtube.com")
	for range 1000 {
		s.tcp(s.client("10.77.0.20"), netip.MustParseAddrPort("203.0.113.10:443"), said, make([]byte, 4000), make([]byte, 200), make([]byte, 20000))
	}
	reader, err := capture.NewReader(bytes.NewReader(s.file(capture.LinkEthernet)))
	var batches []*census.Batch
	for err == nil {
		batch := new(census.Batch)
		err = batch.Fill(reader)
		batches = append(batches, batch)
	}
	b.ReportAllocs()
	for b.Loop() {
		people := census.New(apps, census.DefaultFlows, func(*census.Flow) {})
		for _, batch := range batches {
			batch.Read(people)
		}
		people.Close()
	}
	n := float64(b.N) * float64(len(s.packets))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/packet")
}

// vsftpd and curl: the file in the data connection looks like nothing, and then like something else.
func TestFTPData(t *testing.T) {
	s := newScript(t)
	server := netip.MustParseAddr("203.0.113.21")
	control, addr := s.client("10.77.0.20"), netip.AddrPortFrom
	noise := bytes.Repeat([]byte{0x8d, 0x11, 0xf3}, 300)
	s.tcp(control, addr(server, 21), nil, []byte("220 (vsFTPd 3.0.3)\r\n"), []byte("USER anonymous\r\n"), []byte("331 Please specify the password.\r\n"),
		[]byte("PASS ftp@example.com\r\n"), []byte("230 Login successful.\r\n"), []byte("PWD\r\n"), []byte("257 \"/\" is the current directory\r\n"),
		[]byte("EPSV\r\n"), []byte("229 Entering Extended Passive Mode (|||45139|)\r\n"))
	s.tcp(s.client("10.77.0.20"), addr(server, 45139), nil, noise)
	s.tcp(s.client("10.77.0.20"), addr(server, 45139), nil, noise) // nobody announced a second one
	s.tcp(s.client("10.77.0.20"), addr(server, 21), nil, []byte("220 (vsFTPd 3.0.3)\r\n"), []byte("USER anonymous\r\n"), []byte("331 Please specify the password.\r\n"),
		[]byte("PORT 10,77,0,20,161,107\r\n"), []byte("200 PORT command successful.\r\n"))
	s.tcp(addr(server, 20), addr(control.Addr(), 41323), []byte("GET / HTTP/1.1\r\nHost: www.youtube.com\r\n\r\n"))
	lines, _, err := survey(t, builtIn(t), s.file(capture.LinkEthernet), census.DefaultFlows)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines {
		_, l, _ = strings.Cut(l, " -> ")
		words := strings.Fields(l)
		got = append(got, words[0]+" "+words[2]+" "+words[4])
	}
	want := []string{`203.0.113.21:21 ftp ""`, `203.0.113.21:45139 ftp-data ""`, `203.0.113.21:45139 unknown ""`, `203.0.113.21:21 ftp ""`, `10.77.0.20:41323 ftp-data ""`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
