package dpi

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

func serviceVectors() []vector {
	return slices.Concat(nameVectors(), talkVectors(), tunnelVectors(), networkVectors(), remoteVectors(), storageVectors(), thingVectors(), routerVectors(), officeVectors())
}

// ownParsers are those that these tests are about.
func ownParsers() []Parser { return slices.Concat(serviceParsers(), weakParsers()) }

// TestNoOrderMatters: however the bytes of the two sides of a stream mix, a settled verdict stays and is the same.
func TestNoOrderMatters(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, v := range serviceVectors() {
		if v.over != flow.ProtoTCP {
			continue
		}
		var sides [2][]byte
		for _, s := range v.said {
			sides[s.by] = append(sides[s.by], s.bytes...)
		}
		for i, p := range ownParsers() {
			if p.Over != v.over {
				continue
			}
			for range 20 {
				view := View{Proto: v.over, ClientPort: 50000, ServerPort: v.server}
				last := Need
				for c, s := 0, 0; c < len(sides[0]) || s < len(sides[1]); {
					if s == len(sides[1]) || c < len(sides[0]) && random.IntN(2) == 0 {
						c = min(len(sides[0]), c+1+random.IntN(9))
					} else {
						s = min(len(sides[1]), s+1+random.IntN(9))
					}
					view.Client, view.Server = sides[0][:min(c, p.Budget)], sides[1][:min(s, p.Budget)]
					r := Result{Protocol: p.Protocol}
					verdict := p.Read(&view, &r)
					if (last == Found || last == NotMine) && verdict != last {
						t.Fatalf("%s: parser %d (%s) says %v after %v at %d client and %d server bytes", v.name, i, p.Protocol, verdict, last, c, s)
					}
					last = verdict
				}
			}
		}
	}
}

// TestNobodyElse: no other parser of these is sure of a conversation that is not its own, so that their order decides nothing.
func TestNobodyElse(t *testing.T) {
	for _, v := range serviceVectors() {
		if v.want == Unknown {
			continue
		}
		for i, p := range ownParsers() {
			if p.Over != v.over {
				continue
			}
			if verdict, r := readOne(t, p, v); verdict == Found && r.Protocol != v.want {
				t.Errorf("%s: parser %d finds %s", v.name, i, r.Protocol)
			}
		}
	}
}

// TestNoAllocations: no parser allocates on any conversation of the tests.
func TestNoAllocations(t *testing.T) {
	parsers := ownParsers()
	for _, v := range serviceVectors() {
		view := View{Proto: v.over, ClientPort: 50000, ServerPort: v.server}
		for _, s := range v.said {
			if view.Payload, view.Dir = s.bytes, s.by; s.by == FromClient {
				view.Client = append(view.Client, s.bytes...)
			} else {
				view.Server = append(view.Server, s.bytes...)
			}
		}
		var r Result
		if n := testing.AllocsPerRun(2, func() {
			for i := range parsers {
				if parsers[i].Over == v.over {
					r.Protocol = parsers[i].Protocol
					parsers[i].Read(&view, &r)
				}
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", v.name, n)
		}
	}
}

// strangers are datagrams of protocols that have parsers elsewhere or none.
func strangers(random *rand.Rand) map[string][]byte {
	fill := func(head string, n int) []byte {
		b := unhex(head)
		for len(b) < n {
			b = append(b, byte(random.Uint32()))
		}
		return b
	}
	return map[string][]byte{
		"Zoom video":          fill("05 0010 1a2b 00000000 0f 0a 0b", 900),
		"RakNet ping":         fill("01 0000000000001234 00ffff00fefefefefdfdfdfd12345678", 33),
		"RakNet data":         fill("84 010000 40", 200),
		"QUIC short header":   fill("4f", 60+random.IntN(1200)),
		"STUN":                fill("0001 0000 2112a442", 20),
		"RTP":                 fill("80 60", 172),
		"DTLS":                fill("17 fefd 0001", 80),
		"uTP":                 fill("2102", 20),
		"DNS, for the others": fill("1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001", 0),
		"WireGuard, likewise": fill("01000000", 148),
		"DHCP, likewise":      unhex("01 01 06 00 3903f326" + zeros(228) + "63825363 350101 ff"),
		"BitTorrent DHT":      []byte("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"),
		"an empty datagram":   {},
		"a single zero":       {0},
		"Source engine query": []byte("\xff\xff\xff\xffTSource Engine Query\x00"),
		"text":                []byte("just a line of text, nothing else\n"),
		"JSON":                []byte(`{"hello":"world","n":1}`),
		"XML":                 []byte(`<?xml version="1.0"?><hello/>`),
	}
}

// TestStrangersOverUDP: no UDP parser takes what is not its own, and at most one of 1,000 random datagrams.
func TestStrangersOverUDP(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	own := map[string]Protocol{"DNS, for the others": DNS, "WireGuard, likewise": WireGuard, "DHCP, likewise": DHCP}
	const count = 100_000
	taken := map[string]int{}
	for _, port := range []uint16{40000, 53, 67, 123, 137, 161, 443, 500, 514, 1194, 1701, 1812, 1900, 3478, 4500, 4789, 5353, 5683, 8000, 51820} {
		for range 20 {
			for name, b := range strangers(random) {
				for i, p := range ownParsers() {
					if p.Over != flow.ProtoUDP || p.Protocol == own[name] {
						continue
					}
					r := Result{Protocol: p.Protocol, Confidence: 95}
					verdict := p.Read(&View{Proto: p.Over, ClientPort: 50000, ServerPort: port, Payload: b}, &r)
					if verdict == Found {
						t.Errorf("parser %d (%s) takes %s on port %d", i, p.Protocol, name, port)
					}
				}
			}
		}
	}
	for range count {
		b := make([]byte, random.IntN(300))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		for i, p := range ownParsers() {
			if p.Over != flow.ProtoUDP {
				continue
			}
			r := Result{Protocol: p.Protocol, Confidence: 95}
			if verdict := p.Read(&View{Proto: p.Over, ClientPort: 50000, ServerPort: 40000, Payload: b}, &r); verdict == Found || verdict == Likely {
				taken[fmt.Sprint(p.Protocol, i)]++
			}
		}
	}
	for name, n := range taken {
		if n > count/1000 {
			t.Errorf("%s takes %d of %d random datagrams", name, n, count)
		}
	}
}

// TestStrangersOverTCP: the same for streams: random bytes, and English from either side.
func TestStrangersOverTCP(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	words := []string{"the", "user", "list", "of", "Mail", "from", "get", "Server", "help", "quit", "total", "and", "info", "connect", "OK", "PING", "a1", "set"}
	english := func() []byte {
		var b []byte
		for range 3 + random.IntN(20) {
			b = append(b, words[random.IntN(len(words))]...)
			b = append(b, " ,.\n"[random.IntN(4)])
		}
		return b
	}
	junk := func() []byte {
		b := make([]byte, random.IntN(120))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for name, talk := range map[string]func() []byte{"random bytes": junk, "English": english} {
		const count = 20_000
		taken := map[string]int{}
		for range count {
			view := View{Proto: flow.ProtoTCP, ClientPort: 50000, ServerPort: 40000, Client: talk(), Server: talk()}
			switch random.IntN(3) { // one of three says nothing on either side
			case 0:
				view.Client = nil
			case 1:
				view.Server = nil
			}
			for i, p := range ownParsers() {
				if p.Over != flow.ProtoTCP {
					continue
				}
				r := Result{Protocol: p.Protocol, Confidence: 95}
				if verdict := p.Read(&view, &r); verdict == Found || verdict == Likely {
					taken[fmt.Sprint(p.Protocol, i)]++
				}
			}
		}
		for parser, n := range taken {
			if n > count/1000 {
				t.Errorf("%s takes %d of %d streams of %s", parser, n, count, name)
			}
		}
	}
}
