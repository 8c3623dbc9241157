package inspect_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/inspect"
	"github.com/trenza-router/trenza/router/policy"
)

const request = "GET /search?q=Casino HTTP/1.1\r\nHost: Shop.Example:80\r\nCookie: a=b\r\n\r\n"

func key(proto flow.Proto) flow.Key {
	return flow.Key{Proto: proto, Src: netip.MustParseAddrPort("10.0.0.9:40000"), Dst: netip.MustParseAddrPort("198.51.100.7:80")}
}

// A request says the same however it is cut and in whichever order its pieces come, once and twice.
func TestRequestInPieces(t *testing.T) {
	for name, order := range map[string][]int{
		"whole": {0, 1, 2}, "backwards": {2, 1, 0}, "middle last": {0, 2, 1}, "twice": {0, 0, 2, 2, 1, 1},
	} {
		for _, syn := range []bool{true, false} {
			r := inspect.NewReader()
			now := time.Unix(1000, 0)
			if syn {
				r.Read(&dpi.Packet{Key: key(flow.ProtoTCP), Flags: dpi.SYN, Seq: 1000}, 7, now)
			}
			var last policy.Content
			for _, n := range order {
				from := []int{0, 12, 31, len(request)}
				piece := []byte(request[from[n]:from[n+1]])
				if c, ok := r.Read(&dpi.Packet{Key: key(flow.ProtoTCP), Flags: dpi.ACK | dpi.PSH, Seq: 1000 + uint32(from[n]), Payload: piece}, 7, now); ok {
					last = c.Content
				}
				clear(piece) // the buffer is used again
			}
			if last.HTTPPath != "/search?q=Casino" || !bytes.Equal(last.Payload, []byte(request)) || last.HTTPHost != "shop.example" || last.Protocol != "http" {
				t.Errorf("%s, SYN seen %v: %q %q %q %q", name, syn, last.Protocol, last.HTTPHost, last.HTTPPath, last.Payload)
			}
		}
	}
}

// Datagrams are looked at one by one, and the same ports used again begin anew.
func TestEachFlowByItself(t *testing.T) {
	r := inspect.NewReader()
	now := time.Unix(1000, 0)
	for _, text := range []string{"first", "second"} {
		c, ok := r.Read(&dpi.Packet{Key: key(flow.ProtoUDP), Payload: []byte(text)}, 7, now)
		if !ok || string(c.Content.Payload) != text {
			t.Errorf("%q, want %q", c.Content.Payload, text)
		}
	}
	for n, text := range []string{"one", "two"} {
		seq := uint32(1000 * (n + 1))
		r.Read(&dpi.Packet{Key: key(flow.ProtoTCP), Flags: dpi.SYN, Seq: seq}, 7, now)
		c, ok := r.Read(&dpi.Packet{Key: key(flow.ProtoTCP), Seq: seq, Payload: []byte(text)}, 7, now)
		if !ok || string(c.Content.Payload) != text {
			t.Errorf("%q, want %q", c.Content.Payload, text)
		}
	}
	if _, ok := r.Read(&dpi.Packet{Key: key(flow.ProtoTCP), Flags: dpi.ACK, Seq: 2003}, 7, now); ok {
		t.Error("an acknowledgement says something")
	}
}

// A protocol that only both sides together prove is known at the server's word, under the client's mark.
func TestBothSides(t *testing.T) {
	r := inspect.NewReader()
	now := time.Unix(1000, 0)
	back := flow.Key{Proto: flow.ProtoTCP, Src: key(flow.ProtoTCP).Dst, Dst: key(flow.ProtoTCP).Src}
	if _, ok := r.Read(&dpi.Packet{Key: back, Seq: 5, Payload: []byte("SSH-2.0-x\r\n")}, 0, now); !ok {
		t.Error("who speaks first is taken for the client")
	}
	r = inspect.NewReader()
	r.Read(&dpi.Packet{Key: key(flow.ProtoTCP), Flags: dpi.SYN, Seq: 1}, 7, now)
	if s, ok := r.Read(&dpi.Packet{Key: back, Seq: 5, Payload: []byte("SSH-2.0-x\r\n")}, 0, now); ok {
		t.Errorf("one side alone: %+v", s)
	}
	s, _ := r.Read(&dpi.Packet{Key: key(flow.ProtoTCP), Seq: 1, Payload: []byte("SSH-2.0-y\r\n")}, 7, now)
	if s.Content.Protocol != "ssh" || s.Key != key(flow.ProtoTCP) || s.Mark != 7 || string(s.Content.Payload) != "SSH-2.0-y\r\n" {
		t.Errorf("%+v", s)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(request), uint32(0), uint32(12), true)
	f.Add([]byte("\x16\x03\x01\x00\x05\x01"), uint32(4_294_967_290), uint32(3), false)
	f.Fuzz(func(t *testing.T, b []byte, seq, cut uint32, tcp bool) {
		proto := flow.ProtoUDP
		if tcp {
			proto = flow.ProtoTCP
		}
		r := inspect.NewReader()
		at := min(int(cut), len(b))
		r.Read(&dpi.Packet{Key: key(proto), Seq: seq + uint32(at), Payload: b[at:]}, 7, time.Unix(1, 0))
		c, _ := r.Read(&dpi.Packet{Key: key(proto), Seq: seq, Payload: b[:at]}, 7, time.Unix(1, 0))
		if tcp && at > 0 && len(b) <= 8<<10 && !bytes.Equal(c.Content.Payload, b) {
			t.Fatalf("%q, want %q", c.Content.Payload, b)
		}
	})
}
