package dpi

import (
	"bytes"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

const overUDP, overTCP = flow.ProtoUDP, flow.ProtoTCP

func hexText(digits string) string { return string(unhex(digits)) }

const (
	stunRequest  = "0001 0000 2112a442 000102030405060708090a0b"
	stunResponse = "0101 000c 2112a442 000102030405060708090a0b 0020 0008 0001a147 e112a643"
)

// stunWith is a binding request with one attribute.
func stunWith(attribute string) said {
	a := unhex(attribute)
	return said{FromClient, append(append([]byte{0, 1, 0, byte(len(a))}, unhex("2112a442 000102030405060708090a0b")...), a...)}
}

func stunVectors() []vector {
	return []vector{
		{name: "binding request", over: overUDP, server: 3478, said: []said{clientHex(stunRequest)}, want: STUN, confidence: 95},
		{name: "request and response", over: overUDP, server: 3478, said: []said{clientHex(stunRequest), serverHex(stunResponse)}, want: STUN, confidence: 95},
		{name: "then its own", over: overUDP, server: 3478, said: []said{clientHex(stunRequest), clientSays("something else"), serverSays("and back")}, want: STUN, confidence: 95},
		// RFC 5769 §2.1, with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY and FINGERPRINT
		{name: "RFC 5769", over: overUDP, server: 40000, said: []said{clientHex(`000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74
			002400046e0001ff80290008932ff9b151263b36000600096576746a3a683676592020200008 00149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf`)}, want: STUN, confidence: 95},
		{name: "length does not fit", over: overUDP, server: 3478, said: []said{clientHex("0001 0004 2112a442 000102030405060708090a0b")}},
		{name: "classic, alone", over: overUDP, server: 3478, said: []said{clientHex("0001 0000 ffeeddcc 000102030405060708090a0b")}, want: STUN, confidence: 60},
		{name: "classic, answered", over: overUDP, server: 3478, said: []said{clientHex("0001 0008 ffeeddcc 000102030405060708090a0b 0003000400000000"),
			serverHex("0101 000c ffeeddcc 000102030405060708090a0b 0001 0008 0001c350 c0000201")}, want: STUN, confidence: 95},
		{name: "classic, of unknown attributes", over: overUDP, server: 3478, said: []said{clientHex("0001 0008 ffeeddcc 000102030405060708090a0b 7003000400000000")}},
		{name: "over TCP", over: overTCP, server: 3478, said: []said{clientHex(stunRequest)}, want: STUN, confidence: 95},
		{name: "over TCP, server first", over: overTCP, server: 3478, said: []said{serverHex(stunResponse)}, want: STUN, confidence: 95},
		{name: "framed over TCP", over: overTCP, server: 9, said: []said{clientHex("0014" + stunRequest)}, want: STUN, confidence: 95},
		{name: "wrong frame", over: overTCP, server: 9, said: []said{clientHex("0015" + stunRequest + "00")}},
		{name: "WhatsApp", over: overUDP, server: 3478, said: []said{stunWith("4000 0004 01020304")}, want: WhatsAppCall, confidence: 80},
		{name: "WhatsApp, its own message", over: overUDP, server: 3478, said: []said{clientHex("0801 0000 2112a442 000102030405060708090a0b")}, want: WhatsAppCall, confidence: 80},
		{name: "Teams", over: overUDP, server: 3479, said: []said{stunWith("8070 0004 00000003")}, want: TeamsMedia, confidence: 80},
		{name: "Teams, multiplexed", over: overUDP, server: 3478, said: []said{clientHex("ff10 001c 0011223344556677" + stunRequest)}, want: TeamsMedia, confidence: 90},
		{name: "Zoom between peers", over: overUDP, server: 50001, said: []said{stunWith("0103 0004 00000003")}, want: ZoomMedia, confidence: 80},
		{name: "Telegram's relay", over: overUDP, server: 3478, said: []said{clientHex(stunRequest), serverHex("0113 0014 2112a442 000102030405060708090a0b 0014 000c 74656c656772616d2e6f7267 8022 0000")}, want: TelegramCall, confidence: 80},
		{name: "RTP afterwards", over: overUDP, server: 50001, said: append([]said{clientHex(stunRequest)}, rtpStream(4, 0, 160)...), want: RTP, confidence: 80},
	}
}

// dtlsHelloRecord is a ClientHello of DTLS 1.2 (RFC 6347 §4.2.1) in one record.
func dtlsHelloRecord(extensions ...[]byte) []byte {
	all := bytes.Join(extensions, nil)
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	body = append(body, 0, 4, 1, 2, 3, 4, 0, 2, 0xc0, 0x2b, 1, 0) // session, cookie, suites, compression
	body = append(append(body, u16(len(all))...), all...)
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body)), 0, 0, 0, 0, 0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append(append([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}, u16(len(message))...), message...)
}

func dtlsVectors() []vector {
	srtp := extension(extUseSRTP, unhex("0002 0001 00"))
	name := extension(extServerName, serverNames("vpn.example.net"))
	hello := dtlsHelloRecord(name)
	fragment := bytes.Clone(dtlsHelloRecord(name, extension(21, make([]byte, 40)))) // cut inside the padding
	fragment = fragment[:len(fragment)-10]
	copy(fragment[11:], u16(len(fragment)-13))
	copy(fragment[13+10:], u16(len(fragment)-25))
	channel := append(append([]byte{0x40, 1}, u16(len(hello))...), hello...)
	indication := append([]byte{0, 0x17}, u16(4+(len(hello)+3)&^3)...)
	indication = append(append(indication, unhex("2112a442 000102030405060708090a0b 0013")...), u16(len(hello))...)
	indication = append(append(indication, hello...), make([]byte, -len(hello)&3)...)
	return []vector{
		{name: "client hello", over: overUDP, server: 443, said: []said{{FromClient, hello}}, want: DTLS, host: "vpn.example.net", confidence: 95},
		{name: "with ALPN and SRTP alone", over: overUDP, server: 443, said: []said{{FromClient, dtlsHelloRecord(srtp, extension(extALPN, unhex("0007 06776562727463")))}}, want: DTLS, confidence: 95},
		{name: "first fragment", over: overUDP, server: 443, said: []said{{FromClient, fragment}}, want: DTLS, host: "vpn.example.net", confidence: 95},
		{name: "hello verify request", over: overUDP, server: 443, said: []said{serverHex("16 feff 0000 000000000000 0014 03 000008 0000 000000 000008 feff 05 0102030405")}, want: DTLS, confidence: 95},
		{name: "data from the middle", over: overUDP, server: 443, said: []said{clientHex("17 fefd 0001 000000000005 0004 01020304")}, want: DTLS, confidence: 90},
		{name: "length past the end", over: overUDP, server: 443, said: []said{clientHex("17 fefd 0001 000000000005 0005 01020304")}},
		{name: "bytes after the records", over: overUDP, server: 443, said: []said{clientHex("17 fefd 0001 000000000005 0004 01020304 99")}},
		{name: "WebRTC", over: overUDP, server: 50001, said: []said{clientHex(stunRequest), serverHex(stunResponse), {FromServer, dtlsHelloRecord(srtp)}}, want: WebRTC, confidence: 95},
		{name: "WebRTC, data channels", over: overUDP, server: 50001, said: []said{clientHex(stunRequest), {FromClient, dtlsHelloRecord()}}, want: WebRTC, confidence: 90},
		{name: "WebRTC in a channel", over: overUDP, server: 3478, said: []said{clientHex(stunRequest), {FromClient, channel}}, want: WebRTC, host: "vpn.example.net", confidence: 90},
		{name: "WebRTC in an indication", over: overUDP, server: 3478, said: []said{clientHex(stunRequest), {FromServer, indication}}, want: WebRTC, host: "vpn.example.net", confidence: 90},
	}
}

// rtpStream is n datagrams of 20 ms each from the client.
func rtpStream(n int, kind byte, payload int) []said {
	var out []said
	for i := range n {
		b := append([]byte{0x80, kind, 0x10, byte(i), 0, 0, byte(i * 160 >> 8), byte(i * 160), 0xde, 0xad, 0xbe, 0xef}, make([]byte, payload)...)
		out = append(out, said{FromClient, b})
	}
	return out
}

// framed is a stream of frames with a length each (RFC 4571).
func framed(packets []said) []byte {
	var b []byte
	for _, p := range packets {
		b = append(append(b, u16(len(p.bytes))...), p.bytes...)
	}
	return b
}

func rtpVectors() []vector {
	report := "80 c8 0006 deadbeef 0102030405060708 00000000 00000010 00000a00 81 ca 0003 deadbeef 0104 61406200 00"
	other := rtpStream(4, 96, 100)
	for i := range other {
		other[i].bytes[8] = byte(i) // another source each time
	}
	return []vector{
		{name: "a call", over: overUDP, server: 20000, said: rtpStream(4, 0, 160), want: RTP, confidence: 85},
		{name: "video", over: overUDP, server: 20000, said: rtpStream(5, 96, 1100), want: RTP, confidence: 85},
		{name: "the start of a call", over: overUDP, server: 20000, said: rtpStream(1, 8, 160), want: RTP, confidence: 60},
		{name: "one of an unknown type", over: overUDP, server: 20000, said: rtpStream(1, 96, 160)},
		{name: "with reports between", over: overUDP, server: 20000, said: append([]said{clientHex(report)}, rtpStream(4, 111, 80)...), want: RTP, confidence: 85},
		{name: "reports", over: overUDP, server: 20001, said: []said{clientHex(report)}, want: RTCP, confidence: 70},
		{name: "many reports", over: overUDP, server: 20001, said: []said{clientHex(report), clientHex(report), clientHex(report), clientHex(report)}, want: RTCP, confidence: 85},
		{name: "in frames over TCP", over: overTCP, server: 5000, said: []said{{FromClient, framed(rtpStream(3, 8, 160))}}, want: RTP, confidence: 85},
		{name: "two frames", over: overTCP, server: 5000, said: []said{{FromClient, framed(rtpStream(2, 8, 160))}}, want: RTP, confidence: 60},
		{name: "one frame", over: overTCP, server: 5000, said: []said{{FromClient, framed(rtpStream(1, 8, 160))}}},
		{name: "sources that change", over: overUDP, server: 20000, said: append(other, rtpStream(1, 96, 3)...)},
	}
}

func signallingVectors() []vector {
	invite := "INVITE sip:bob@biloxi.example.com;transport=udp SIP/2.0\r\nVia: SIP/2.0/UDP pc33.atlanta.example.com\r\n\r\n"
	tpkt := "03 00 0030 08 02 1234 05 04 03 8890a5 7e 0020 05 20 80 06 0008914a0004 0102030405060708090a0b0c0d0e0f10111213 1415 1617"
	return []vector{
		{name: "SIP invite", over: overUDP, server: 5060, said: []said{clientSays(invite)}, want: SIP, host: "biloxi.example.com", confidence: 95},
		{name: "SIP over TCP", over: overTCP, server: 5060, said: []said{clientSays(invite)}, want: SIP, host: "biloxi.example.com", confidence: 95},
		{name: "SIP after empty lines", over: overTCP, server: 5060, said: []said{clientSays("\r\n\r\n" + invite)}, want: SIP, host: "biloxi.example.com", confidence: 95},
		{name: "SIP register, port", over: overUDP, server: 5060, said: []said{clientSays("REGISTER sip:pbx.example:5070 SIP/2.0\r\n")}, want: SIP, host: "pbx.example", confidence: 95},
		{name: "SIP to an address", over: overUDP, server: 5060, said: []said{clientSays("OPTIONS sip:100@192.0.2.1 SIP/2.0\r\n")}, want: SIP, confidence: 95},
		{name: "SIP to a telephone", over: overUDP, server: 5060, said: []said{clientSays("INVITE tel:+1-201-555-0123 SIP/2.0\r\n")}, want: SIP, confidence: 95},
		{name: "SIP answer", over: overUDP, server: 5060, said: []said{serverSays("SIP/2.0 180 Ringing\r\n")}, want: SIP, confidence: 95},
		{name: "SIP, server first over TCP", over: overTCP, server: 5060, said: []said{serverSays("SIP/2.0 200 OK\r\n")}, want: SIP, confidence: 95},
		{name: "SIP keep-alive, then a request", over: overUDP, server: 5060, said: []said{clientSays("\r\n\r\n"), clientSays(invite)}, want: SIP, host: "biloxi.example.com", confidence: 95},
		{name: "SIP cut off", over: overTCP, server: 5060, said: []said{clientSays("INVITE sip:bob@bil")}},
		{name: "an unknown method", over: overTCP, server: 5060, said: []said{clientSays("FETCH sip:bob@bil SIP/2.0\r\n")}},
		{name: "RTSP", over: overTCP, server: 554, said: []said{clientSays("DESCRIBE rtsp://user:pw@cam.example.net:554/live/1 RTSP/1.0\r\nCSeq: 1\r\n")}, want: RTSP, host: "cam.example.net", confidence: 95},
		{name: "RTSP options", over: overTCP, server: 554, said: []said{clientSays("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n")}, want: RTSP, confidence: 95},
		{name: "RTSP 2.0", over: overTCP, server: 554, said: []said{clientSays("PLAY_NOTIFY rtsp://a.example/x RTSP/2.0\r\n")}, want: RTSP, host: "a.example", confidence: 95},
		{name: "RTSP answer", over: overTCP, server: 554, said: []said{serverSays("RTSP/1.0 200 OK\r\n")}, want: RTSP, confidence: 95},
		{name: "RTSP over UDP", over: overUDP, server: 554, said: []said{clientSays("SETUP rtsp://a.example/x RTSP/1.0\r\n")}, want: RTSP, host: "a.example", confidence: 95},
		{name: "MGCP", over: overUDP, server: 2427, said: []said{clientSays("AUEP 1200 aaln/1@rgw.whatever.net MGCP 1.0\r\nF: A\r\n")}, want: MGCP, confidence: 95},
		{name: "MGCP answer", over: overUDP, server: 2427, said: []said{serverSays("200 1200 OK\r\n")}, want: MGCP, confidence: 60},
		{name: "MGCP answer elsewhere", over: overUDP, server: 2428, said: []said{serverSays("200 1200 OK\r\n")}},
		{name: "H.225 setup", over: overTCP, server: 1720, said: []said{clientHex(tpkt)}, want: H323, confidence: 95},
		{name: "H.225 without the identifier", over: overTCP, server: 1720, said: []said{clientHex("03 00 000d 08 02 9234 7d 14 01 83 00")}, want: H323, confidence: 80},
		{name: "H.245", over: overTCP, server: 1232, said: []said{clientHex("03 00 0030 02 70 01 06 0008817500 03 800d")}, want: H323, confidence: 95},
		{name: "RAS without the identifier", over: overUDP, server: 1719, said: []said{clientHex("26 90 0001 0102030405060708")}, want: H323, confidence: 60},
		{name: "RAS's bytes elsewhere", over: overUDP, server: 1720, said: []said{clientHex("26 90 0001 0102030405060708")}},
		{name: "X.224 of a remote desktop", over: overTCP, server: 3389, said: []said{clientHex("03 00 0007 02 f0 80")}},
		{name: "RAS", over: overUDP, server: 1719, said: []said{clientHex("00 00 00 06 0008914a0004 00c0000201 06b8")}, want: H323, confidence: 95},
	}
}

func streamingVectors() []vector {
	c1, s1 := append([]byte{3, 0, 0, 0x10, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{0xaa}, 1528)...), append([]byte{3, 0, 0x22, 0x10, 7, 0, 0, 0, 0}, bytes.Repeat([]byte{0xbb}, 1528)...)
	signed := bytes.Clone(c1)
	copy(signed[5:], []byte{9, 0, 124, 2})
	handshake := func(version, magic, kind string) string {
		return "80000000 00000000 00000000 00000000" + version + "0000" + magic + "12345678 000005dc 00002000" + kind + "0badcafe 00000000 0100007f 000000000000000000000000"
	}
	return []vector{
		{name: "RTMP", over: overTCP, server: 1935, said: []said{{FromClient, c1}, {FromServer, s1}, {FromClient, s1[1:]}}, want: RTMP, confidence: 95},
		{name: "RTMP, signed", over: overTCP, server: 1935, said: []said{{FromClient, signed}, {FromServer, s1}, {FromClient, signed[1:]}}, want: RTMP, confidence: 80},
		{name: "RTMP, not answered", over: overTCP, server: 1935, said: []said{{FromClient, c1}}, want: RTMP, confidence: 60},
		{name: "MPEG-TS, FFmpeg", over: overUDP, server: 1234, said: []said{clientHex("474011100042f0250001c10000ff01ff0001fc8014481201" + noise(164) + strings.Repeat("471fff10"+noise(184), 6))}, want: MPEGTS, confidence: 95},
		{name: "MPEG-TS, cut", over: overUDP, server: 1234, said: []said{clientHex("474011100042f0250001c10000ff01ff0001fc8014481201" + noise(164) + strings.Repeat("471fff10"+noise(184), 6) + "474100" + noise(153))}, want: MPEGTS, confidence: 95},
		{name: "MPEG-TS, one packet", over: overUDP, server: 1234, said: []said{clientHex("474011100042f0250001c10000ff01ff0001fc8014481201" + noise(164))}, want: MPEGTS, confidence: 50},
		{name: "MPEG-TS, out of step", over: overUDP, server: 1234, said: []said{clientHex("474011100042f0250001c10000ff01ff0001fc8014481201" + noise(352))}, want: Unknown},
		{name: "SRT induction", over: overUDP, server: 9000, said: []said{clientHex(handshake("00000004", "0002", "00000001"))}, want: SRT, confidence: 70},
		{name: "SRT answered", over: overUDP, server: 9000, said: []said{clientHex(handshake("00000004", "0002", "00000001")), serverHex(handshake("00000005", "4a17", "00000001"))}, want: SRT, confidence: 95},
		{name: "SRT conclusion", over: overUDP, server: 9000, said: []said{clientHex(handshake("00000005", "0001", "ffffffff"))}, want: SRT, confidence: 95},
		{name: "SRT of nonsense", over: overUDP, server: 9000, said: []said{clientHex(handshake("00000005", "0001", "00f00000"))}},
	}
}

func messengerVectors() []vector {
	video := "05 0001 00000000 00 10" + "00000000000000000000000000000000000000000000 00" + "90 62 0001 00000001 00000002 0000"
	return []vector{
		{name: "Discord", over: overUDP, server: 50005, said: []said{clientSays("\x00\x01\x00\x46\x00\x00\x30\x39" + string(make([]byte, 66)))}, want: DiscordVoice, confidence: 95},
		{name: "Discord, the answer", over: overUDP, server: 50005, said: []said{serverSays("\x00\x02\x00\x46\x00\x00\x30\x39192.0.2.1" + string(make([]byte, 57)))}, want: DiscordVoice, confidence: 95},
		{name: "Discord from the middle", over: overUDP, server: 50005, said: append(rtpStream(2, 120, 90), clientHex("1337cafe 01000000")), want: DiscordVoice, confidence: 90},
		{name: "RTP of Discord's type", over: overUDP, server: 50005, said: rtpStream(8, 120, 90), want: RTP, confidence: 85},
		{name: "Discord, alive", over: overUDP, server: 50005, said: []said{clientHex("1337cafe 01000000")}, want: DiscordVoice, confidence: 90},
		{name: "Telegram", over: overUDP, server: 533, said: []said{clientHex("00112233445566778899aabbccddeeff ffffffffffffffffffffffff fffffffe 0000000000000001")}, want: TelegramCall, confidence: 80},
		{name: "LINE", over: overUDP, server: 12000, said: []said{clientHex("b6 07 0004 01020304"), serverHex("b6 09 000c 010203040506070809101112")}, want: LineCall, confidence: 80},
		{name: "LINE, media", over: overUDP, server: 29070, said: []said{
			clientSays("\xda\x01\x02\x03\x06\x02" + string(make([]byte, 800))), serverSays("\xd9\x91\x02\x03\x06\x02" + string(make([]byte, 200))),
		}, want: LineCall, confidence: 80},
		{name: "LINE, once", over: overUDP, server: 12000, said: []said{clientHex("b6 07 0004 01020304")}, want: LineCall, confidence: 60},
		{name: "Viber", over: overUDP, server: 7987, said: []said{clientHex("0102 0300 0500 0a00 01020304")}, want: ViberMedia, confidence: 80},
		{name: "Viber's bytes elsewhere", over: overUDP, server: 7000, said: []said{clientHex("0102 0300 0500 0a00 01020304")}},
		{name: "Zoom video", over: overUDP, server: 8801, said: []said{clientHex(video)}, want: ZoomMedia, confidence: 80},
		{name: "Zoom video on another port", over: overUDP, server: 40000, said: []said{clientHex(video), serverHex(video)}, want: ZoomMedia, confidence: 80},
		{name: "Zoom, the opening", over: overUDP, server: 8801, said: []said{
			clientSays("\x01\x00\x02\x5c" + string(make([]byte, 103))), serverSays("\x02\x00\x01\x5c" + string(make([]byte, 31))),
		}, want: ZoomMedia, confidence: 80},
	}
}
