package dpi

import "bytes"

// RTSP 1.0 and 2.0 (RFC 2326 §6, RFC 7826 §20.2.1): lines like HTTP's with methods and a version of its own.

func readRTSP(v *View, r *Result) Verdict {
	if rtspLine(v.Payload, r) != Found {
		return NotMine
	}
	return Found
}

func readRTSPStream(v *View, r *Result) Verdict { return opening(v, r, rtspLine) }

func rtspLine(b []byte, r *Result) Verdict {
	target, verdict := rtspFirstLine(b, "RTSP/1.0")
	if verdict == NotMine {
		target, verdict = rtspFirstLine(b, "RTSP/2.0")
	}
	if verdict != Found {
		return verdict
	}
	if i := bytes.Index(target, []byte("://")); i > 0 {
		target = target[i+3:]
		if end := bytes.IndexByte(target, '/'); end >= 0 {
			target = target[:end]
		}
		if at := bytes.LastIndexByte(target, '@'); at >= 0 {
			target = target[at+1:]
		}
		keepAddress(target, SourceRTSP, r)
	}
	return Found
}

// rtspFirstLine reads a request's line, or that of an answer, which has no target.
func rtspFirstLine(b []byte, version string) (target []byte, verdict Verdict) {
	if verdict := starts(b, version); verdict == Found {
		return nil, statusLine(b[len(version):], " ")
	} else if verdict == Need {
		return nil, Need
	}
	return requestLine(b, rtspMethod, version)
}

func rtspMethod(name []byte) bool {
	switch string(name) {
	case "OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "ANNOUNCE", "RECORD", "REDIRECT", "GET_PARAMETER", "SET_PARAMETER", "PLAY_NOTIFY":
		return true
	}
	return false
}
