package dpi

func peerVectors() []vector {
	find := "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe"
	return []vector{
		{name: "BitTorrent", over: overTCP, server: 6881, said: []said{clientSays("\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x05aaaaaaaaaaaaaaaaaaaa")}, want: BitTorrent, confidence: 95},
		{name: "BitTorrent, server first", over: overTCP, server: 6881, said: []said{serverSays("\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x05")}, want: BitTorrent, confidence: 95},
		{name: "nearly BitTorrent", over: overTCP, server: 6881, said: []said{clientSays("\x13BitTorrent protocoX")}},
		{name: "DHT query", over: overUDP, server: 6881, said: []said{clientSays(find)}, want: BitTorrent, confidence: 95},
		{name: "DHT response", over: overUDP, server: 6881, said: []said{serverSays("d2:ip6:abcdef1:rd2:id20:0123456789abcdefghije1:t2:aa1:v4:LT011:y1:re")}, want: BitTorrent, confidence: 95},
		{name: "DHT error", over: overUDP, server: 6881, said: []said{serverSays("d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee")}, want: BitTorrent, confidence: 95},
		{name: "DHT, bytes after", over: overUDP, server: 6881, said: []said{clientSays(find + "x")}, want: BitTorrent, confidence: 80},
		{name: "bencode of another kind", over: overUDP, server: 6881, said: []said{clientSays("d3:cow3:moo4:spam4:eggse")}},
		{name: "not bencode", over: overUDP, server: 6881, said: []said{clientSays("d1:y1:q1:t2:aa9999999:")}},
		{name: "tracker", over: overUDP, server: 6969, said: []said{clientHex("0000041727101980 00000000 12345678")}, want: BitTorrent, confidence: 95},
		{name: "tracker, announce", over: overUDP, server: 6969, said: []said{clientSays(hexText("1122334455667788 00000001 12345678") + "aaaaaaaaaaaaaaaaaaaa-qB4500-abcdefghijkl" + string(make([]byte, 42)))}, want: BitTorrent, confidence: 80},
		{name: "local peers", over: overUDP, server: 6771, said: []said{clientSays("BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n")}, want: BitTorrent, confidence: 95},
		{name: "uTP", over: overUDP, server: 6881, said: []said{
			clientHex("41 00 1234 00112233 00000000 00100000 0001 0000"), serverHex("21 00 1234 44556677 00001000 00100000 8899 0001"),
		}, want: BitTorrent, confidence: 95},
		{name: "uTP, opening", over: overUDP, server: 6881, said: []said{clientHex("41 00 1234 00112233 00000000 00100000 0001 0000")}, want: BitTorrent, confidence: 60},
		{name: "uTP from the middle", over: overUDP, server: 6881, said: []said{
			clientHex("01 00 1235 00112233 00000100 00100000 0005 0009 aa"), serverHex("21 00 1234 44556677 00001000 00100000 0009 0005"),
			clientHex("01 00 1235 00112244 00000100 00100000 0006 0009 aa"), serverHex("21 00 1234 44556688 00001000 00100000 0009 0006"),
		}, want: BitTorrent, confidence: 80},
		{name: "eDonkey login", over: overTCP, server: 4661, said: []said{clientHex("e3 2a000000 01 0011223344 0e 5566778899aabbcc 6f ff 00000000 3612 04000000")}, want: EDonkey, confidence: 95},
		{name: "eDonkey greeting", over: overTCP, server: 4662, said: []said{clientHex("e3 3a000000 01 10 00112233445566778899aabbccddeeff 00000000 3612 04000000")}, want: EDonkey, confidence: 95},
		{name: "Kad", over: overUDP, server: 4672, said: []said{clientHex("e4 21 0b 00112233445566778899aabbccddeeff 00112233445566778899aabbccddeeff")}, want: EDonkey, confidence: 80},
		{name: "eDonkey server status", over: overUDP, server: 4665, said: []said{clientHex("e3 96 01020304")}, want: EDonkey, confidence: 80},
		{name: "Gnutella", over: overTCP, server: 6346, said: []said{clientSays("GNUTELLA CONNECT/0.6\r\nUser-Agent: x\r\n")}, want: Gnutella, confidence: 95},
		{name: "Gnutella answer", over: overTCP, server: 6346, said: []said{serverSays("GNUTELLA/0.6 200 OK\r\n")}, want: Gnutella, confidence: 95},
		{name: "Gnutella ping", over: overUDP, server: 6346, said: []said{clientHex("00112233445566778899aabbccddee00 00 01 00 03000000 c35343")}, want: Gnutella, confidence: 80},
		{name: "Gnutella2", over: overUDP, server: 6346, said: []said{clientHex("474e44 03 0102 01 01 aabb")}, want: Gnutella, confidence: 80},
		{name: "Syncthing discovery", over: overUDP, server: 21027, said: []said{clientHex("2ea7d90b 0a20 0011")}, want: Syncthing, confidence: 95},
		{name: "Syncthing relay", over: overTCP, server: 22067, said: []said{clientHex("9e79bc40 00000000 00000000")}, want: Syncthing, confidence: 95},
	}
}
