package dpi

import "testing"

// FuzzBencode: a value ends within the bytes, and is the same value without what follows it.
func FuzzBencode(f *testing.F) {
	for _, v := range peerVectors() {
		f.Add(v.said[0].bytes)
	}
	f.Add([]byte("d1:yd1:yi-1ee1:tle1:y1:re"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, n := scanBencode(b)
		if n < 0 || n > len(b) {
			t.Fatalf("a value of %d bytes in %d", n, len(b))
		}
		if again, same := scanBencode(b[:n]); n > 0 && (same != n || again != m) {
			t.Fatalf("%+v, %d bytes; without the rest %+v, %d bytes", m, n, again, same)
		}
	})
}

// FuzzLines: the verdict on a first line settles once, byte by byte.
func FuzzLines(f *testing.F) {
	for _, v := range signallingVectors() {
		f.Add(v.said[0].bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), lineBudget)]
		for name, read := range map[string]func([]byte, *Result) Verdict{"SIP": sipLine, "RTSP": rtspLine, "H.225": h225, "STUN": stunStream} {
			last, host := Need, ""
			for n := range len(b) + 1 {
				var r Result
				verdict := read(b[:n], &r)
				if settled := last == Found || last == NotMine; settled && (verdict != last || string(r.Host()) != host) {
					t.Fatalf("%s: %v, %q after %v, %q at %d bytes", name, verdict, r.Host(), last, host, n)
				}
				last, host = verdict, string(r.Host())
			}
		}
	})
}

// FuzzCalls: what shares a flow with STUN is taken apart without harm, whatever comes after a request.
func FuzzCalls(f *testing.F) {
	for _, v := range append(dtlsVectors(), stunVectors()...) {
		f.Add(v.said[len(v.said)-1].bytes)
	}
	request := headOf(clientHex(stunRequest))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Result
		after := View{Proto: overUDP, Payload: b, Heads: []Head{request}}
		if verdict := readSTUN(&after, &r); verdict != Likely && verdict != Found {
			t.Fatalf("a flow that began with STUN is %v", verdict)
		}
		alone := View{Proto: overUDP, Payload: b}
		r.reset(DTLS)
		if verdict := readDTLS(&alone, &r); verdict != Found && verdict != NotMine {
			t.Fatalf("one datagram is %v", verdict)
		}
	})
}
