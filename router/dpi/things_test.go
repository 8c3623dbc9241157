package dpi

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// tplink hides text as TP-Link's devices do.
func tplink(text string) string {
	b, last := []byte(text), byte(171)
	for i := range b {
		b[i] ^= last
		last = b[i]
	}
	return string(b)
}

// thingVectors are the house, the factory and queues of messages.
func thingVectors() []vector {
	const tcp, udp = flow.ProtoTCP, flow.ProtoUDP
	return []vector{
		{"MQTT 3.1.1", tcp, 1883, []said{clientHex("10 10 0004 4d515454 04 02 003c 0004 64696769"), serverHex("20020000")}, MQTT, "", 95},
		{"MQTT 5, a long CONNECT", tcp, 1883, []said{clientHex("10 8001 0004 4d515454 05 02 003c 00" + noise(120))}, MQTT, "", 95},
		{"MQTT 3.1", tcp, 1883, []said{clientHex("10 12 0006 4d5149736470 03 02 003c 0004 64696769")}, MQTT, "", 95},
		{"CoAP GET", udp, 5683, []said{clientHex("40 01 7d34 bb 74656d7065726174757265")}, CoAP, "", 95},
		{"CoAP on another port", udp, 5700, []said{clientHex("41 01 7d36 20 b2 7631 04 74656d70")}, CoAP, "", 60},
		{"CoAP over TCP, libcoap", tcp, 5690, []said{serverHex("50e1 23800100 20"), clientHex("50e1 23800100 20 5101 01b4 74696d65"), serverHex("d106 4501 d101 01ff 4a616e20 3031 2030303a30323a3030")}, CoAP, "", 95},
		{"CoAP over TCP, one side", tcp, 5683, []said{clientHex("50e1 23800100 20")}, CoAP, "", 80},
		{"CoAP over TCP, one side elsewhere", tcp, 5690, []said{clientHex("50e1 23800100 20")}, Unknown, "", 0},
		{"CoAP with a mark and nothing after", udp, 5683, []said{clientHex("40 01 7d34 b1 61 ff")}, Unknown, "", 0},
		{"Modbus", tcp, 502, []said{clientHex("0001 0000 0006 11 03 006b 0003"), serverHex("0001 0000 0009 11 03 06 022b 0000 0064")}, Modbus, "", 95},
		{"Modbus, refused", tcp, 5020, []said{clientHex("0001 0000 0006 11 03 006b 0003"), serverHex("0001 0000 0003 11 83 02")}, Modbus, "", 95},
		{"Modbus with another answer", tcp, 502, []said{clientHex("0001 0000 0006 11 03 006b 0003"), serverHex("0002 0000 0003 11 83 02")}, Unknown, "", 0},
		{"BACnet who-is", udp, 47808, []said{clientHex("81 0b 000c 01 20 ffff 00 ff 10 08")}, BACnet, "", 95},
		{"DNP3", tcp, 20000, []said{clientHex("0564 05 c0 0100 0004 e921"), serverHex("0564 05 00 0004 0100 19a6")}, DNP3, "", 95},
		{"DNP3 with a wrong code", tcp, 20000, []said{clientHex("0564 05 c0 0100 0004 e922")}, Unknown, "", 0},
		{"EtherNet/IP", tcp, 44818, []said{clientHex("6500 0400 00000000 00000000" + zeros(8) + "00000000 0100 0000"), serverHex("6500 0400 00000001 00000000" + zeros(8) + "00000000 0100 0000")}, EtherNetIP, "", 95},
		{"EtherNet/IP list identity", udp, 44818, []said{clientHex("6300 0000 00000000 00000000" + zeros(8) + "00000000")}, EtherNetIP, "", 95},
		{"OPC UA", tcp, 4840, []said{clientHex("48454c46 39000000 00000000 00000100"), serverHex("41434b46 1c000000")}, OPCUA, "", 95},
		{"IEC 104", tcp, 2404, []said{clientHex("6804 07000000"), serverHex("6804 0b000000")}, IEC104, "", 95},
		{"KNXnet/IP", udp, 3671, []said{clientHex("06 10 0201 000e 08 01 c0a80002 0e57")}, KNX, "", 95},
		{"RTPS", udp, 7400, []said{clientHex("52545053 0203 0101" + noise(12))}, RTPS, "", 95},
		{"Tuya", tcp, 6668, []said{clientHex("000055aa 00000000 0000000a 00000088" + noise(136)), serverHex("000055aa 00000000 0000000a 0000000c 00000000 00000000 0000aa55")}, Tuya, "", 95},
		{"Tuya discovery", udp, 6667, []said{clientHex("000055aa 00000000 00000013 0000009c" + noise(156))}, Tuya, "", 95},
		{"TP-Link", udp, 9999, []said{clientSays(tplink(`{"system":{"get_sysinfo":{}}}`))}, TPLinkHome, "", 95},
		{"TP-Link over TCP", tcp, 9999, []said{clientSays("\x00\x00\x00\x1d" + tplink(`{"system":{"get_sysinfo":{}}}`))}, TPLinkHome, "", 95},
		{"Spotify discovery", udp, 57621, []said{clientSays("SpotUdp0 0123456789abcdef")}, Spotify, "", 95},
		{"Spotify access point", tcp, 4070, []said{clientHex("0004 0000 0126 520e 5000 a001")}, Spotify, "", 80},
	}
}

func TestThings(t *testing.T) { checkVectors(t, thingVectors()) }

// routerVectors are what routers, monitors and old hosts say, and coins.
func routerVectors() []vector {
	const tcp, udp = flow.ProtoTCP, flow.ProtoUDP
	marker := "ffffffffffffffff ffffffffffffffff"
	pattern := make([]byte, 74)
	for i := range pattern {
		pattern[i] = ' ' + byte(i)
	}
	return []vector{
		{"BGP", tcp, 179, []said{clientHex(marker + "001d 01 04 fde9 00b4 c0000201 00"), serverHex(marker + "001d 01 04 fdea 00b4 c0000202 00")}, BGP, "", 95},
		{"LDP", tcp, 646, []said{clientHex("0001 0020 c0000201 0000 0200 0016 00000001" + zeros(18))}, LDP, "", 95},
		{"LDP hello", udp, 646, []said{clientHex("0001 001e c0000201 0000 0100 0014 00000000 0400 0004 000f 0000 0401 0004 c0000201")}, LDP, "", 95},
		{"RIP", udp, 520, []said{clientHex("01 02 0000 0000 0000" + zeros(12) + "00000010")}, RIP, "", 95},
		{"RIPng", udp, 521, []said{clientHex("01 01 0000" + zeros(16) + "0000 00 10")}, RIP, "", 95},
		{"BFD", udp, 3784, []said{clientHex("20 40 03 18 00000001 00000000 000f4240 000f4240 00000000")}, BFD, "", 95},
		{"HSRP", udp, 1985, []said{clientHex("00 00 10 03 0a 78 01 00 636973636f000000 c0a80001")}, HSRP, "", 95},
		{"HSRP version 2", udp, 1985, []said{clientHex("01 28 02 00 06 04 0001" + zeros(36))}, HSRP, "", 95},
		{"NAT-PMP", udp, 5351, []said{clientHex("0000"), serverHex("0080 0000 00000001 c6336407")}, NATPMP, "", 95},
		{"PCP", udp, 5351, []said{clientHex("02 01 0000 00000e10" + zeros(16) + noise(36))}, NATPMP, "", 95},
		{"PTP", udp, 319, []said{clientHex("00 02 002c" + zeros(40))}, PTP, "", 95},
		{"NetFlow 5", udp, 2055, []said{clientHex("0005 0001" + noise(20+48))}, NetFlow, "", 95},
		{"NetFlow 9", udp, 2055, []said{clientHex("0009 0001 00000001 65a0b0c0 00000001 00000000 0000 000c 0100 0001 0008 0004")}, NetFlow, "", 95},
		{"IPFIX", udp, 4739, []said{clientHex("000a 001c 65a0b0c0 00000001 00000000 0002 000c 0100 0001 0008 0004")}, NetFlow, "", 95},
		{"sFlow", udp, 6343, []said{clientHex("00000005 00000001 c0000201 00000000 00000001 00000001 00000001 00000001 00000080" + noise(128))}, SFlow, "", 95},
		{"Diameter", tcp, 3868, []said{clientHex("01 000080 80 000101 00000000 12345678 12345678 00000108 4000000d"), serverHex("01 000080 00 000101 00000000 12345678 12345678 0000010c 4000000c")}, Diameter, "", 95},
		{"Whois", tcp, 43, []said{clientSays("example.com\r\n")}, Whois, "", 80},
		{"Finger", tcp, 79, []said{clientSays("\r\n")}, Finger, "", 80},
		{"Echo", tcp, 7, []said{clientSays("hello\r\n"), serverSays("hello\r\n")}, Echo, "", 80},
		{"Echo over UDP", udp, 7, []said{clientSays("hello"), serverSays("hello")}, Echo, "", 60},
		{"Chargen", tcp, 19, []said{serverSays(string(pattern))}, Chargen, "", 95},
		{"Chargen over UDP", udp, 19, []said{serverSays(string(pattern))}, Chargen, "", 95},
		{"a probe of traceroute", udp, 33434, []said{clientSays("@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_")}, Unknown, "", 0},
		{"Time", tcp, 37, []said{serverHex("e8c0ffee")}, Time, "", 80},
		{"Bitcoin", tcp, 8333, []said{clientHex("f9beb4d9 76657273696f6e0000000000 66000000 12345678"), serverHex("f9beb4d9 76657273696f6e0000000000 66000000")}, Bitcoin, "", 95},
		{"Ethereum discovery", udp, 30303, []said{clientHex(noise(32+64) + "01 01 c9 04 c3010203 c3010203")}, Ethereum, "", 95},
		{"Ethereum peers", tcp, 30303, []said{clientHex("01b3 04" + noise(61)), serverHex("0195 04" + noise(61))}, Ethereum, "", 95},
		{"Stratum", tcp, 3333, []said{clientSays(`{"id": 1, "method": "mining.subscribe", "params": []}` + "\n")}, Stratum, "", 95},
		{"Stratum for Monero", tcp, 3333, []said{clientSays(`{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"x","pass":"x","agent":"XMRig/6.0"}}` + "\n")}, Stratum, "", 80},
		{"Stratum for Ethereum", tcp, 4444, []said{clientSays(`{"id":1,"jsonrpc":"2.0","method":"eth_submitLogin","params":["0x1"]}` + "\n")}, Stratum, "", 95},
		{"JSON that mines nothing", tcp, 3333, []said{clientSays(`{"id":1,"method":"hello"}` + "\n")}, Unknown, "", 0},
	}
}

func TestRouters(t *testing.T) { checkVectors(t, routerVectors()) }

func TestByIPProtocol(t *testing.T) {
	for p, want := range map[flow.Proto]Protocol{1: ICMP, 2: IGMP, 6: Unknown, 17: Unknown, 47: GRE, 50: ESP, 51: AH, 58: ICMPv6, 89: OSPF, 112: VRRP, 132: SCTP, 253: Unknown} {
		if got := ByIPProtocol(p); got != want {
			t.Errorf("IP protocol %d is %s, want %s", p, got, want)
		}
	}
}
