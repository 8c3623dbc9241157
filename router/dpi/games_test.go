package dpi

import "strings"

func gameVectors() []vector {
	magic := "00ffff00fefefefefdfdfdfd12345678"
	pong := hexText("1c 0000000000000001 0000000000000002"+magic) + "\x00\x20MCPE;A server;622;1.20.40;1;20;99"
	challenge := hexText("20 1200 0d 01020304 19 0102030405060708 20 0b") + string(make([]byte, 494))
	java := func(name string) string {
		return string(rune(len(name)+7)) + "\x00\xfd\x05" + string(rune(len(name))) + name + "\x63\xdd\x02"
	}
	return []vector{
		{name: "RakNet request", over: overUDP, server: 61111, said: []said{clientHex("05" + magic + "06 000000000000")}, want: RakNet, confidence: 95},
		{name: "RakNet from the middle", over: overUDP, server: 60028, said: []said{
			clientHex("84 010000 60 0010 020000 010000 00 aabb"), serverHex("c0 0001 01 010000"),
		}, want: RakNet, confidence: 80},
		{name: "RakNet ping", over: overUDP, server: 19132, said: []said{clientHex("01 0000000000000001" + magic + "0000000000000002")}, want: RakNet, confidence: 95},
		{name: "Minecraft Bedrock", over: overUDP, server: 19132, said: []said{clientHex("01 0000000000000001" + magic + "0000000000000002"), serverSays(pong)}, want: Minecraft, confidence: 95},
		{name: "RakNet behind a header", over: overUDP, server: 50000, said: []said{clientSays(string(make([]byte, 32)) + hexText(magic) + string(make([]byte, 1200)))}, want: RakNet, confidence: 90},
		{name: "Minecraft Java", over: overTCP, server: 25565, said: []said{clientSays(java("mc.example.net"))}, want: Minecraft, host: "mc.example.net", confidence: 95},
		{name: "Minecraft Java, modded", over: overTCP, server: 25565, said: []said{clientSays(java("mc.example.net\x00FML2\x00"))}, want: Minecraft, host: "mc.example.net", confidence: 95},
		{name: "Minecraft Java, and more", over: overTCP, server: 25565, said: []said{clientSays(java("mc.example.net") + "\x01\x00")}, want: Minecraft, host: "mc.example.net", confidence: 95},
		{name: "Minecraft Java of no state", over: overTCP, server: 25565, said: []said{clientSays(strings.TrimSuffix(java("mc.example.net"), "\x02") + "\x09")}},
		{name: "Minecraft of old", over: overTCP, server: 25565, said: []said{clientHex("fe 01"), serverHex("ff 0023 00a7 0031 0000")}, want: Minecraft, confidence: 80},
		{name: "A2S info", over: overUDP, server: 27015, said: []said{clientSays("\xff\xff\xff\xffTSource Engine Query\x00")}, want: SourceEngine, confidence: 95},
		{name: "A2S players", over: overUDP, server: 27015, said: []said{clientHex("ffffffff 55 ffffffff")}, want: SourceEngine, confidence: 80},
		{name: "A2S info answer", over: overUDP, server: 27015, said: []said{serverSays("\xff\xff\xff\xffI\x11A server\x00de_dust2\x00cstrike\x00")}, want: SourceEngine, confidence: 80},
		{name: "Source join", over: overUDP, server: 27015, said: []said{clientSays("\xff\xff\xff\xffqconnect0x01020304\x00")}, want: SourceEngine, confidence: 95},
		{name: "Quake III", over: overUDP, server: 27960, said: []said{clientSays("\xff\xff\xff\xffgetinfo xxx")}, want: Quake, confidence: 95},
		{name: "Quake III answer", over: overUDP, server: 27960, said: []said{serverSays("\xff\xff\xff\xffstatusResponse\n\\version\\x")}, want: Quake, confidence: 95},
		{name: "Quake", over: overUDP, server: 26000, said: []said{clientHex("8000000c 01 5155414b4500 03")}, want: Quake, confidence: 95},
		{name: "an unknown command", over: overUDP, server: 27960, said: []said{clientSays("\xff\xff\xff\xffgetnothing xxx")}},
		{name: "Steam over UDP", over: overUDP, server: 27017, said: []said{clientSays("VS01\x04\x00" + string(make([]byte, 30)) + "abcd")}, want: Steam, confidence: 95},
		{name: "Steam over TCP", over: overTCP, server: 27017, said: []said{serverSays("\x1c\x00\x00\x00VT01abc"), clientSays("\xac\x00\x00\x00VT01abc")}, want: Steam, confidence: 95},
		{name: "Steam over TCP, the manager alone", over: overTCP, server: 27017, said: []said{serverSays("\x1c\x00\x00\x00VT01abc")}, want: Steam, confidence: 80},
		{name: "Steam at home", over: overUDP, server: 27036, said: []said{clientHex("ffffffff214c5fa0 0d000000 0801100222222222")}, want: Steam, confidence: 95},
		{name: "Steam, to a relay", over: overUDP, server: 27018, said: []said{clientSays("\x01lsdping" + string(make([]byte, 1292)))}, want: Steam, confidence: 80},
		{name: "Steam networking", over: overUDP, server: 27020, said: []said{clientSays(challenge)}, want: Steam, confidence: 80},
		{name: "TeamSpeak 3", over: overUDP, server: 9987, said: []said{clientSays("TS3INIT1\x00\x65\x00\x00\x88\x0a\x39\x7b\x0f\x00")}, want: TeamSpeak, confidence: 95},
		{name: "TeamSpeak 2", over: overUDP, server: 8767, said: []said{clientHex("f4be 0300 00000000 00000000 01000000 12345678")}, want: TeamSpeak, confidence: 80},
		{name: "Mumble", over: overUDP, server: 64738, said: []said{clientHex("00000000 0102030405060708"), serverHex("00010300 0102030405060708 00000001 00000064 00011940")}, want: Mumble, confidence: 95},
		{name: "Mumble, not answered", over: overUDP, server: 64738, said: []said{clientHex("00000000 0102030405060708")}, want: Mumble, confidence: 60},
		{name: "Mumble's bytes elsewhere", over: overUDP, server: 1000, said: []said{clientHex("00000000 0102030405060708")}},
		{name: "Nintendo", over: overUDP, server: 50000, said: []said{clientHex("32ab9864 02 000000 0001 0000 0102030405060708 0102030405060708")}, want: NintendoOnline, confidence: 95},
		{name: "PlayStation", over: overUDP, server: 9302, said: []said{clientSays("SRCH * HTTP/1.1\ndevice-discovery-protocol-version:00030010\n")}, want: PlayStationNetwork, confidence: 95},
		{name: "Xbox 360", over: overUDP, server: 3074, said: []said{clientHex("00000000 0c 58 76 000000 010203")}, want: XboxLive, confidence: 80},
		{name: "Unreal", over: overUDP, server: 9000, said: []said{clientSays("\x17\x00\x00\x40\x01\x02\x03\x04\x05\x06" + string(make([]byte, 24)) + "\x08"), serverSays("\x17\x00\x00\x48xyz")}, want: EpicGames, confidence: 80},
		{name: "Unreal, not answered", over: overUDP, server: 9000, said: []said{clientSays("\x17\x00\x00\x40\x01\x02\x03\x04\x05\x06" + string(make([]byte, 24)) + "\x08")}},
	}
}
