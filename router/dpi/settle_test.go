package dpi

import (
	"reflect"
	"slices"
	"testing"

	"github.com/trenza-router/trenza/router/flow"
	"pgregory.net/rapid"
)

// parsersOver are all parsers of a transport.
func parsersOver(proto flow.Proto) []Parser {
	return slices.DeleteFunc(Parsers(), func(p Parser) bool { return p.Over != proto })
}

// growth is a stream whose sides grow step by step: whose turn it is and by how many bytes.
type growth struct {
	dir   Direction
	bytes int
}

// checkSettles asks a parser after each step and fails when it changes a settled verdict, or what it found.
func checkSettles(t interface{ Fatalf(string, ...any) }, p Parser, serverPort uint16, client, server []byte, steps []growth) Verdict {
	v := View{Proto: flow.ProtoTCP, ClientPort: 50000, ServerPort: serverPort}
	n := [2]int{}
	last, host := Need, ""
	ask := func() {
		v.Client, v.Server = client[:min(n[FromClient], p.Budget)], server[:min(n[FromServer], p.Budget)]
		var r Result
		r.reset(p.Protocol)
		verdict := p.Read(&v, &r)
		if last == Found && (verdict != Found || string(r.Host()) != host) || last == NotMine && verdict != NotMine {
			t.Fatalf("the %s parser says %d, %q after %d, %q (%d client, %d server bytes)", p.Protocol, verdict, r.Host(), last, host, n[FromClient], n[FromServer])
		}
		last, host = verdict, string(r.Host())
	}
	for _, s := range steps {
		most := len(client)
		if s.dir == FromServer {
			most = len(server)
		}
		n[s.dir] = min(n[s.dir]+s.bytes, most)
		ask()
	}
	n[FromClient], n[FromServer] = len(client), len(server)
	ask()
	return last
}

// Whatever was said, however it was cut and however the two sides mixed: a settled verdict stays.
func TestVerdictsSettle(t *testing.T) {
	var streams [][2][]byte
	for _, v := range allVectors() {
		if v.over != flow.ProtoTCP {
			continue
		}
		var sides [2][]byte
		for _, s := range v.said {
			sides[s.by] = append(sides[s.by], s.bytes...)
		}
		streams = append(streams, sides)
	}
	for _, p := range parsersOver(flow.ProtoTCP) {
		rapid.Check(t, func(t *rapid.T) {
			said := rapid.SampledFrom(streams).Draw(t, "client")[FromClient]
			answered := rapid.SampledFrom(streams).Draw(t, "server")[FromServer]
			if rapid.Bool().Draw(t, "swapped") {
				said, answered = answered, said
			}
			steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) growth {
				return growth{Direction(rapid.IntRange(0, 1).Draw(t, "dir")), rapid.SampledFrom([]int{1, 1, 2, 5, 30, 500}).Draw(t, "bytes")}
			}), 0, 40).Draw(t, "steps")
			checkSettles(t, p, rapid.SampledFrom([]uint16{4444, 53, 443, 853, 80}).Draw(t, "port"), said, answered, steps)
		})
	}
}

// No parser allocates, whatever it is asked about. The ciphers of QUIC are the exception; see TestQUICAllocations.
func TestReadDoesNotAllocate(t *testing.T) {
	for _, v := range allVectors() {
		view := View{Proto: v.over, ClientPort: 50000, ServerPort: v.server}
		for i, s := range v.said {
			view.Dir, view.Payload = s.by, s.bytes
			if i < len(v.said)-1 {
				view.Heads = append(view.Heads, headOf(s))
			}
			if s.by == FromClient {
				view.Client = append(view.Client, s.bytes...)
			} else {
				view.Server = append(view.Server, s.bytes...)
			}
		}
		view.needRoom()
		parsers := slices.DeleteFunc(parsersOver(v.over), func(p Parser) bool { return p.Protocol == QUIC })
		var r Result
		if n := testing.AllocsPerRun(5, func() {
			for i := range parsers {
				r.reset(parsers[i].Protocol)
				parsers[i].Read(&view, &r)
			}
		}); n > 0 {
			t.Errorf("%s: the parsers allocate %v times", v.name, n)
		}
	}
}

// The reading of QUIC allocates the standard library's ciphers, once for a connection.
func TestQUICAllocations(t *testing.T) {
	view := View{Proto: flow.ProtoUDP, ServerPort: 443, Payload: unhex(clientInitial9001)}
	room := view.needRoom()
	var r Result
	if n := testing.AllocsPerRun(5, func() {
		room.reset()
		r.reset(QUIC)
		if readQUIC(&view, &r) != Found {
			t.Fatal("not found")
		}
	}); n > 5 {
		t.Errorf("%v allocations", n)
	}
}

// What is kept of a flow is at most 512 bytes; pooled buffers, rooms and results that are in use are not counted.
func TestFlowsAreSmall(t *testing.T) {
	size := func(v any) uintptr { return reflect.TypeOf(v).Size() }
	const links, index = 8, 4                                                               // of the table: its list, and its index, which has the key again
	remembered := links + size(tracked{}) + size(trackKey{}) + (size(trackKey{})+index)*8/7 // a full table of Go's has an eighth to spare
	for name, n := range map[string]uintptr{
		"answered": remembered, "a stream that is being read": remembered + size(stream{}), "datagrams that are being read": remembered + size(datagrams{}),
	} {
		t.Logf("%s: %d bytes", name, n)
		if n > 512 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
}
