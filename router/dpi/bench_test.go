package dpi

import (
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	utls "github.com/refraction-networking/utls"
	"github.com/trenza-router/trenza/router/flow"
)

// packetCopy is a packet of a generated capture.
type packetCopy struct {
	dir   Direction
	bytes []byte
}

// capture generates flows from the same few clients to the same few servers, each with ports of its own, one after the other.
func capture(flows int, flow func(i int, client, server netip.AddrPort) []packetCopy) (all []packetCopy) {
	for i := range flows {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(20 + i%10)}), uint16(10_000+i))
		server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i % 100)}), 443)
		all = append(all, flow(i, client, server)...)
	}
	return all
}

// tcpFlow is a handshake, what the client says, what the server answers, and the acknowledgement.
func tcpFlow(client, server netip.AddrPort, isn uint32, request, response []byte) []packetCopy {
	up := func(seq uint32, flags TCPFlags, b []byte) packetCopy {
		return packetCopy{FromClient, ipv4(6, client.Addr(), server.Addr(), tcp(client.Port(), server.Port(), seq, flags, b))}
	}
	down := func(seq uint32, flags TCPFlags, b []byte) packetCopy {
		return packetCopy{FromServer, ipv4(6, server.Addr(), client.Addr(), tcp(server.Port(), client.Port(), seq, flags, b))}
	}
	packets := []packetCopy{up(isn, SYN, nil), down(isn/2, SYN|ACK, nil), up(isn+1, ACK, nil)}
	for at := 0; at < len(request); at += 1400 {
		packets = append(packets, up(isn+1+uint32(at), ACK|PSH, request[at:min(len(request), at+1400)]))
	}
	return append(packets, down(isn/2+1, ACK|PSH, response), up(isn+1+uint32(len(request)), ACK, nil))
}

func udpFlow(client, server netip.AddrPort, datagrams [][]byte) (packets []packetCopy) {
	for _, d := range datagrams {
		packets = append(packets, packetCopy{FromClient, ipv4(17, client.Addr(), server.Addr(), udp(client.Port(), server.Port(), d))})
	}
	return packets
}

func quicFlights(b *testing.B, n int) (flights [][][]byte) {
	for range n {
		flights = append(flights, quicFlight(b, "video.example.org", quic.Version1))
	}
	return flights
}

// BenchmarkFlows reads generated captures with all parsers; the time is that of a flow.
func BenchmarkFlows(b *testing.B) {
	chrome := browserHello(b, utls.HelloChrome_120, "video.example.org")
	quantum := browserHello(b, utls.HelloChrome_Auto, "video.example.org")
	response := make([]byte, 1200)
	copy(response, "\x16\x03\x03\x00\x7a\x02")
	request := []byte("GET /watch?v=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n" +
		"Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\nUpgrade-Insecure-Requests: 1\r\n\r\n")
	flights := quicFlights(b, 16)
	ssh := []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n")
	noise := []byte("\x9f\x03\x77\xaa\x10\xc4\x52\xe1\x00\x08\x41\x41\x83\x19\xd0\x6e")
	for _, bench := range []struct {
		name  string
		found bool
		flow  func(i int, client, server netip.AddrPort) []packetCopy
	}{
		{"tls", true, func(i int, c, s netip.AddrPort) []packetCopy { return tcpFlow(c, s, uint32(i)*7919, chrome, response) }},
		{"tls-post-quantum", true, func(i int, c, s netip.AddrPort) []packetCopy {
			return tcpFlow(c, s, uint32(i)*7919, quantum, response)
		}},
		{"http", true, func(i int, c, s netip.AddrPort) []packetCopy { return tcpFlow(c, s, uint32(i)*7919, request, response) }},
		{"quic", true, func(i int, c, s netip.AddrPort) []packetCopy { return udpFlow(c, s, flights[i%len(flights)]) }},
		{"ssh", true, func(i int, c, s netip.AddrPort) []packetCopy { return tcpFlow(c, s, uint32(i)*7919, ssh, ssh) }},
		{"unknown-tcp", false, func(i int, c, s netip.AddrPort) []packetCopy { return tcpFlow(c, s, uint32(i)*7919, noise, noise) }},
		{"unknown-udp", false, func(i int, c, s netip.AddrPort) []packetCopy {
			return udpFlow(c, s, [][]byte{noise, noise[1:], noise[2:]})
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const flows = 2000
			packets := capture(flows, bench.flow)
			t := NewTracker(Limits{}, Parsers())
			at, now := 0, epoch
			perFlow := len(packets) / flows
			found := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				for range perFlow {
					p := packets[at]
					if at++; at == len(packets) {
						at, now = 0, now.Add(time.Minute) // the ports are used again later
					}
					if _, ok := t.Observe(p.bytes, p.dir, now); ok {
						found++
					}
				}
			}
			b.ReportMetric(float64(b.N*perFlow)/b.Elapsed().Seconds(), "packets/s")
			if want := bench.found; want && found < uint64(b.N)*9/10 || !want && found > 0 {
				b.Fatalf("%d of %d flows recognised", found, b.N)
			}
		})
	}
}

// BenchmarkParsers asks one parser about what decides it.
func BenchmarkParsers(b *testing.B) {
	for _, bench := range []struct {
		name   string
		parser Parser
		client []byte
	}{
		{"tls", tlsParser(), browserHello(b, utls.HelloChrome_120, "video.example.org")},
		{"tls-post-quantum", tlsParser(), browserHello(b, utls.HelloChrome_Auto, "video.example.org")},
		{"http", httpParser(), []byte("GET /watch?v=1 HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nHost: www.example.com\r\n\r\n")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			v := View{Proto: flow.ProtoTCP, ServerPort: 443, Client: bench.client}
			var r Result
			b.ReportAllocs()
			for b.Loop() {
				r.reset(bench.parser.Protocol)
				if bench.parser.Read(&v, &r) != Found {
					b.Fatal("not found")
				}
			}
		})
	}
}
