package dpi

import "bytes"

// H.323 (ITU-T H.225.0, H.245): calls are set up over TCP in Q.931 messages, which lie in TPKT packets (RFC 1006), and the sides
// tell each other what they are able to do in another connection; gatekeepers are asked over UDP (RAS).

const h225Budget = 1 << 10

// h225Identity is the object identifier of H.225.0 without its version, as packed encoding writes it: {0 0 8 2250 0 v}.
const h225Identity = "\x00\x08\x91\x4a\x00"

// h245Capabilities is how a side's capabilities begin, after their number: the length of an object identifier and {0 0 8 245 0 v}.
const h245Capabilities = "\x06\x00\x08\x81\x75\x00"

// readH225 reads the first message of a call: TPKT, then the header of Q.931 §4 with a call reference of two bytes.
func readH225(v *View, r *Result) Verdict { return opening(v, r, h225) }

func h225(b []byte, r *Result) Verdict {
	if verdict := starts(b, "\x03\x00"); verdict != Found {
		return verdict
	}
	if len(b) < 4 {
		return Need
	}
	size := be16(b[2:])
	if size < 9 {
		return NotMine
	}
	if capabilities := starts(b[4:], "\x02\x70"); capabilities != NotMine {
		if len(b) < 7 {
			return Need
		}
		return starts(b[7:], h245Capabilities)
	}
	if verdict := starts(b[4:], "\x08\x02"); verdict != Found {
		return verdict
	}
	switch {
	case len(b) < 9:
		return Need
	case !q931Message(b[8]):
		return NotMine
	case len(b) < min(size, h225Budget):
		return Need
	case bytes.Contains(b[:min(size, h225Budget)], []byte(h225Identity)):
		return Found
	}
	return sure(r, 80)
}

// q931Message tells the message types that H.225.0 §7.3 uses.
func q931Message(kind byte) bool {
	switch kind {
	case 0x01, 0x02, 0x03, 0x05, 0x07, 0x0d, 0x5a, 0x62, 0x6e, 0x75, 0x7b, 0x7d: // Alerting to Status
		return true
	}
	return false
}

// readRAS takes requests and confirmations, which carry the identifier of H.225.0 near the start. Others have only the number of
// their kind, 0 to 24 in five bits, and are likely at the protocol's own ports.
func readRAS(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 7 || b[0]>>2 > 24 {
		return NotMine
	}
	if at := bytes.Index(b[:min(len(b), 32)], []byte(h225Identity)); at >= 2 && b[at-1] == 6 {
		return Found
	}
	if v.on(1719) || v.on(1718) {
		return maybe(r, 60)
	}
	return NotMine
}
