package dpi

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trenza-router/trenza/router/flow"
)

// ipv4 and ipv6 build packets around a transport header.
func ipv4(proto flow.Proto, src, dst netip.Addr, transport []byte) []byte {
	b := make([]byte, 20, 20+len(transport))
	b[0], b[1], b[8], b[9] = 0x45, 46<<2, 64, byte(proto)
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(transport)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return append(b, transport...)
}

func ipv6(next byte, src, dst netip.Addr, rest []byte) []byte {
	b := make([]byte, 40, 40+len(rest))
	b[0], b[1], b[6], b[7] = 0x6b, 0x80, next, 64 // DSCP 46
	binary.BigEndian.PutUint16(b[4:], uint16(len(rest)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, rest...)
}

func tcp(sport, dport uint16, seq uint32, flags TCPFlags, payload []byte) []byte {
	b := make([]byte, 24, 24+len(payload)) // with one word of options
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint32(b[4:], seq)
	b[12], b[13] = 6<<4, byte(flags)
	return append(b, payload...)
}

func udp(sport, dport uint16, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return append(b, payload...)
}

func TestDecode(t *testing.T) {
	a4, b4 := netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("203.0.113.7")
	a6, b6 := netip.MustParseAddr("fd00::20"), netip.MustParseAddr("2001:db8::7")
	key := func(p flow.Proto, a, b netip.Addr, sp, dp uint16) flow.Key {
		return flow.Key{Proto: p, Src: netip.AddrPortFrom(a, sp), Dst: netip.AddrPortFrom(b, dp)}
	}
	later4 := ipv4(flow.ProtoUDP, a4, b4, []byte("rest"))
	later4[7] = 1
	first4 := ipv4(flow.ProtoUDP, a4, b4, udp(1, 2, []byte("part")))
	first4[6] = 0x20
	frag := func(offsetFlags uint16, rest []byte) []byte {
		h := []byte{17, 0, byte(offsetFlags >> 8), byte(offsetFlags), 0, 0, 0, 9}
		return ipv6(fragment, a6, b6, append(h, rest...))
	}
	extended := append([]byte{routing, 0, 1, 2, 3, 4, 5, 6}, append([]byte{destOptions, 1}, make([]byte, 14)...)...)
	extended = append(extended, append([]byte{6, 0}, make([]byte, 6)...)...)
	extended = append(extended, tcp(1, 2, 9, ACK, []byte("x"))...)
	deep := make([]byte, 8*20)
	for i := 0; i < len(deep); i += 8 {
		deep[i] = destOptions
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want Packet
		err  error
	}{
		{"tcp4", ipv4(6, a4, b4, tcp(4000, 443, 7, PSH|ACK, []byte("hi"))), Packet{Key: key(6, a4, b4, 4000, 443), Payload: []byte("hi"), Seq: 7, Flags: PSH | ACK, DSCP: 46}, nil},
		{"syn", ipv4(6, a4, b4, tcp(4000, 443, 7, SYN, nil)), Packet{Key: key(6, a4, b4, 4000, 443), Payload: []byte{}, Seq: 8, Flags: SYN, DSCP: 46}, nil},
		{"ethernet padding", append(ipv4(17, a4, b4, udp(1, 2, []byte("x"))), 0, 0, 0), Packet{Key: key(17, a4, b4, 1, 2), Payload: []byte("x"), DSCP: 46}, nil},
		{"udp6", ipv6(17, a6, b6, udp(5000, 53, []byte("q"))), Packet{Key: key(17, a6, b6, 5000, 53), Payload: []byte("q"), DSCP: 46}, nil},
		{"extension headers", ipv6(hopByHop, a6, b6, extended), Packet{Key: key(6, a6, b6, 1, 2), Payload: []byte("x"), Seq: 9, Flags: ACK, DSCP: 46}, nil},
		{"icmp echo", ipv4(1, a4, b4, []byte{8, 0, 0, 0, 0x12, 0x34, 0, 1, 'p'}), Packet{Key: key(1, a4, b4, 0x1234, 0x1234), Payload: []byte("p"), DSCP: 46}, nil},
		{"icmpv6 echo", ipv6(58, a6, b6, []byte{128, 0, 0, 0, 0x12, 0x34, 0, 1}), Packet{Key: key(58, a6, b6, 0x1234, 0x1234), Payload: []byte{}, DSCP: 46}, nil},
		{"icmp unreachable", ipv4(1, a4, b4, []byte{3, 1, 0, 0, 0, 0, 0, 0}), Packet{Key: key(1, a4, b4, 0, 0), Payload: []byte{}, DSCP: 46}, nil},
		{"gre", ipv4(47, a4, b4, []byte("abc")), Packet{Key: key(47, a4, b4, 0, 0), Payload: []byte("abc"), DSCP: 46}, nil},
		{"later fragment", later4, Packet{Key: key(17, a4, b4, 0, 0), Payload: []byte("rest"), Fragment: LaterFragment, DSCP: 46}, nil},
		{"first fragment", first4, Packet{Key: key(17, a4, b4, 1, 2), Payload: []byte("part"), Fragment: FirstFragment, DSCP: 46}, nil},
		{"later fragment v6", frag(8, []byte("rest")), Packet{Key: key(17, a6, b6, 0, 0), Payload: []byte("rest"), Fragment: LaterFragment, DSCP: 46}, nil},
		{"first fragment v6", frag(1, udp(1, 2, []byte("part"))), Packet{Key: key(17, a6, b6, 1, 2), Payload: []byte("part"), Fragment: FirstFragment, DSCP: 46}, nil},
		{"atomic fragment v6", frag(0, udp(1, 2, []byte("all"))), Packet{Key: key(17, a6, b6, 1, 2), Payload: []byte("all"), DSCP: 46}, nil},
		{"cut copy", ipv4(6, a4, b4, tcp(1, 2, 3, ACK, []byte("hello")))[:46], Packet{Key: key(6, a4, b4, 1, 2), Payload: []byte("he"), Seq: 3, Flags: ACK, DSCP: 46, Cut: true}, nil},
		{"no transport header", ipv4(6, a4, b4, []byte{1, 2}), Packet{Key: key(6, a4, b4, 0, 0), DSCP: 46}, ErrNoHeader},
		{"tcp offset past the end", ipv4(6, a4, b4, append(make([]byte, 12), 0xf0, 0, 0, 0, 0, 0, 0, 0)), Packet{Key: key(6, a4, b4, 0, 0), DSCP: 46}, ErrNoHeader},
		{"deep extensions", ipv6(hopByHop, a6, b6, deep), Packet{DSCP: 46}, ErrTooDeep},
		{"empty", nil, Packet{}, ErrShort},
		{"arp", []byte{0, 1, 8, 0}, Packet{}, ErrNotIP},
		{"short v4", []byte{0x45, 0, 0}, Packet{}, ErrShort},
		{"small header", append([]byte{0x44}, make([]byte, 30)...), Packet{}, ErrMangled},
		{"short v6", []byte{0x60, 0, 0}, Packet{}, ErrShort},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got Packet
			if err := Decode(tt.in, &got); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			opts := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
			if diff := cmp.Diff(tt.want, got, opts); diff != "" {
				t.Error(diff)
			}
			if n := testing.AllocsPerRun(10, func() { Decode(tt.in, &got) }); n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	a4, a6 := netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("fd00::20")
	f.Add(ipv4(6, a4, a4, tcp(1, 2, 3, SYN, []byte("x"))))
	f.Add(ipv6(17, a6, a6, udp(1, 2, []byte("x"))))
	f.Add(ipv6(hopByHop, a6, a6, append([]byte{fragment, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1}, make([]byte, 40)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		if Decode(b, &p) == nil && len(p.Payload) > len(b) {
			t.Fatalf("payload of %d bytes out of %d: %s", len(p.Payload), len(b), hex.EncodeToString(b))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	a4 := netip.MustParseAddr("10.77.0.20")
	packet := ipv4(6, a4, a4, tcp(1, 2, 3, ACK, []byte(strings.Repeat("x", 1400))))
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		Decode(packet, &p)
	}
}
