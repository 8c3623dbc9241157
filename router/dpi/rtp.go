package dpi

import "encoding/binary"

// RTP and RTCP (RFC 3550), which have no signature: only what datagrams agree on tells them.

// rtpHeader is what the first twelve bytes say (RFC 3550 §5.1).
type rtpHeader struct {
	kind        uint8 // payload type
	seq         uint16
	stamp, ssrc uint32
}

// maxRTPGap is how many numbers two datagrams of a stream, one after the other in a capture, may be apart.
const maxRTPGap = 128

// readRTP says Found when four datagrams go on from one another. One alone is likely only for telephony: a static type with
// frames of a whole number of milliseconds.
func readRTP(v *View, r *Result) Verdict {
	_, head, size := v.datagram(0)
	first, isRTP := parseRTP(head, size)
	if _, isRTCP := parseRTCP(head, size); !isRTP && !isRTCP {
		return NotMine
	}
	rtp, rtcp := mediaAgreement(v)
	switch {
	case rtp >= 3:
		return sure(r, 85)
	case rtp > 0:
		return maybe(r, 50+15*uint8(rtp))
	case rtcp >= 3 && v.datagrams() == rtcp+1:
		r.Protocol = RTCP
		return sure(r, 85)
	case rtcp > 0:
		r.Protocol = RTCP
		return maybe(r, 80)
	case v.datagrams() >= 6:
		return NotMine
	case !isRTP: // its header fits the datagram in 32 bits
		r.Protocol = RTCP
		return maybe(r, 70)
	case isTelephony(first, head[0], size):
		return maybe(r, 60)
	}
	return Need
}

// rtpBudget holds three frames over TCP.
const rtpBudget = 3 * 1500

// readRTPStream reads RTP over TCP, in frames with a length (RFC 4571): found when three go on from one another.
func readRTPStream(v *View, r *Result) Verdict { return opening(v, r, rtpFrames) }

func rtpFrames(b []byte, r *Result) Verdict {
	var prev rtpHeader
	for n := range 3 {
		if len(b) < 2 {
			return rtpFramesSoFar(n, r)
		}
		size := be16(b)
		if len(b) < 2+12 {
			if size < 13 || len(b) > 2 && b[2]>>6 != 2 {
				return NotMine
			}
			return rtpFramesSoFar(n, r)
		}
		h, ok := parseRTP(b[2:], size)
		if !ok || n > 0 && !h.follows(prev) {
			return NotMine
		}
		prev, b = h, b[min(len(b), 2+size):]
	}
	return sure(r, 85)
}

func rtpFramesSoFar(n int, r *Result) Verdict {
	if n < 2 {
		return Need
	}
	return maybe(r, 60)
}

// mediaAgreement counts the datagrams that go on from an earlier one of the same sender and source: RTP with
// numbers and time that run on, RTCP with the same source.
func mediaAgreement(v *View) (rtp, rtcp int) {
	for i := 1; i < v.datagrams(); i++ {
		dir, head, size := v.datagram(i)
		if h, ok := parseRTP(head, size); ok {
			if followsRTP(v, i, dir, h) {
				rtp++
			}
		} else if ssrc, ok := parseRTCP(head, size); ok && followsRTCP(v, i, dir, ssrc) {
			rtcp++
		}
	}
	return rtp, rtcp
}

// followsRTP looks for the newest earlier datagram of the same stream.
func followsRTP(v *View, i int, dir Direction, h rtpHeader) bool {
	for i--; i >= 0; i-- {
		from, head, size := v.datagram(i)
		if prev, ok := parseRTP(head, size); ok && from == dir && prev.ssrc == h.ssrc {
			return h.follows(prev)
		}
	}
	return false
}

// follows tells whether h goes on from the one before it: number and time wrap round.
func (h rtpHeader) follows(prev rtpHeader) bool {
	gap := h.seq - prev.seq
	return h.ssrc == prev.ssrc && gap > 0 && gap <= maxRTPGap && h.stamp-prev.stamp < 1<<24
}

func followsRTCP(v *View, i int, dir Direction, ssrc uint32) bool {
	for i--; i >= 0; i-- {
		from, head, size := v.datagram(i)
		if prev, ok := parseRTCP(head, size); ok && from == dir {
			return prev == ssrc
		}
	}
	return false
}

// parseRTP checks version and size, and that the types of RTCP and those reserved on its account (RFC 5761 §4) are not used.
func parseRTP(head []byte, size int) (h rtpHeader, ok bool) {
	if len(head) < 12 || head[0]>>6 != 2 {
		return h, false
	}
	h.kind = head[1] & 0x7f
	if h.kind >= 64 && h.kind < 96 || size <= 12+4*int(head[0]&15) {
		return h, false
	}
	h.seq, h.stamp, h.ssrc = binary.BigEndian.Uint16(head[2:]), be32(head[4:]), be32(head[8:])
	return h, h.ssrc != 0
}

// parseRTCP checks the header of the first packet (RFC 3550 §6.4, RFC 4585 §6.1, RFC 3611 §2) and returns its source.
func parseRTCP(head []byte, size int) (ssrc uint32, ok bool) {
	if len(head) < 8 || head[0]>>6 != 2 || head[1] < 200 || head[1] > 207 {
		return 0, false
	}
	words, reports := be16(head[2:]), int(head[0]&31)
	if 4+4*words > size {
		return 0, false
	}
	switch head[1] {
	case 200:
		ok = words >= 6+6*reports
	case 201:
		ok = words >= 1+6*reports
	default:
		ok = words >= 1
	}
	ssrc = be32(head[4:])
	return ssrc, ok && ssrc != 0
}

// isTelephony checks a datagram for a static audio type (RFC 3551 §6) and 10 to 60 ms of it.
func isTelephony(h rtpHeader, flags byte, size int) bool {
	if flags != 0x80 {
		return false
	}
	var frame int // bytes of 10 ms, or of one frame
	switch h.kind {
	case 0, 8, 9: // G.711, G.722
		frame = 80
	case 3: // GSM
		frame = 33
	case 4: // G.723
		frame = 24
	case 18: // G.729
		frame = 10
	default:
		return false
	}
	n := size - 12
	return n%frame == 0 && n <= 6*frame
}
