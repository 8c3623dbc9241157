package dpi

// readWireGuard reads the four messages of WireGuard (whitepaper §5.4): a type, three zero bytes, and a size that the type fixes.
func readWireGuard(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 32 || b[0] < 1 || b[0] > 4 {
		return NotMine
	}
	if b[1]|b[2]|b[3] != 0 {
		return readMarkedWireGuard(v, r)
	}
	switch b[0] {
	case 1:
		if len(b) == 148 {
			return sure(r, 95)
		}
	case 2:
		if len(b) == 92 {
			return sure(r, 95)
		}
	case 3:
		if len(b) == 64 {
			return sure(r, 95)
		}
	case 4: // data: the receiver's index, then a counter; the ciphertext is padded to 16 bytes
		if len(b)%16 != 0 || b[15]|b[14] != 0 {
			return NotMine
		}
		for i := range v.Heads {
			h := v.Heads[i].Bytes()
			if v.Heads[i].Dir == v.Dir && len(h) > 8 && string(h[:8]) == string(b[:8]) {
				return sure(r, 95)
			}
		}
		return maybe(r, 80)
	}
	return NotMine
}

// readMarkedWireGuard reads the handshake of services that write a mark of their own into the three bytes, as Cloudflare's WARP does: an initiation, then an
// answer, both of the right size, and the answer names the sender of the initiation.
func readMarkedWireGuard(v *View, r *Result) Verdict {
	b := v.Payload
	if b[0] == 1 && len(b) == 148 && len(v.Heads) < 4 {
		return Need
	}
	h := v.answered()
	if b[0] != 2 || len(b) != 92 || h == nil || h.Size != 148 {
		return NotMine
	}
	first := h.Bytes()
	return foundIf(first[0] == 1 && string(first[4:8]) == string(b[8:12]))
}
