package dpi

import "bytes"

// RTMP (Adobe's specification 1.0, §5.2): each side sends a version and 1,536 bytes, then an echo of the other's.

const (
	rtmpHello  = 1 + 1536
	rtmpBudget = rtmpHello + 8
)

// readRTMP waits for both hellos. The client's echo of the server's time proves it; clients that sign their hello
// instead are told by the size of it.
func readRTMP(v *View, r *Result) Verdict {
	c, s := v.Client, v.Server
	switch {
	case len(c) > 0 && c[0] != 3, len(c) > 8 && !rtmpVersion(c[5:9]), len(s) > 0 && s[0] != 3:
		return NotMine
	case len(c) < rtmpHello:
		return Need
	case len(s) == 0:
		return maybe(r, 60)
	case len(s) < 5 || len(c) < rtmpBudget:
		return maybe(r, 80)
	case bytes.Equal(c[rtmpHello:rtmpHello+4], s[1:5]):
		return Found
	}
	return sure(r, 80)
}

// rtmpVersion checks the four bytes after the time: zeros, or the version of the client that signs its hello (9.0.124.2).
func rtmpVersion(b []byte) bool {
	return be32(b) == 0 || b[1] == 0 && (b[0] >= 9 && b[0] <= 32 || b[0] == 128)
}
