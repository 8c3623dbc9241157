package dpi

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

func networkVectors() []vector {
	const udp, tcp = flow.ProtoUDP, flow.ProtoTCP
	dhcp := "01 01 06 00 3903f326 0000 0000 00000000 00000000 00000000 00000000 020000000001" + zeros(10+64+128)
	return []vector{
		{"DHCP", udp, 67, []said{clientHex(dhcp + "63825363 350101 ff")}, DHCP, "", 95},
		{"BOOTP", udp, 67, []said{clientHex(dhcp + zeros(64))}, DHCP, "", 80},
		{"DHCPv6", udp, 547, []said{clientHex("01 100874 0001 000a 0003 0001 020000000001 0006 0004 0017 0018 0008 0002 0000")}, DHCPv6, "", 95},
		{"DHCPv6 that does not add up", udp, 547, []said{clientHex("01 100874 0001 000a 0003 0001 020000000001 0006 0005 0017 0018")}, Unknown, "", 0},
		{"NTP", udp, 123, []said{clientHex("23 00 06 ec" + zeros(36) + "e8c0ffee 12345678")}, NTP, "", 95},
		{"NTP on another port", udp, 1230, []said{clientHex("23 00 06 ec" + zeros(36) + "e8c0ffee 12345678")}, NTP, "", 60},
		{"NTP control", udp, 123, []said{clientHex("16 02 0001 0000 0000 0000 0000")}, NTP, "", 80},
		{"NTP monlist", udp, 123, []said{clientHex("17 00 03 2a 00000000")}, NTP, "", 80},
		{"SNMP v1", udp, 161, []said{clientHex("3026 020100 0406 7075626c6963 a019 0204 1a2b3c4d 020100 020100 300b 3009 0605 2b06010201 0500")}, SNMP, "", 95},
		{"SNMP v2c", udp, 16100, []said{clientHex("3026 020101 0406 7075626c6963 a519 0204 1a2b3c4d 020100 020100 300b 3009 0605 2b06010201 0500")}, SNMP, "", 95},
		{"SNMP over TCP", tcp, 16100, []said{clientHex("3026 020101 0406 7075626c6963 a019 0204 1a2b3c4d 020100 020100 300b 3009 0605 2b06010201 0500")}, SNMP, "", 95},
		{"SNMP v3", udp, 161, []said{clientHex("3020 020103 300f 0202 4a69 0203 00ffe3 0401 04 0201 03 0404 30020400 3004 0400 0400")}, SNMP, "", 95},
		{"SSDP search", udp, 1900, []said{clientSays("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\n\r\n")}, SSDP, "", 95},
		{"SSDP notice", udp, 1900, []said{clientSays("NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n")}, SSDP, "", 95},
		{"SSDP answer", udp, 50001, []said{clientSays("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n\r\n")}, SSDP, "", 95},
		{"WS-Discovery", udp, 3702, []said{clientSays(`<?xml version="1.0"?><soap:Envelope xmlns:wsd="http://schemas.xmlsoap.org/ws/2005/04/discovery"></soap:Envelope>`)}, WSDiscovery, "", 95},
		{"syslog, RFC 5424", udp, 514, []said{clientSays("<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - failed")}, Syslog, "", 95},
		{"syslog, RFC 3164", udp, 1514, []said{clientSays("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!")}, Syslog, "", 95},
		{"syslog, free text", udp, 514, []said{clientSays("<190>date=2020-01-01 devname=fw")}, Syslog, "", 80},
		{"syslog over TCP", tcp, 601, []said{clientSays("72 <34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - failed")}, Syslog, "", 95},
		{"syslog over TCP, by lines", tcp, 514, []said{clientSays("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!\n")}, Syslog, "", 95},
	}
}

func TestNetwork(t *testing.T) { checkVectors(t, networkVectors()) }

func FuzzBER(f *testing.F) {
	for _, v := range networkVectors() {
		f.Add(v.said[0].bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i, verdict := readBER(b, 0)
		if verdict == Found && (i.at > len(b) || i.length < 0) {
			t.Fatalf("%+v in %d bytes", i, len(b))
		}
		var r Result
		readSNMP(&View{Payload: b}, &r)
	})
}
