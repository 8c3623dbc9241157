package dpi

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// remoteVectors are somebody else's screens, shells and chats.
func remoteVectors() []vector {
	const tcp, udp = flow.ProtoTCP, flow.ProtoUDP
	confirm := "0300 0013 0e d0 0000 1234 00 02 1f 0800 02000000"
	return []vector{
		{"Telnet", tcp, 23, []said{serverHex("fffd18 fffd20 fffd23 fffd27"), clientHex("fffb18 fffb20")}, Telnet, "", 95},
		{"Telnet, the client types", tcp, 2323, []said{serverHex("fffb01 fffb03"), clientSays("root\r\n")}, Telnet, "", 95},
		{"RDP with a cookie", tcp, 3389, []said{clientHex("0300 002b 26 e0 0000 0000 00" + "436f6f6b69653a206d737473686173683d656c746f6e73 0d0a 01000800 03000000"), serverHex(confirm)}, RDP, "", 95},
		{"RDP with negotiation", tcp, 13389, []said{clientHex("0300 0013 0e e0 0000 0000 00 01000800 0b000000"), serverHex(confirm)}, RDP, "", 95},
		{"RDP, the first version", tcp, 3389, []said{clientHex("0300 000b 06 e0 0000 0000 00"), serverHex("0300 000b 06 d0 0000 1234 00")}, RDP, "", 95},
		{"RDP over UDP", udp, 3389, []said{clientHex("ffffffff 0040 0001 12345678 04d0 04d0" + zeros(1232-16))}, RDP, "", 95},
		{"S7", tcp, 102, []said{clientHex("0300 0016 11 e0 0000 0001 00 c00109 c1020100 c2020102"), serverHex("0300 0016 11 d0 0001 0001 00 c00109 c1020100 c2020102"),
			clientHex("0300 0019 02f080 32 01 0000 0000 0008 0000 f000 0001 0001 01e0")}, S7, "", 95},
		{"S7 plus", tcp, 102, []said{clientHex("0300 0016 11 e0 0000 0001 00 c00109 c1020100 c2020102"), serverHex("0300 0016 11 d0 0001 0001 00 c00109 c1020100 c2020102"),
			clientHex("0300 0019 02f080 72 01 0000")}, S7, "", 95},
		{"VNC", tcp, 5900, []said{serverSays("RFB 003.008\n"), clientSays("RFB 003.008\n")}, VNC, "", 95},
		{"X11", tcp, 6000, []said{clientHex("6c00 0b00 0000 1200 1000 0000")}, X11, "", 95},
		{"X11, big-endian", tcp, 6010, []said{clientHex("4200 000b 0000 0000 0000 0000")}, X11, "", 95},
		{"Citrix ICA", tcp, 1494, []said{serverHex("7f7f49434100 7f7f49434100"), clientHex("7f7f49434100")}, Citrix, "", 95},
		{"Citrix CGP", tcp, 2598, []said{clientHex("1a 4347502f3031")}, Citrix, "", 95},
		{"TeamViewer", tcp, 5938, []said{clientHex("1724 0a20 0000"), serverHex("1724 0b20")}, TeamViewer, "", 95},
		{"TeamViewer over UDP", udp, 5938, []said{clientHex("00 " + noise(10) + "1724" + noise(8)), serverHex("00 " + noise(10) + "1724" + noise(8))}, TeamViewer, "", 80},
		{"RustDesk", udp, 21116, []said{clientHex("32 0d 0a 09 313233343536373839 10 01"), serverHex("3a 02 08 01")}, RustDesk, "", 95},
		{"RustDesk with an odd name", udp, 21116, []said{clientHex("32 0d 0a 09 313233340036373839 10 01")}, Unknown, "", 0},
		{"XMPP", tcp, 5222, []said{clientSays("<?xml version='1.0'?><stream:stream to='im.example.com' xmlns='jabber:client'>"), serverSays("<?xml version='1.0'?>\n<stream:stream from='im.example.com'>")}, XMPP, "", 95},
		{"XMPP without a declaration", tcp, 5269, []said{clientSays("<stream:stream to='im.example.com'>")}, XMPP, "", 95},
		{"XML that is no stream", tcp, 5222, []said{clientSays("<?xml version='1.0'?><policy-file-request/>")}, Unknown, "", 0},
		{"IRC", tcp, 6667, []said{clientSays("NICK Wiz\r\nUSER guest 0 * :Ronnie Reagan\r\n"), serverSays(":irc.example.net NOTICE * :*** Looking up your hostname\r\n")}, IRC, "", 95},
		{"IRC with capabilities", tcp, 6667, []said{clientSays("CAP LS 302\r\n"), serverSays(":irc.example.net CAP * LS :multi-prefix\r\n")}, IRC, "", 95},
		{"MTProto, abridged", tcp, 443, []said{clientHex("ef 0a" + zeros(8) + "00000000 4aee6a65 14000000 78974660" + noise(16))}, MTProto, "", 95},
		{"MTProto, intermediate", tcp, 443, []said{clientHex("eeeeeeee 28000000" + zeros(8) + "00000000 4aee6a65 14000000 f18e7ebe" + noise(16))}, MTProto, "", 95},
		{"MTProto, padded, with a key", tcp, 443, []said{clientHex("dddddddd 80000000" + noise(128))}, MTProto, "", 80},
		{"WhatsApp", tcp, 5222, []said{clientHex("5741 0603 000024 1222 0a20" + noise(32))}, WhatsApp, "", 95},
		{"WhatsApp with routing", tcp, 443, []said{clientHex("4544 0001 000004 08051a02 5741 0602 000024 1222 0a20" + noise(32))}, WhatsApp, "", 95},
	}
}

func TestRemote(t *testing.T) { checkVectors(t, remoteVectors()) }

func FuzzRDP(f *testing.F) {
	for _, v := range remoteVectors() {
		f.Add(v.said[0].bytes, []byte{})
	}
	f.Fuzz(func(t *testing.T, client, server []byte) {
		whole := View{Client: client, Server: server, Payload: client}
		for _, read := range []func(*View, *Result) Verdict{readRDP, readS7, readSMB} {
			var r Result
			settled := Need
			for i := range client {
				part := View{Client: client[:i], Server: server}
				if settled = read(&part, &r); settled == Found || settled == NotMine {
					break
				}
			}
			if last := read(&whole, &r); (settled == Found || settled == NotMine) && last != settled {
				t.Fatalf("%v became %v", settled, last)
			}
		}
		var r Result
		readRDPDatagram(&whole, &r)
	})
}
