package census_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/capture/capturetest"
	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/census"
	"github.com/trenza-router/trenza/router/dpi"
)

var update = flag.Bool("update", false, "write the golden files")

func builtIn(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load("")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// survey reads a file with at most that many flows in memory, and lists its flows.
func survey(t testing.TB, c *catalog.Catalog, file []byte, limit int) (lines []string, stats census.Stats, err error) {
	t.Helper()
	people := census.New(c, limit, func(f *census.Flow) { lines = append(lines, line(f)) })
	reader, err := capture.NewReader(bytes.NewReader(file))
	var batch census.Batch
	for err == nil {
		err = batch.Fill(reader)
		batch.Read(people)
	}
	people.Close()
	return lines, people.Stats(), err
}

func line(f *census.Flow) string {
	host := ""
	if f.Is.Host != "" {
		host = fmt.Sprintf(" host %s (%s)", f.Is.Host, f.Is.HostSource)
	}
	return fmt.Sprintf("%s %s -> %s %d/%d %s app %q%s alpn %q ech %t %d: %s", f.L4(), f.Key.Src, f.Key.Dst, f.Packets, f.Bytes,
		f.Is.Protocol, f.Is.App, host, f.ALPN, f.ECH, f.Is.Confidence, f.Is.Reason)
}

// script is a capture that grows.
type script struct {
	t       testing.TB
	now     time.Time
	packets []capturetest.Packet
	port    uint16
}

func newScript(t testing.TB) *script {
	return &script{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), port: 50000}
}

// ip adds IP packets, a millisecond apart.
func (s *script) ip(packets ...[]byte) {
	for _, p := range packets {
		s.packets = append(s.packets, capturetest.Packet{At: s.now, Data: p})
		s.now = s.now.Add(time.Millisecond)
	}
}

func (s *script) file(link capture.LinkType) []byte {
	var framed []capturetest.Packet
	for _, p := range s.packets {
		framed = append(framed, capturetest.Packet{At: p.At, Data: capturetest.Frame(link, p.Data)})
	}
	return capturetest.Pcap(binary.LittleEndian, false, link, framed)
}

// client is a new port of an address.
func (s *script) client(addr string) netip.AddrPort {
	s.port++
	return netip.AddrPortFrom(netip.MustParseAddr(addr), s.port)
}

// tcp plays a whole connection. Each turn is what the client says (even) or the server (odd), in segments of at most 1,200 bytes.
func (s *script) tcp(client, server netip.AddrPort, turns ...[]byte) {
	seq := [2]uint32{1000, 9000}
	ends := [2]netip.AddrPort{client, server}
	send := func(by int, flags dpi.TCPFlags, payload []byte) {
		s.ip(capturetest.TCP(ends[by], ends[1-by], seq[by], flags, payload))
		seq[by] += uint32(len(payload))
	}
	send(0, dpi.SYN, nil)
	send(1, dpi.SYN|dpi.ACK, nil)
	seq[0]++
	seq[1]++
	send(0, dpi.ACK, nil)
	for i, b := range turns {
		for part := range slices.Chunk(b, 1200) {
			send(i%2, dpi.ACK|dpi.PSH, part)
		}
	}
	send(0, dpi.FIN|dpi.ACK, nil)
	send(1, dpi.FIN|dpi.ACK, nil)
}

// lookUp plays a question for a name and its answer.
func (s *script) lookUp(client string, name string, addrs ...string) {
	q := s.client(client)
	server := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.53"), 53)
	if q.Addr().Is6() {
		server = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::53"), 53)
	}
	s.ip(capturetest.UDP(q, server, question(s.t, name)), capturetest.UDP(server, q, reply(s.t, name, addrs...)))
}

func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	got := strings.Join(lines, "\n") + "\n"
	path := "testdata/" + name + ".txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", path, diff)
	}
}

// evening is a capture with one of most things.
func evening(t testing.TB) *script {
	s := newScript(t)
	addr := netip.MustParseAddrPort
	s.ip(capturetest.UDP(addr("0.0.0.0:68"), addr("255.255.255.255:67"), dhcpDiscover()))
	s.lookUp("10.77.0.20", "www.youtube.com", "203.0.113.10")
	s.tcp(s.client("10.77.0.20"), addr("203.0.113.10:443"), hello(t, "www.youtube.com"))
	s.tcp(s.client("10.77.0.20"), addr("203.0.113.10:443")) // says nothing: DNS told
	s.tcp(s.client("10.77.0.21"), addr("203.0.113.10:443")) // another client: what the first one said is known
	s.tcp(s.client("10.77.0.20"), addr("203.0.113.11:8080"), []byte("GET / HTTP/1.1\r\nHost: zoom.us\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\n\r\n"))
	s.tcp(s.client("10.77.0.20"), addr("203.0.113.12:443"), hello(t, "dns.google"))
	s.ip(capturetest.UDP(s.client("10.77.0.20"), addr("203.0.113.13:443"), quicInitial(t, "www.netflix.com")))
	s.lookUp("2001:db8:7::20", "github.com", "2001:db8:1::80")
	s.tcp(s.client("2001:db8:7::20"), addr("[2001:db8:1::80]:443"), hello(t, "github.com"))
	s.tcp(s.client("10.77.0.20"), addr("203.0.113.14:22"), []byte("SSH-2.0-OpenSSH_9.9\r\n"), []byte("SSH-2.0-OpenSSH_9.9\r\n"))
	s.tcp(s.client("10.77.0.20"), addr("203.0.113.15:40123"), []byte("\x01\x02nothing that anyone knows\xff\xfe\x00"))
	s.tcp(s.client("10.77.0.20"), addr("203.0.113.15:3306"))
	a, b := netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("203.0.113.15")
	s.ip(capturetest.Echo(a, b, 7, false), capturetest.Echo(b, a, 7, true), capturetest.Echo(a, b, 8, false))
	s.ip(capturetest.IP(47, a, b, make([]byte, 60)), capturetest.IP(50, a, b, make([]byte, 60)))
	// A bare tunnel counts as what is inside.
	s.ip(capturetest.IP(41, a, b, capturetest.UDP(addr("[2001:db8:7::20]:50999"), addr("[2001:db8::53]:53"), question(t, "example.org"))))
	// In the middle of a connection: the server is who has the known port.
	s.ip(capturetest.TCP(addr("203.0.113.16:993"), addr("10.77.0.20:51999"), 5, dpi.ACK, make([]byte, 40)))
	return s
}

func TestEvening(t *testing.T) {
	lines, stats, err := survey(t, builtIn(t), evening(t).file(capture.LinkEthernet), census.DefaultFlows)
	if !errors.Is(err, io.EOF) || int(stats.Flows) != len(lines) || stats.NotIP != 0 {
		t.Fatalf("%v, %+v, %d lines", err, stats, len(lines))
	}
	golden(t, "evening", lines)
}
