package host

import (
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

// PrivateVendor is the vendor of an address that the device made up itself.
const PrivateVendor = "private address"

// vendorTable lists prefixes that IEEE assigned to makers of things found in homes; by maker, three bytes in hex each.
const vendorTable = `
Raspberry Pi: b827eb dca632 e45f01 d83add 28cdc1 2ccf67
Apple: 000393 000a95 0017f2 001b63 001ec2 0023df 002500 28cfe9 3c0754 a45e60 acbc32 f01898 f40f24 60f81d 14109f 7cd1c3 a82066 c82a14 68a86d 9801a7 90840d 10ddb1
Samsung: 0012fb 001632 001d25 002119 002637 5c0a5b 8c7712 3423ba 781fdb bc72b1 cc07ab d022be e8508b f025b7
Google: 3c5ab4 546009 f4f5d8 f4f5e8 94eb2c 001a11 a47733 20dfb9 48d6d5
Nest: 18b430 641666
Amazon: 00fc8b 44650d 6837e9 747548 84d6d0 f0272d fc65de 50dce7 34d270 40b4cd a002dc ac63be
Microsoft: 000d3a 00125a 0017fa 001dd8 002248 0025ae 0050f2 281878 501ac5 5882a8 6045bd 7c1e52 7ced8d 985fd3
Sony: 00041f 001315 0015c1 0019c5 001d0d 001fa7 00248d 00d9d1 280dfc 2ccc44 709e29 a8e3ee bc60a7 f8d0ac fc0fe6
Nintendo: 0009bf 0017ab 00191d 001bea 001f32 002147 0022d7 0023cc 00241e 0024f3 40f407 58bda3 78a2a0 8ccde8 98b6e9 a4c0e1 b8ae6e e00c7f e0e751
LG: 001c62 001e75 001f6b 0022a9 002483 0025e5 0026e2 10683f 10f96f 58a2b5
Xiaomi: 009ec8 102ab3 14f65a 185936 286c07 3480b3 34ce00 50642b 508f4c 640980 64b473 7451ba 7811dc 8cbebe 98fae3 f0b429 f48b32
Huawei: 001882 001e10 002568 00259e 00464b 00e0fc 04bd70 286ed4 4c5499 78f5fd 80b686 8853d4 ace215 e0247f f4c714
Intel: 001b21 001e67 00216a 0024d7 3ca9f4 3cfdfe 4c3488 5c514f 6805ca 7c7a91 a0369f a434d9 ac7ba1 b4b676 f81654 001500 001302 90e2ba
Realtek: 00e04c
Espressif: 18fe34 240ac4 246f28 30aea4 5ccf7f 600194 68c63a 807d3a 840d8e 84f3eb a020a6 a47b9d ac67b2 b4e62d bcddc2 c44f33 cc50e3 d8a01d ecfabc
Signify (Hue): 001788 ecb5fa
Sonos: 000e58 5caafd 7828ca 949f3e b8e937 347e5c 48a6b8
Roku: 000d4b 080581 ac3a7a b0a737 b83e59 cc6da0 d83134 dc3a5e
TP-Link: 14cc20 50c7bf 60e327 647002 98ded0 a0f3c1 b04e26 c04a00 c4e984 ec086b f4f26d f81a67 10feed 18a6f7
Ubiquiti: 00156d 002722 0418d6 18e829 24a43c 44d9e7 687251 7483c2 788a20 802aa8 b4fbe4 dc9fdb f09fc2 fcecda
MikroTik: 000c42 4c5e0c 64d154 6c3b6b b869f4 cc2de0 d4ca6d e48d8c
Netgear: 00095b 000fb5 00146c 001b2f 001e2a 001f33 00223f 0024b2 0026f2 204e7f 28c68e 2cb05d 30469a 841b5e 9c3dcf a040a0
AVM: 00040e 001a4f 001c4a 001f3f 0024fe 0896d7 246511 3431c4 3810d5 3ca62f 5c4979 7cff4d 9cc7a6 c02506 c80e14 e0286d
D-Link: 00055d 000d88 00179a 001b11 001cf0 0022b0 14d64d 1c7ee5 28107b 340804 84c9b2 b8a386 c8be19
ASUS: 000c6e 00112f 0015f2 001a92 001e8c 002215 002618 08606e 10bf48 14dae9 2c56dc 3085a9 50465d 5404a6 ac220b bcee7b f46d04
Linksys: 000625 000c41 001217 0014bf 001839
Belkin: 001150 08863b 94103e b4750e ec1a59
Synology: 001132
QNAP: 00089b 245ebe
Western Digital: 0090a9 0014ee
Dell: 001422 001ec9 180373 b8ca3a d4bed9 f8b156 f8db88
HP: 001f29 3cd92b 9c8e99
Gigabyte: 001d7d 1c6f65 50e549 74d435 902b34 94de80 fcaa14
MSI: 4ccc6a d8cb8a
ASRock: 002522 bc5ff4 d05099
Supermicro: 002590 0cc47a ac1f6b
Brother: 008077
Canon: 000085 001e8f
Epson: 000048 0026ab 64eb8c ac1826
Hikvision: 2857be 4419b6 4cbd8f 54c415 a41437 b4a382 bcad28 c056e3 c42f90
Dahua: 3cef8c 4c11bf 9002a9 a0bd1d e0508b
Axis: 00408c accc8e b8a44f
Reolink: ec71db
Tesla: 4cfcaa 98ed5c
Netatmo: 70ee50
Withings: 0024e4
Bose: 0452c7 08df1f
Yamaha: 00a0de
Denon: 0005cd
Slim Devices: 000420
Polycom: 0004f2 64167f
Yealink: 001565 805ec0
Cisco: 00000c
VMware: 005056 000c29 000569
VirtualBox: 080027
Xen: 00163e
Parallels: 001c42
Hyper-V: 00155d
`

// vendors finds the maker of a network card by the first three bytes of its address.
type vendors map[[3]byte]string

func newVendors() vendors {
	v := vendors{}
	for line := range strings.Lines(strings.TrimSpace(vendorTable)) {
		name, prefixes, _ := strings.Cut(line, ":")
		for _, p := range strings.Fields(prefixes) {
			if mac, err := flow.ParseMAC(p[:2] + ":" + p[2:4] + ":" + p[4:] + ":00:00:00"); err == nil {
				v[[3]byte(mac[:3])] = name
			}
		}
	}
	return v
}

// of returns "" for a maker that is not in the table.
func (v vendors) of(m flow.MAC) string {
	switch {
	case m.IsZero():
		return ""
	case m.Local():
		return PrivateVendor
	}
	return v[[3]byte(m[:3])]
}
