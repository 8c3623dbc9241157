package linux

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
)

func key(proto flow.Proto, src, dst string) flow.Key {
	return flow.Key{Proto: proto, Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
}

// What DeleteConnection sends of a connection is what decodeConnection reads.
func TestTupleRoundTrip(t *testing.T) {
	for _, k := range []flow.Key{
		key(flow.ProtoTCP, "10.77.0.20:50000", "192.0.2.1:443"),
		key(flow.ProtoUDP, "[2001:db8::20]:50000", "[2001:db8:1::1]:443"),
		key(flow.ProtoICMP, "10.77.0.20:77", "192.0.2.1:77"),
		key(flow.ProtoICMPv6, "[2001:db8::20]:77", "[2001:db8:1::1]:77"),
	} {
		b := appendTuple(appendTuple(netfilterRequest(0, 0, 0), ctaTupleOrig, k), ctaTupleReply, k)
		c, ok := decodeConnection(appendNet32(b, ctaMark, 0x2345))
		if !ok || c.Mark != 0x2345 {
			t.Errorf("%s: %v, mark %v", k, ok, c.Mark)
		}
		same := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
		if diff := cmp.Diff([]flow.Key{k, k}, []flow.Key{c.Orig, c.Reply}, same); diff != "" {
			t.Error("(-want +got):", diff)
		}
		if c, ok := decodeConnection(b[:len(b)-4]); ok {
			t.Errorf("a connection without its reply was taken: %+v", c)
		}
	}
}

func FuzzDecodeConnection(f *testing.F) {
	k := key(flow.ProtoTCP, "10.77.0.20:50000", "192.0.2.1:443")
	b := appendTuple(appendTuple(netfilterRequest(2, 0, 0), ctaTupleOrig, k), ctaTupleReply, k)
	b = appendAttribute(b, ctaCountersOrig, appendAttribute(nil, ctaCountersBytes, make([]byte, 8)))
	b = appendAttribute(b, ctaProtoInfo, appendAttribute(nil, ctaProtoInfoTCP, appendAttribute(nil, ctaProtoInfoTCPState, []byte{3})))
	f.Add(appendAttribute(b, ctaTimestamp, appendAttribute(nil, ctaTimestampStart, []byte{1, 2, 3, 4, 5, 6, 7, 8})))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := decodeConnection(b); ok && (!c.Orig.Src.IsValid() || !c.Orig.Dst.IsValid() || !c.Reply.Src.IsValid() || !c.Reply.Dst.IsValid()) {
			t.Errorf("connection %+v", c)
		}
	})
}

// An event costs no allocation: the kernel may send thousands in a second.
func TestDecodeConnectionAllocates(t *testing.T) {
	k := key(flow.ProtoTCP, "[2001:db8::20]:50000", "[2001:db8:1::1]:443")
	b := appendTuple(appendTuple(netfilterRequest(2, 0, 0), ctaTupleOrig, k), ctaTupleReply, k)
	if n := testing.AllocsPerRun(100, func() { decodeConnection(b) }); n != 0 {
		t.Errorf("%v allocations for a connection, want 0", n)
	}
}
