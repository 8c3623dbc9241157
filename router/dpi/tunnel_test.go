package dpi

import (
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

func zeros(n int) string { return strings.Repeat("00", n) }

// noise is n bytes that mean nothing, in hexadecimal digits.
func noise(n int) string { return strings.Repeat("b7", n) }

func tunnelVectors() []vector {
	const udp, tcp = flow.ProtoUDP, flow.ProtoTCP
	session := "1122334455667788"
	return []vector{
		{"WireGuard initiation", udp, 51820, []said{clientHex("01000000" + noise(144))}, WireGuard, "", 95},
		{"WireGuard with a mark", udp, 2408, []said{clientHex("01a1b2c3 11223344" + noise(140)), serverHex("02a1b2c3 55667788 11223344" + noise(80))}, WireGuard, "", 95},
		{"WireGuard with a mark, another's answer", udp, 2408, []said{clientHex("01a1b2c3 11223344" + noise(140)), serverHex("02a1b2c3 55667788 11223345" + noise(80))}, Unknown, "", 0},
		{"WireGuard answer", udp, 51820, []said{serverHex("02000000" + noise(88))}, WireGuard, "", 95},
		{"WireGuard cookie", udp, 51820, []said{serverHex("03000000" + noise(60))}, WireGuard, "", 95},
		{"WireGuard keepalive", udp, 51820, []said{clientHex("04000000 12345678 0500000000000000" + noise(16))}, WireGuard, "", 80},
		{"WireGuard data", udp, 51820, []said{clientHex("04000000 12345678 0500000000000000" + noise(16)), clientHex("04000000 12345678 0600000000000000" + noise(96))}, WireGuard, "", 95},
		{"OpenVPN", udp, 1194, []said{clientHex("38" + session + "00 00000000"), serverHex("40 8877665544332211 01 00000000" + session + "00000000")}, OpenVPN, "", 95},
		{"OpenVPN with tls-auth, SHA-1", udp, 1194, []said{clientHex("38" + session + noise(20) + "00000001 65a0b0c0 00 00000000")}, OpenVPN, "", 95},
		{"OpenVPN with tls-auth, SHA-512", udp, 1194, []said{clientHex("38" + session + noise(64) + "00000001 65a0b0c0 00 00000000")}, OpenVPN, "", 95},
		{"OpenVPN with tls-crypt", udp, 1194, []said{clientHex("38" + session + "0f000001 65a0b0c0" + noise(32+5))}, OpenVPN, "", 95},
		{"OpenVPN, unusual, told by the answer", udp, 1194, []said{clientHex("38" + session + noise(40)), serverHex("40" + noise(40))}, OpenVPN, "", 80},
		{"OpenVPN over TCP", tcp, 443, []said{clientHex("000e 38" + session + "00 00000000"), serverHex("001a 40 8877665544332211 01 00000000" + session + "00000000")}, OpenVPN, "", 95},
		{"IKE v2", udp, 500, []said{clientHex(session + zeros(8) + "21 20 22 08 00000000 00000024" + noise(8))}, IKE, "", 95},
		{"IKE v1", udp, 500, []said{clientHex(session + zeros(8) + "01 10 02 00 00000000 00000024" + noise(8))}, IKE, "", 95},
		{"IKE behind translation", udp, 4500, []said{clientHex("00000000" + session + session + "2e 20 23 08 00000001 00000024" + noise(8))}, IKE, "", 95},
		{"IKE over TCP", tcp, 4500, []said{clientSays("IKETCP\x00\x28")}, IKE, "", 95},
		{"ESP in UDP", udp, 4500, []said{clientHex("c0ffee01 00000001" + noise(64)), clientHex("c0ffee01 00000002" + noise(64))}, ESP, "", 80},
		{"L2TP", udp, 1701, []said{clientHex("c802 0014 0000 0000 0000 0000 8008 0000 0000 0001")}, L2TP, "", 95},
		{"L2TP version 3", udp, 1701, []said{clientHex("c803 0014 00000000 0000 0000 8008 0000 0000 0001")}, L2TP, "", 95},
		{"PPTP", tcp, 1723, []said{clientHex("009c 0001 1a2b3c4d 0001 0000 0100 0000" + zeros(8)), serverHex("009c 0001 1a2b3c4d 0002 0000 0100 0100")}, PPTP, "", 95},
		{"SOCKS 5", tcp, 1080, []said{clientHex("05 01 00"), serverHex("05 00"), clientHex("05 01 00 03 0b 6578616d706c652e636f6d 01bb"), serverHex("05 00 00 01 00000000 0000")}, SOCKS, "example.com", 95},
		{"SOCKS 5 to an address", tcp, 1080, []said{clientHex("05 02 00 01"), serverHex("05 00"), clientHex("05 01 00 01 c6336407 0050")}, SOCKS, "", 95},
		{"SOCKS 5 with a password", tcp, 1080, []said{clientHex("05 02 00 02"), serverHex("05 02"), clientHex("01 02 6d65 03 707770"), serverHex("01 00"), clientHex("05 01 00 03 0b 6578616d706c652e636f6d 01bb")}, SOCKS, "example.com", 95},
		{"SOCKS 5 without a request", tcp, 1080, []said{clientHex("05 01 00"), serverHex("05 ff")}, SOCKS, "", 80},
		{"SOCKS 4", tcp, 1080, []said{clientHex("04 01 0050 c6336407 6d6500"), serverHex("00 5a 0050 c6336407")}, SOCKS, "", 95},
		{"SOCKS 4A", tcp, 1080, []said{clientHex("04 01 01bb 00000001 00 6578616d706c652e636f6d 00"), serverHex("00 5a 0000 00000000")}, SOCKS, "example.com", 95},
		{"ZeroTier", udp, 9993, []said{clientHex(noise(8) + "0102030405 0a0b0c0d0e 00" + noise(8) + "01 0b 01 0a 0002 0000018c00000000 0a0b0c0d0e 00" + noise(64))}, ZeroTier, "", 95},
		{"Tailscale", udp, 41641, []said{clientHex("5453f09f92ac" + noise(32+24+40))}, Tailscale, "", 95},
		{"VXLAN", udp, 4789, []said{clientHex("08000000 00002a00 ffffffffffff 020000000001 0806" + zeros(28))}, VXLAN, "", 95},
		{"Teredo", udp, 3544, []said{clientHex("6000 0000 0004 3aff 20010000 41379e50 8000f227 bea6a5b4 20014860" + zeros(12) + "80000000")}, Teredo, "", 95},
		{"Teredo with authentication", udp, 3544, []said{clientHex("0001 00 00" + noise(8) + "00 6000 0000 0004 3aff fe80" + zeros(14) + "ff02" + zeros(14) + "85000000")}, Teredo, "", 95},
		{"GTP user data", udp, 2152, []said{clientHex("30ff 0014 00000001 4500 0014 00000000 4011 0000 0a000001 0a000002")}, GTP, "", 95},
		{"GTP version 2 of a wrong length", udp, 2123, []said{clientHex("4801 001d 0000 000001 0000 03 0001 00 05" + "ab")}, Unknown, "", 0},
		{"GTP version 2 echo", udp, 2123, []said{clientHex("4001 0009 000001 00 03 0001 00 05")}, GTP, "", 95},
		{"SoftEther", udp, 5004, []said{clientSays("A"), serverSays("IP=203.0.113.7,PORT=50000")}, SoftEther, "", 95},
	}
}

func TestTunnels(t *testing.T) { checkVectors(t, tunnelVectors()) }
