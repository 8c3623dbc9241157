package dpi

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// nameVectors are messages of RFC 1035 and its relatives.
func nameVectors() []vector {
	const udp, tcp = flow.ProtoUDP, flow.ProtoTCP
	query := "1234 0100 0001 0000 0000 0000 03777777 07 6578616d706c65 03 636f6d 00 0001 0001"
	return []vector{
		{"DNS query", udp, 53, []said{clientHex(query)}, DNS, "www.example.com", 95},
		{"DNS query on another port", udp, 5300, []said{clientHex(query)}, DNS, "www.example.com", 95},
		{"DNS query with EDNS", udp, 53, []said{clientHex("1234 0120 0001 0000 0000 0001 07 6578616d706c65 03 636f6d 00 001c 0001 00 0029 1000 00000000 0000")}, DNS, "example.com", 95},
		{"DNS answer alone", udp, 53, []said{serverHex("1234 8180 0001 0001 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001 c00c 0001 0001 00000e10 0004 5db8d822")}, DNS, "example.com", 95},
		{"DNS answer, cut by the capture", udp, 53, []said{serverHex("1234 8180 0001 0001 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001 c00c 0001")}, DNS, "example.com", 80},
		{"DNS root", udp, 53, []said{clientHex("1234 0100 0001 0000 0000 0000 00 0002 0001")}, DNS, "", 95},
		{"DNS over TCP", tcp, 53, []said{clientHex("0021" + query), serverHex("0021 1234 8180 0001 0000 0000 0000")}, DNS, "www.example.com", 95},
		{"DNS over TCP, the answer alone", tcp, 53, []said{serverHex("0021 1234 8180 0001 0000 0000 0000 03777777 07 6578616d706c65 03 636f6d 00 0001 0001")}, DNS, "www.example.com", 95},
		{"a refusal that is a header only", udp, 53, []said{serverHex("1234 8185 0000 0000 0000 0000")}, DNS, "", 80},
		{"mDNS query for any record, unicast", udp, 5353, []said{clientHex("0000 0000 0001 0000 0000 0000 04 686f7374 05 6c6f63616c 00 00ff 80ff")}, MDNS, "host.local", 95},
		{"mDNS query, two questions", udp, 5353, []said{clientHex("0000 0000 0002 0000 0000 0000 0b 5f676f6f676c6563617374 04 5f746370 05 6c6f63616c 00 000c 8001 04 5f697070 c018 000c 0001")},
			MDNS, "_googlecast._tcp.local", 95},
		{"mDNS answer", udp, 5353, []said{clientHex("0000 8400 0000 0001 0000 0000 04 686f7374 05 6c6f63616c 00 0001 8001 00000078 0004 c0a80002")}, MDNS, "", 95},
		{"LLMNR", udp, 5355, []said{clientHex("8b5c 0000 0001 0000 0000 0000 04 77706164 00 0001 0001")}, LLMNR, "wpad", 95},
		{"NetBIOS name query", udp, 137, []said{clientHex("8001 0110 0001 0000 0000 0000 20 4645434143414341434143414341434143414341434143414341434143414141 00 0020 0001")}, NetBIOS, "", 95},
		{"NetBIOS registration", udp, 137, []said{clientHex("8001 2910 0001 0000 0000 0001 20 4645434143414341434143414341434143414341434143414341434143414141 00 0020 0001" +
			"c00c 0020 0001 000493e0 0006 0000 c0a80002")}, NetBIOS, "", 95},
		{"NetBIOS datagram", udp, 138, []said{clientHex("110e 8a3b c0a80002 008a 00bb 0000 20 4645434143414341434143414341434143414341434143414341434143414141 00 20 4645434143414341")}, NetBIOS, "", 95},
		{"a question with a bad label", udp, 53, []said{clientHex("1234 0100 0001 0000 0000 0000 43777777 00 0001 0001")}, Unknown, "", 0},
		{"a query with answers", udp, 5300, []said{clientHex("1234 0100 0001 0001 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001")}, Unknown, "", 0},
	}
}

func TestNames(t *testing.T) { checkVectors(t, nameVectors()) }

func FuzzDNS(f *testing.F) {
	for _, v := range nameVectors() {
		f.Add(v.said[0].bytes, v.server)
	}
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		for _, read := range []func(*View, *Result) Verdict{readDNS, readDNSStream, readNetBIOSDatagram} {
			r := Result{Protocol: DNS}
			verdict := read(&View{Client: b, Payload: b, ServerPort: port}, &r)
			if verdict == Found && r.n > 0 {
				if _, ok := flow.CleanHost(string(r.Host())); !ok {
					t.Fatalf("found host %q", r.Host())
				}
			}
		}
	})
}
