package dpi

import "bytes"

// RakNet (its source, OfflineMessages): what is said before a connection carries 16 magic bytes. Minecraft: Bedrock Edition
// is RakNet and says so when it answers a ping; others, Roblox among them, put a header of
// their own before it.

const raknetMagic = "\x00\xff\xff\x00\xfe\xfe\xfe\xfe\xfd\xfd\xfd\xfd\x12\x34\x56\x78"

const (
	raknetPing     = 0x01
	raknetPingOpen = 0x02
	raknetPong     = 0x1c
	raknetProbe    = 1200 // bytes of a request that also measures the path
	raknetOwn      = 32   // where the magic is after a header of one's own
)

// readRakNet waits after a ping for the pong, which names the game.
func readRakNet(v *View, r *Result) Verdict {
	b := v.Payload
	_, first, size := v.datagram(0)
	if raknetConnected(first, size) {
		return raknetConnection(v, r)
	}
	at := raknetOffset(b)
	switch {
	case at < 0 && len(v.Heads) == 0:
		return NotMine
	case at < 0:
		return Likely // it pinged, then came something else
	case at == raknetOwn:
		return sure(r, 90)
	case b[0] == raknetPing || b[0] == raknetPingOpen:
		return Likely
	case b[0] == raknetPong && isBedrockPong(b):
		r.Protocol = Minecraft
	}
	return Found
}

// raknetConnection reads a connection from the middle: two datagrams of its form are enough.
func raknetConnection(v *View, r *Result) Verdict {
	agree := 0
	for i := range v.datagrams() {
		if _, head, size := v.datagram(i); raknetConnected(head, size) {
			agree++
		}
	}
	switch {
	case agree >= 2:
		return sure(r, 80)
	case v.datagrams() >= 6:
		return NotMine
	}
	return maybe(r, 60)
}

// raknetConnected checks a datagram of one frame, or one that acknowledges a number or a range of them (RakNet's source,
// ReliabilityLayer).
func raknetConnected(head []byte, size int) bool {
	switch {
	case len(head) < 7:
		return false
	case head[0] == 0xc0 || head[0] == 0xa0: // ACK, NAK: count, then whether it is a single number
		return be16(head[1:]) == 1 && (head[3] == 1 && size == 7 || head[3] == 0 && size == 10)
	case head[0] < 0x80 || head[0] > 0x8d || head[4]&15 != 0:
		return false
	}
	n := 4 + 3 + be16(head[5:])/8 // number; flags and length in bits; payload
	kind, split := head[4]>>5, head[4]&16 != 0
	if kind >= 2 && kind <= 4 || kind >= 6 { // reliable
		n += 3
	}
	if kind == 1 || kind == 4 { // sequenced
		n += 3
	}
	if kind == 1 || kind == 3 || kind == 4 || kind == 7 { // ordered
		n += 4
	}
	if split {
		n += 10
	}
	return be16(head[5:])&7 == 0 && be16(head[5:]) > 0 && n == size
}

// raknetOffset finds the magic where the message's kind has it; -1 when it is not there.
func raknetOffset(b []byte) int {
	if len(b) < 17 {
		return -1
	}
	at := 1 // requests and replies to open
	switch b[0] {
	case raknetPing, raknetPingOpen:
		at = 9 // after the time
	case raknetPong:
		at = 17 // after the time and the server's number
	case 0x19: // incompatible version
		at = 2
	}
	if len(b) >= at+16 && string(b[at:at+16]) == raknetMagic {
		return at
	}
	if len(b) >= raknetProbe && string(b[raknetOwn:raknetOwn+16]) == raknetMagic {
		return raknetOwn
	}
	return -1
}

// isBedrockPong looks at the text after the magic and its length.
func isBedrockPong(b []byte) bool {
	const text = 17 + 16 + 2
	return len(b) > text && (bytes.HasPrefix(b[text:], []byte("MCPE;")) || bytes.HasPrefix(b[text:], []byte("MCEE;")))
}
