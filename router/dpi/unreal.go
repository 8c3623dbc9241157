package dpi

// Unreal Engine (its source, StatelessConnectHandlerComponent): a handshake before a connection. The first packet is a few flag
// bits and zeros where the server's cookie will be; the server's answer begins with the same bits, and one more. Fortnite is the
// common game; others on the engine cannot be told from it.
func readUnreal(v *View, r *Result) Verdict {
	if len(v.Heads) == 0 {
		b := v.Payload
		if len(b) < 34 || len(b) > 256 || b[3]&8 != 0 || be32(b) == 0 || !allZero(b[10:34]) {
			return NotMine
		}
		return Need
	}
	dir, first, _ := v.datagram(0)
	for i := 1; i < v.datagrams(); i++ {
		from, head, size := v.datagram(i)
		if from != dir && size > 4 {
			if string(head[:3]) == string(first[:3]) && head[3] == first[3]|8 {
				return sure(r, 80)
			}
			return NotMine
		}
	}
	if v.datagrams() >= 4 {
		return NotMine
	}
	return Need
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
