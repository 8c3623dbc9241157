package dpi

import (
	"slices"
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// stepsOf makes steps of growth out of bytes: the lowest bit is whose turn it is.
func stepsOf(cuts []byte) (steps []growth) {
	for _, c := range cuts[:min(len(cuts), 64)] {
		steps = append(steps, growth{Direction(c & 1), int(c>>1) + 1})
	}
	return steps
}

// FuzzStream asks any parser of streams, chosen by a number, about any two sides that grow in any way.
func FuzzStream(f *testing.F) {
	parsers := parsersOver(flow.ProtoTCP)
	for i, v := range allVectors() {
		var sides [2][]byte
		for _, s := range v.said {
			sides[s.by] = append(sides[s.by], s.bytes...)
		}
		f.Add(byte(i), v.server, sides[FromClient], sides[FromServer], []byte{0, 1, 10, 21, 200})
	}
	f.Fuzz(func(t *testing.T, index byte, port uint16, client, server, cuts []byte) {
		checkSettles(t, parsers[int(index)%len(parsers)], port, client, server, stepsOf(cuts))
	})
}

// FuzzDatagrams asks any parser of datagrams about a flow that is cut out of data.
func FuzzDatagrams(f *testing.F) {
	parsers := parsersOver(flow.ProtoUDP)
	for i, v := range allVectors() {
		var data, cuts []byte
		for _, s := range v.said {
			data = append(data, s.bytes...)
			cuts = append(cuts, byte(min(len(s.bytes), 127)<<1)|byte(s.by))
		}
		f.Add(byte(i), v.server, data, cuts)
	}
	f.Fuzz(func(t *testing.T, index byte, port uint16, data, cuts []byte) {
		p := parsers[int(index)%len(parsers)]
		d := newDesk([]Parser{p})
		r := d.begin(flow.ProtoUDP)
		defer d.end(r)
		key := trackKey{clientPort: 50000, serverPort: port, proto: flow.ProtoUDP}
		for i, s := range stepsOf(cuts) {
			n := min(len(data), s.bytes)
			if i == len(cuts)-1 {
				n = len(data)
			}
			packet := Packet{Payload: slices.Clone(data[:n])}
			want := slices.Clone(packet.Payload)
			v, result := d.read(r, &key, s.dir, &packet)
			if !slices.Equal(want, packet.Payload) {
				t.Fatalf("the %s parser changed the packet", p.Protocol)
			}
			checkHost(t, v, result)
			data = data[n:]
		}
		v, result := d.conclude(r, &key)
		checkHost(t, v, result)
	})
}

// checkHost: a name that was found is a name.
func checkHost(t *testing.T, v Verdict, r *Result) {
	if r == nil || v != Found && v != Likely || r.n == 0 {
		return
	}
	if clean, ok := flow.CleanHost(string(r.Host())); !ok || clean != string(r.Host()) {
		t.Fatalf("%s: %q is no host name", r.Protocol, r.Host())
	}
}

// FuzzPacket gives whole packets to a tracker with all parsers.
func FuzzPacket(f *testing.F) {
	f.Add(toServer(1, 99, SYN, nil), toServer(1, 110, ACK, []byte("Host: a.example\r\n\r\n")), toServer(1, 100, ACK, []byte("GET /")))
	for _, v := range allVectors() {
		packets := conversation(v)
		f.Add(packets[0].bytes, packets[len(packets)/2].bytes, packets[len(packets)-1].bytes)
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		tr := NewTracker(Limits{Flows: 2, Readers: 1}, Parsers())
		tr.Ended = func(f Finding) { f.NamesServer() }
		for i, p := range [][]byte{a, b, c, b, a} {
			tr.Observe(p, Direction(i&1), epoch)
			tr.Observe(p, FromClient, epoch)
		}
		if tr.Len() > 2 || tr.reading > 1 {
			t.Fatalf("%d flows, %d readers", tr.Len(), tr.reading)
		}
		tr.Flush()
		if tr.Len() != 0 || tr.reading != 0 {
			t.Fatalf("%d flows, %d readers after Flush", tr.Len(), tr.reading)
		}
	})
}

// FuzzTLS, FuzzHTTP and FuzzHTTP2 look at one parser each, with the seeds that go deep into it.
func FuzzTLS(f *testing.F) {
	// Made by hand: goroutines that a real client leaves behind would look like news to the fuzzer.
	for _, v := range webVectors() {
		if v.want == TLS && v.said[0].by == FromClient {
			addSmall(f, v.said[0].bytes)
		}
	}
	addSmall(f, inRecords(unhex(clientHello8448)[5:], 50))
	f.Add(record(handHello()), []byte("\x16\x03\x03\x00\x04\x0b\x00\x00\x00"), []byte{0, 11, 201})
	fuzzOne(f, tlsParser())
}

func FuzzHTTP(f *testing.F) {
	for _, c := range httpCases() {
		addSmall(f, c.stream)
	}
	fuzzOne(f, httpParser())
}

func FuzzHTTP2(f *testing.F) {
	for _, v := range webVectors() {
		if v.want != HTTP2 {
			continue
		}
		var stream []byte
		for _, s := range v.said {
			stream = append(stream, s.bytes...)
		}
		f.Add(stream, []byte{}, []byte{0, 10, 200})
	}
	fuzzOne(f, http2Parser())
}

// addSmall leaves out the long streams: to vary and to shorten them takes the fuzzer too long.
func addSmall(f *testing.F, stream []byte) {
	if len(stream) <= 2048 {
		f.Add(stream, []byte{}, []byte{0, 10, 200})
	}
}

func fuzzOne(f *testing.F, p Parser) {
	f.Fuzz(func(t *testing.T, client, server, cuts []byte) {
		checkSettles(t, p, 443, client, server, stepsOf(cuts))
	})
}
