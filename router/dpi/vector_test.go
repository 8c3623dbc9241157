package dpi

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// vector is a small conversation and what it must be recognised as by all parsers together.
type vector struct {
	name       string
	over       flow.Proto
	server     uint16 // port; the client's is 50000
	said       []said // in order; over UDP one datagram each
	want       Protocol
	host       string
	confidence uint8 // at least
}

// allVectors are those of all parsers.
func allVectors() []vector { return slices.Concat(webVectors(), serviceVectors(), mediaVectors()) }

type said struct {
	by    Direction
	bytes []byte
}

// clientSays and serverSays are what one side said: text, with Go escapes where needed.
func clientSays(text string) said { return said{FromClient, []byte(text)} }
func serverSays(text string) said { return said{FromServer, []byte(text)} }

// clientHex and serverHex take hexadecimal digits with any white space between.
func clientHex(digits string) said { return said{FromClient, unhex(digits)} }
func serverHex(digits string) said { return said{FromServer, unhex(digits)} }

func unhex(digits string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// checkVectors reads each conversation with all parsers, in the whole and cut at every byte, and compares.
func checkVectors(t *testing.T, vectors []vector) {
	t.Helper()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			got, ok := readAll(t, v)
			checkTracker(t, v, &got, ok)
			if v.want == Unknown {
				if ok {
					t.Fatalf("is taken for %s, confidence %d", got.Protocol, got.Confidence)
				}
				return
			}
			if !ok {
				t.Fatalf("not recognised, want %s", v.want)
			}
			if got.Protocol != v.want || string(got.Host()) != v.host || got.Confidence < v.confidence {
				t.Errorf("%s, host %q, confidence %d; want %s, %q, at least %d", got.Protocol, got.Host(), got.Confidence, v.want, v.host, v.confidence)
			}
		})
	}
}

// readAll asks all parsers as a flow's reader does: the first in order of trust that says Found, else the likeliest, when nothing more comes.
// It fails the test when a parser changes its mind.
func readAll(t *testing.T, v vector) (best Result, ok bool) {
	t.Helper()
	for _, p := range Parsers() {
		if p.Over != v.over {
			continue
		}
		verdict, r := readOne(t, p, v)
		switch {
		case verdict == Found:
			return r, true
		case verdict == Likely && (!ok || r.Confidence > best.Confidence):
			best, ok = r, true
		}
	}
	return best, ok
}

// checkTracker has a tracker read the conversation as packets, one for each thing said, and compares what it finds, at once or in the
// end, with what the parsers said.
func checkTracker(t *testing.T, v vector, want *Result, ok bool) {
	t.Helper()
	tr := NewTracker(Limits{}, Parsers())
	var findings []Finding
	tr.Ended = func(f Finding) { findings = append(findings, f) }
	for _, p := range conversation(v) {
		if f, ok := tr.Observe(p.bytes, p.dir, epoch); ok {
			findings = append(findings, f)
		}
	}
	tr.Flush()
	if tr.Len() != 0 || tr.reading != 0 {
		t.Errorf("%d flows, %d readings after Flush", tr.Len(), tr.reading)
	}
	switch {
	case !ok && len(findings) > 0:
		t.Errorf("the tracker finds %s", findings[0].Protocol)
	case ok && len(findings) == 0:
		t.Errorf("the tracker finds nothing, the parsers %s", want.Protocol)
	case ok && (findings[0].Protocol != want.Protocol || findings[0].Host != string(want.Host()) || findings[0].Confidence != want.Confidence):
		t.Errorf("the tracker finds %+v, the parsers %s, %q, %d", findings[0], want.Protocol, want.Host(), want.Confidence)
	}
}

// conversation puts what was said into packets, after the SYN of a stream.
func conversation(v vector) (packets []packetCopy) {
	const client = 50000
	next := [2]uint32{1001, 5001}
	if v.over == flow.ProtoTCP {
		packets = append(packets,
			packetCopy{FromClient, ipv4(v.over, lan, server, tcp(client, v.server, next[0]-1, SYN, nil))},
			packetCopy{FromServer, ipv4(v.over, server, lan, tcp(v.server, client, next[1]-1, SYN|ACK, nil))})
	}
	for _, s := range v.said {
		from, to, sport, dport := lan, server, uint16(client), v.server
		if s.by == FromServer {
			from, to, sport, dport = server, lan, v.server, client
		}
		transport := udp(sport, dport, s.bytes)
		if v.over == flow.ProtoTCP {
			transport = tcp(sport, dport, next[s.by], ACK|PSH, s.bytes)
			next[s.by] += uint32(len(s.bytes))
		}
		packets = append(packets, packetCopy{s.by, ipv4(v.over, from, to, transport)})
	}
	return packets
}

func readOne(t *testing.T, p Parser, v vector) (last Verdict, result Result) {
	t.Helper()
	view := View{Proto: v.over, ClientPort: 50000, ServerPort: v.server}
	settled := false
	ask := func() {
		var r Result
		r.Protocol, r.Confidence = p.Protocol, 95
		verdict := p.Read(&view, &r)
		if settled && verdict != last {
			t.Fatalf("the %s parser says %v after %v (%d client, %d server bytes)", p.Protocol, verdict, last, len(view.Client), len(view.Server))
		}
		last, settled = verdict, verdict == Found || verdict == NotMine
		if verdict == Found || verdict == Likely {
			result = r
		}
	}
	for _, s := range v.said {
		if v.over == flow.ProtoUDP {
			view.Dir, view.Payload = s.by, s.bytes
			if ask(); settled {
				return last, result
			}
			view.Heads = append(view.Heads, headOf(s))
			continue
		}
		side := &view.Client
		if s.by == FromServer {
			side = &view.Server
		}
		for i := range s.bytes {
			if len(*side) < p.Budget {
				*side = append(*side, s.bytes[i])
				ask()
			}
		}
	}
	return last, result
}

func headOf(s said) Head {
	h := Head{Dir: s.by, Size: uint16(min(len(s.bytes), 1<<16-1))}
	h.n = uint8(copy(h.b[:], s.bytes))
	return h
}
