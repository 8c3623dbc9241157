package dpi

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

func mediaVectors() []vector {
	return slices.Concat(stunVectors(), dtlsVectors(), rtpVectors(), signallingVectors(), streamingVectors(), messengerVectors(), peerVectors(), gameVectors())
}

func TestMedia(t *testing.T) { checkVectors(t, mediaVectors()) }

// takers says which parsers take a flow of datagrams for their own.
func takers(parsers []Parser, server uint16, datagrams []said) (found, likely []Protocol) {
	for _, p := range parsers {
		if p.Over != overUDP {
			continue
		}
		view := View{Proto: overUDP, ClientPort: 50000, ServerPort: server}
		last, r := Need, Result{}
		for _, s := range datagrams {
			view.Dir, view.Payload = s.by, s.bytes
			r.reset(p.Protocol)
			if last = p.Read(&view, &r); last == Found || last == NotMine {
				break
			}
			view.Heads = append(view.Heads, headOf(s))
		}
		switch last {
		case Found:
			found = append(found, r.Protocol)
		case Likely:
			likely = append(likely, r.Protocol)
		}
	}
	return found, likely
}

func randomBytes(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// TestMediaAgainstNoise: of random datagrams and of flows of them, at most one in a thousand is taken for anything.
func TestMediaAgainstNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	parsers := mediaParsers()
	ports := []uint16{40000, 443, 500, 3074, 3478, 5060, 7987, 8801, 27015, 64738}
	for _, length := range []int{1, 8} {
		count, taken := 100_000/length, map[Protocol]int{}
		for i := range count {
			var talk []said
			for range length {
				talk = append(talk, said{Direction(random.IntN(2)), randomBytes(random, random.IntN(300))})
			}
			found, likely := takers(parsers, ports[i%len(ports)], talk)
			for _, p := range append(found, likely...) {
				taken[p]++
			}
		}
		total := 0
		for p, n := range taken {
			t.Logf("%s: %d of %d flows of %d random datagrams", p, n, count, length)
			total += n
		}
		if total > count/1000 {
			t.Errorf("%d of %d flows of %d random datagrams are taken for something", total, count, length)
		}
	}
}

// TestMediaAgainstCounters: protocols of one's own often begin with a fixed word and a counter. They are not RTP.
func TestMediaAgainstCounters(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	parsers := mediaParsers()
	const count = 20_000
	taken := map[Protocol]int{}
	for range count {
		fixed, order, start := randomBytes(random, 1+random.IntN(4)), random.IntN(2), random.Uint32()
		var talk []said
		for i := range 8 {
			b := slices.Clone(fixed)
			if order == 0 {
				b = binary.BigEndian.AppendUint32(b, start+uint32(i))
			} else {
				b = binary.LittleEndian.AppendUint32(b, start+uint32(i))
			}
			talk = append(talk, said{Direction(i & 1), append(b, randomBytes(random, 16+random.IntN(100))...)})
		}
		found, likely := takers(parsers, 40000, talk)
		for _, p := range append(found, likely...) {
			taken[p]++
		}
	}
	for p, n := range taken {
		if n > count/1000 {
			t.Errorf("%s takes %d of %d flows with a counter", p, n, count)
		}
	}
}

// TestMediaAgainstOthers: no parser takes a datagram of another protocol.
func TestMediaAgainstOthers(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	own := map[string][]Protocol{
		"Zoom video": {ZoomMedia}, "RakNet ping": {RakNet}, "STUN": {STUN}, "RTP": {RTP}, "uTP": {BitTorrent}, "BitTorrent DHT": {BitTorrent},
		"Source engine query": {SourceEngine},
	}
	parsers := mediaParsers()
	for range 200 {
		for name, b := range strangers(random) {
			found, likely := takers(parsers, 40000, []said{{FromClient, b}})
			for _, p := range append(found, likely...) {
				if !slices.Contains(own[name], p) {
					t.Errorf("%s is taken for %s", name, p)
				}
			}
		}
	}
	for _, v := range serviceVectors() {
		if v.over != overUDP || v.want == Unknown {
			continue
		}
		if found, likely := takers(parsers, v.server, v.said); len(found)+len(likely) > 0 {
			t.Errorf("%s (%s) is taken for %s %s", v.name, v.want, found, likely)
		}
	}
}
