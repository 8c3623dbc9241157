package cli

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/capture/capturetest"
	"github.com/trenza-router/trenza/router/dpi"
)

// smallCapture has three flows of two clients in seven packets.
func smallCapture() []byte {
	a, b := netip.MustParseAddrPort("10.77.0.20:50001"), netip.MustParseAddrPort("203.0.113.10:8080")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var packets []capturetest.Packet
	for _, ip := range [][]byte{
		capturetest.TCP(a, b, 1, dpi.SYN, nil),
		capturetest.Echo(a.Addr(), b.Addr(), 7, false),
		capturetest.TCP(b, a, 1, dpi.SYN|dpi.ACK, nil),
		capturetest.TCP(a, b, 2, dpi.ACK, []byte("GET / HTTP/1.1\r\nHost: www.youtube.com\r\n\r\n")),
		capturetest.UDP(netip.MustParseAddrPort("10.77.0.21:50002"), netip.MustParseAddrPort("203.0.113.99:40123"), []byte("what is this?")),
		capturetest.TCP(b, a, 2, dpi.ACK, []byte("HTTP/1.1 204 No Content\r\n\r\n")),
	} {
		packets = append(packets, capturetest.Packet{At: at, Data: capturetest.Frame(capture.LinkEthernet, ip)})
		at = at.Add(time.Millisecond)
	}
	packets = append(packets, capturetest.Packet{At: at, Data: append(make([]byte, 12), 8, 6, 0, 1)}) // ARP
	return capturetest.Pcap(binary.LittleEndian, false, capture.LinkEthernet, packets)
}

func TestClassifyCommand(t *testing.T) {
	dir := t.TempDir()
	whole := in(t, dir, "whole.pcap", string(smallCapture()))
	cut := in(t, dir, "cut.pcap", string(smallCapture()[:330]))
	usb := in(t, dir, "usb.pcap", string(capturetest.Pcap(binary.LittleEndian, false, 189, []capturetest.Packet{{Data: make([]byte, 64)}})))
	text := in(t, dir, "text.pcap", "not a capture")
	const http = "tcp 10.77.0.20:50001 -> 203.0.113.10:8080 4 packets 284 bytes: http, youtube, www.youtube.com (95: the flow itself named www.youtube.com (http))\n"
	const echo = "icmp 10.77.0.20 -> 203.0.113.10 1 packets 42 bytes: icmp (95: the IP header says icmp)\n"
	for _, tt := range []struct {
		args string
		code int
		out  string
		err  string
	}{
		{whole, exitDone, http + echo + "udp 10.77.0.21:50002 -> 203.0.113.99:40123 1 packets 55 bytes: unknown (0: what it says is none of the protocols that can be read)\n", ""},
		{whole + " --stats", exitDone, "7 packets (1 without IP), 3 flows in 1 files; classified in ", ""},
		{whole + " " + cut, exitFailed, cut + ": " + echo, "cut.pcap: broken at byte 222: the file ends inside of a packet; the 3 packets before it were read"},
		{usb, exitFailed, "", "1 of 1 packets were left out: frames of link type 189 cannot be read"},
		{text, exitUsage, "", "not a capture file"},
		{filepath.Join(dir, "none"), exitUsage, "", "opening the capture"},
		{whole + " --flows 0", exitUsage, "", "at least one flow"},
		{whole + " --catalog " + filepath.Join(dir, "none"), exitUsage, "", "create the directory"},
	} {
		var out, errOut bytes.Buffer
		code := run(append([]string{"classify"}, strings.Fields(tt.args)...), &out, &errOut)
		if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errOut.String(), tt.err) {
			t.Errorf("classify %s: exit code %d\n%s%s\nwant %d\n%s%s", tt.args, code, &out, &errOut, tt.code, tt.out, tt.err)
		}
	}
}

// The keys are what scripts rely on: none is ever left out, and of several files each line names its own.
func TestClassifyJSON(t *testing.T) {
	dir := t.TempDir()
	one, two := in(t, dir, "one.pcap", string(smallCapture())), in(t, dir, "two.pcap", string(smallCapture()))
	var out, errOut bytes.Buffer
	if code := run([]string{"classify", one, two, "--json", "--stats"}, &out, &errOut); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &errOut)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 7 {
		t.Fatalf("%d lines: %s", len(lines), &out)
	}
	keys := []string{"file", "l4", "src", "sport", "dst", "dport", "packets", "bytes", "protocol", "app", "category", "host", "host_source", "alpn", "ech",
		"confidence", "reason"}
	slices.Sort(keys)
	for i, line := range lines[:6] {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		var have []string
		for k := range got {
			have = append(have, k)
		}
		slices.Sort(have)
		if diff := cmp.Diff(keys, have); diff != "" {
			t.Errorf("keys: %s", diff)
		}
		if want := []string{one, two}[i/3]; got["file"] != want {
			t.Errorf("line %d is of %s", i, got["file"])
		}
	}
	var first flowLine
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	want := flowLine{
		File: one, L4: "tcp", Src: netip.MustParseAddr("10.77.0.20"), SrcPort: 50001, Dst: netip.MustParseAddr("203.0.113.10"), DstPort: 8080,
		Packets: 4, Bytes: 284, Protocol: "http", App: "youtube", Category: "video", Host: "www.youtube.com", HostSource: "http", ALPN: []string{},
		Confidence: 95, Reason: "the flow itself named www.youtube.com (http)",
	}
	if diff := cmp.Diff(want, first, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	var stats statsLine
	if err := json.Unmarshal([]byte(lines[6]), &stats); err != nil {
		t.Fatal(err)
	}
	if s := stats.Stats; s.Files != 2 || s.Packets != 14 || s.NotIP != 2 || s.Flows != 6 || s.CPUSeconds < 0 {
		t.Errorf("%+v", s)
	}
}
