package dpi

// MPEG transport stream over UDP, as television over IP sends it (ISO/IEC 13818-1 §2.4.3): packets of 188 bytes, seven to a datagram.

const (
	tsPacket = 188
	tsSync   = 0x47
)

// readMPEGTS takes a datagram of packets, each with the sync byte, no error and a payload or an adaptation field. Senders that know nothing of
// packets fill their datagrams, and the first of them ends within one: then there must be more of them. One packet alone, as at the end of a
// burst, is not enough.
func readMPEGTS(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < tsPacket {
		return NotMine
	}
	for at := 0; at < len(b); at += tsPacket {
		if b[at] != tsSync || at+3 < len(b) && (b[at+1]&0x80 != 0 || b[at+3]&0x30 == 0) {
			return NotMine
		}
	}
	switch packets := len(b) / tsPacket; {
	case packets > 3:
		return sure(r, 95)
	case len(b)%tsPacket != 0:
		return NotMine
	case packets > 1:
		return sure(r, 80)
	}
	return maybe(r, 50)
}
