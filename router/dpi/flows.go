package dpi

// readNetFlow reads export packets of NetFlow (Cisco, versions 1, 5, 7; RFC 3954 §5 for 9) and IPFIX (RFC 7011 §3.1), whose counts and
// lengths must agree with the datagram.
func readNetFlow(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 16 || b[0] != 0 {
		return NotMine
	}
	count := be16(b[2:])
	switch b[1] {
	case 1:
		return foundIf(count > 0 && count <= 24 && len(b) == 16+52*count)
	case 5:
		return foundIf(count > 0 && count <= 30 && len(b) == 24+48*count)
	case 7:
		return foundIf(count > 0 && count <= 28 && len(b) == 24+52*count)
	case 9:
		return foundIf(len(b) >= 24 && count > 0 && count <= 512 && flowSets(b, 20))
	case 10:
		return foundIf(count == len(b) && flowSets(b, 16))
	}
	return NotMine
}

// flowSets walks the sets, which fill the datagram: templates have low numbers, data those from 256 on.
func flowSets(b []byte, at int) bool {
	sets := 0
	for at+4 <= len(b) {
		id, length := be16(b[at:]), be16(b[at+2:])
		if id > 3 && id < 256 || length < 4 {
			return false
		}
		at += length
		sets++
	}
	return at == len(b) && sets > 0
}

// readSFlow reads a datagram of sFlow version 5 or 4 (sflow.org, "sFlow Version 5" §5): the agent's address, its part, a number, its time, and how many samples follow,
// the first of which is of a known form.
func readSFlow(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 28 || be32(b) != 5 && be32(b) != 4 {
		return NotMine
	}
	at := 8
	switch be32(b[4:]) {
	case 1:
		at += 4
	case 2:
		at += 16
	default:
		return NotMine
	}
	if be32(b) == 5 {
		at += 4
	}
	at += 8
	if len(b) < at+12 {
		return NotMine
	}
	samples, form := be32(b[at:]), be32(b[at+4:])&0xfff
	return foundIf(samples > 0 && samples <= 64 && form >= 1 && form <= 5)
}
