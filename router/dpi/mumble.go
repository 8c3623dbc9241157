package dpi

import "encoding/binary"

// Mumble (its protocol documentation, "UDP ping"): twelve bytes ask, twenty-four answer with the same number. Voice is encrypted,
// and control is TLS.

const mumblePort = 64738

func readMumble(v *View, r *Result) Verdict {
	_, ask, size := v.datagram(0)
	if size != 12 || len(ask) < 12 || be32(ask) != 0 || binary.BigEndian.Uint64(ask[4:]) == 0 {
		return NotMine
	}
	for i := 1; i < v.datagrams(); i++ {
		_, head, size := v.datagram(i)
		if size == 24 && string(head[4:12]) == string(ask[4:12]) && head[0] == 0 && head[1] <= 2 {
			return Found
		}
	}
	if v.datagrams() >= 4 {
		return NotMine
	}
	if v.on(mumblePort) {
		return maybe(r, 60)
	}
	return Need
}
