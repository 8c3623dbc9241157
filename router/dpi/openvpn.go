package dpi

// Opcodes of OpenVPN's packets (draft-openvpn, "OpenVPN Wire Protocol" §2), in the upper five bits of the first byte; the lower
// three are the number of the key.
const (
	openVPNClientReset1 = 1 << 3
	openVPNServerReset1 = 2 << 3
	openVPNClientReset2 = 7 << 3
	openVPNServerReset2 = 8 << 3
	openVPNClientReset3 = 10 << 3 // tls-crypt-v2
)

// readOpenVPN reads the reset that opens a session, and the server's answer.
func readOpenVPN(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 14 || !openVPNReset(b[0]) {
		return NotMine
	}
	if openVPNFirst(b) {
		return sure(r, 95)
	}
	if h := v.answered(); h != nil && len(h.Bytes()) >= 14 && openVPNReset(h.Bytes()[0]) && h.Bytes()[0] != b[0] {
		return sure(r, 80)
	}
	if len(v.Heads) > 2 {
		return NotMine
	}
	return Need
}

// readOpenVPNStream reads the same over TCP, where each packet has its length before it.
func readOpenVPNStream(v *View, r *Result) Verdict {
	return both(openVPNPacket(v.Client, r), openVPNPacket(v.Server, r), r, 80)
}

func openVPNPacket(b []byte, r *Result) Verdict {
	if len(b) > 2 && !openVPNReset(b[2]) || len(b) > 0 && b[0] > 4 {
		return NotMine
	}
	if len(b) < 2 {
		return Need
	}
	length := be16(b)
	if length < 14 {
		return NotMine
	}
	if len(b) < 2+min(length, 96) {
		return Need
	}
	return foundIf(openVPNFirst(b[2:2+min(length, 96)]) || b[2] == openVPNServerReset1 || b[2] == openVPNServerReset2)
}

func openVPNReset(c byte) bool {
	switch c {
	case openVPNClientReset1, openVPNServerReset1, openVPNClientReset2, openVPNServerReset2, openVPNClientReset3:
		return true
	}
	return false
}

// openVPNFirst knows the first packet of a side after opcode and session: without a key of its own it has no
// acknowledgements and number zero; with tls-auth an HMAC (of 16 to 64 bytes), then number one and the time come
// before that; with tls-crypt number one and the time, then the HMAC.
func openVPNFirst(b []byte) bool {
	zero := func(at int) bool { return len(b) >= at+5 && b[at] == 0 && be32(b[at+1:]) == 0 }
	stamp := func(at int) bool { // replay protection: number one (OpenVPN 2.6 sets bits on top of it) and a time since 2001
		if len(b) < at+8 {
			return false
		}
		id, seconds := be32(b[at:]), be32(b[at+4:])
		return (id == 1 || id == 0x0f000001) && seconds > 1_000_000_000
	}
	switch {
	case len(b) == 14 && zero(9):
		return true
	case len(b) >= 54 && stamp(9):
		return true
	}
	for _, hmac := range [...]int{16, 20, 28, 32, 48, 64} {
		if stamp(9+hmac) && (zero(17+hmac) || b[0] == openVPNServerReset2) {
			return true
		}
	}
	return false
}
