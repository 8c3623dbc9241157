package dpi

import "testing"

// webVectors are conversations of the web's protocols and some that are nobody's.
func webVectors() []vector {
	const tcp, udp = 6, 17
	hello := clientHex(clientHello8448)
	const chlo = "CHLO\x02\x00\x00\x00PAD\x00\x04\x00\x00\x00SNI\x00\x0d\x00\x00\x00----a.example" // of Google's QUIC
	return []vector{
		{name: "noise over TCP", over: tcp, server: 4444, said: []said{clientHex("9f 03 77 aa 10 c4 52 e1 00 08 41 41")}},
		{name: "noise over UDP", over: udp, server: 4444, said: []said{clientHex("9f 03 77 aa 10 c4 52 e1 00 08 41 41"), serverSays("\xd1\x99 zz")}},

		{name: "TLS 1.3 of RFC 8448", over: tcp, server: 443, said: []said{hello}, want: TLS, host: "server", confidence: 95},
		{name: "DNS over TLS", over: tcp, server: 853, said: []said{hello}, want: DoT, host: "server", confidence: 95},
		{name: "DNS over TLS by ALPN", over: tcp, server: 443, said: []said{{FromClient, record(handHello(extension(0, serverNames("a.example")), extension(16, append(u16(4), "\x03dot"...))))}}, want: DoT, host: "a.example", confidence: 95},
		{name: "TLS without a name", over: tcp, server: 443, said: []said{{FromClient, record(handHello())}}, want: TLS, confidence: 95},
		{name: "TLS, refused", over: tcp, server: 443, said: []said{{FromClient, record(handHello())}, serverHex("15 03 03 00 02 02 28")}, want: TLS, confidence: 95},
		{name: "part of a ClientHello", over: tcp, server: 443, said: []said{{FromClient, unhex(clientHello8448)[:100]}}, want: TLS, host: "server", confidence: 95},
		{name: "TLS, the server alone", over: tcp, server: 443, said: []said{serverHex("16 03 03 00 7a 02 00 00 76 03 03")}, want: TLS, confidence: 95},
		{name: "the middle of TLS", over: tcp, server: 443, said: []said{clientHex("17 03 03 00 02 aa bb 17 03 03 00 01 cc 17 03 03 00 20 dd")}, want: TLS, confidence: 95},
		{name: "a hello for servers of SSL 2", over: tcp, server: 443, said: []said{clientHex("80 2e 01 03 01 00 15 00 00 00 10 00 00 39 00 00 38 00 00 35 00 00 16 00 00 13 00 00 0a 07 00 c0" + " 00112233445566778899aabbccddeeff")}, want: TLS, confidence: 90},

		{name: "HTTP", over: tcp, server: 80, said: []said{clientSays("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")}, want: HTTP, host: "a.example", confidence: 95},
		{name: "BitTorrent's tracker over HTTP, aria2", over: tcp, server: 6969, said: []said{clientSays("GET /announce?info_hash=%DAl%80%DB&peer_id=A2-1-36-0-%3E%EC%ED&uploaded=0&downloaded=0&left=3000000&compact=1&numwant=50&port=6949 HTTP/1.1\r\nHost: tracker.example:6969\r\n\r\n")}, want: BitTorrent, host: "tracker.example", confidence: 95},
		{name: "HTTP, an announcement of another kind", over: tcp, server: 80, said: []said{clientSays("GET /announce?id=1 HTTP/1.1\r\nHost: a.example\r\n\r\n")}, want: HTTP, host: "a.example", confidence: 95},
		{name: "HTTP, cut", over: tcp, server: 80, said: []said{clientSays("GET /index.html HTTP/1.1\r\nHost: a.example\r\nAcc")}, want: HTTP, host: "a.example", confidence: 95},
		{name: "HTTP, the server alone", over: tcp, server: 8080, said: []said{serverSays("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n")}, want: HTTP, confidence: 90},
		{name: "WebSocket", over: tcp, server: 80, said: []said{clientSays("GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")}, want: WebSocket, host: "a.example", confidence: 95},
		{name: "HTTP that asks for HTTP/2", over: tcp, server: 80, said: []said{clientSays("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n")}, want: HTTP, host: "a.example", confidence: 95},
		// RFC 7541 C.4.1: the first request with Huffman code, after empty SETTINGS.
		{name: "HTTP/2", over: tcp, server: 80, said: []said{clientSays(preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"), clientHex("00 00 11 01 05 00 00 00 01 82 86 84 41 8c f1e3 c2e5 f23a 6ba0 ab90 f4ff")}, want: HTTP2, host: "www.example.com", confidence: 95},
		// C.3.1: the same without.
		{name: "HTTP/2 in plain text", over: tcp, server: 80, said: []said{clientSays(preface), clientHex("00 00 14 01 05 00 00 00 01 82 86 84 41 0f 7777 772e 6578 616d 706c 652e 636f 6d")}, want: HTTP2, host: "www.example.com", confidence: 95},
		{name: "HTTP to no address", over: tcp, server: 80, said: []said{clientSays("GET / HTTP/1.1\r\nHost: 192.0.2.700\r\n\r\n")}, want: HTTP, confidence: 95},
		{name: "HTTP/2 with a literal name, padding and priority", over: tcp, server: 80, said: []said{clientSays(preface), clientHex("00 00 20 01 2d 00 00 00 01 03 00 00 00 00 10 82 00 0a 3a617574686f72697479 09 612e6578616d706c65 86 00 00 00")}, want: HTTP2, host: "a.example", confidence: 95},
		{name: "HTTP/2 without a request", over: tcp, server: 80, said: []said{clientSays(preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00")}, want: HTTP2, confidence: 95},

		{name: "QUIC of RFC 9001", over: udp, server: 443, said: []said{clientHex(clientInitial9001)}, want: QUIC, host: "example.com", confidence: 95},
		{name: "QUIC 2 of RFC 9369", over: udp, server: 443, said: []said{clientHex(clientInitial9369)}, want: QUIC, host: "example.com", confidence: 95},
		{name: "DNS over QUIC by port", over: udp, server: 853, said: []said{clientHex(clientInitial9001)}, want: DoQ, host: "example.com", confidence: 95},
		{name: "the middle of QUIC", over: udp, server: 443, said: []said{clientHex("47 " + noise(40)), serverSays("\x51 twenty bytes and more"), clientHex("42 " + noise(30)), clientHex("5a " + noise(90))}, want: QUIC, confidence: 60},
		{name: "Google's Q043", over: udp, server: 443, said: []said{clientSays("\x09abcdefghQ043\x01123456789012\xa0\x01\x04\x00" + chlo)}, want: QUIC, host: "a.example", confidence: 95},
		{name: "Google's Q046", over: udp, server: 443, said: []said{clientSays("\xc3Q046\x50abcdefgh\x00\x00\x00\x01123456789012\xa0\x01\x04\x00" + chlo)}, want: QUIC, host: "a.example", confidence: 95},
		{name: "versions of QUIC", over: udp, server: 443, said: []said{serverHex("80 00000000 00 08 0011223344556677 6b3343cf 00000001")}, want: QUIC, confidence: 90},
	}
}

func TestWeb(t *testing.T) { checkVectors(t, webVectors()) }
