package linux

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

func linkMessage(family byte, flags uint32, attrs ...[]byte) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	b[0] = family
	copy(b[4:], hostOrder32(7))
	copy(b[8:], hostOrder32(flags))
	for _, a := range attrs {
		b = append(b, a...)
	}
	return b
}

func hostOrder32(v uint32) []byte { return appendUint32(nil, 0, v)[unix.SizeofNlAttr:] }

func TestDecodeLink(t *testing.T) {
	name := appendAttribute(nil, unix.IFLA_IFNAME, []byte("wan1\x00"))
	mtu := appendUint32(nil, unix.IFLA_MTU, 1500)
	carrier := appendAttribute(nil, unix.IFLA_CARRIER, []byte{1})
	kind := appendAttribute(nil, unix.IFLA_LINKINFO|unix.NLA_F_NESTED, appendAttribute(nil, unix.IFLA_INFO_KIND, []byte("tun\x00")))
	for what, c := range map[string]struct {
		message []byte
		want    hal.Interface
		ok      bool
	}{
		"up":                        {linkMessage(0, unix.IFF_UP, name, mtu, carrier), hal.Interface{Index: 7, Name: "wan1", Kind: "device", Up: true, Carrier: true, MTU: 1500}, true},
		"switched off with a cable": {linkMessage(0, 0, name, mtu, carrier, kind), hal.Interface{Index: 7, Name: "wan1", Kind: "tun", MTU: 1500}, true},
		"a wireless scan":           {linkMessage(0, unix.IFF_UP, name), hal.Interface{}, false},
		"about a bridge's port":     {linkMessage(unix.AF_BRIDGE, unix.IFF_UP, name, mtu), hal.Interface{}, false},
		"attribute longer than all": {append(linkMessage(0, 0, name, mtu), 200, 0, 1, 0, 9), hal.Interface{Index: 7, Name: "wan1", Kind: "device", MTU: 1500}, true},
		"attribute of impossible 2": {append(linkMessage(0, 0, name, mtu), 2, 0, 1, 0, 9), hal.Interface{Index: 7, Name: "wan1", Kind: "device", MTU: 1500}, true},
		"address of another length": {linkMessage(0, 0, name, mtu, appendAttribute(nil, unix.IFLA_ADDRESS, []byte{1, 2, 3, 4})), hal.Interface{Index: 7, Name: "wan1", Kind: "device", MTU: 1500}, true},
		"address":                   {linkMessage(0, 0, name, mtu, appendAttribute(nil, unix.IFLA_ADDRESS, []byte{2, 0, 0, 0, 0, 1})), hal.Interface{Index: 7, Name: "wan1", Kind: "device", MTU: 1500, MAC: flow.MAC{2, 0, 0, 0, 0, 1}}, true},
		"cut short":                 {linkMessage(0, 0)[:10], hal.Interface{}, false},
	} {
		got, ok := decodeLink(c.message)
		if ok != c.ok {
			t.Errorf("%s: ok %v, want %v", what, ok, c.ok)
		} else if diff := cmp.Diff(c.want, got); ok && diff != "" {
			t.Errorf("%s (-want +got): %s", what, diff)
		}
	}
}

func TestDecodeAddressUsable(t *testing.T) {
	for flags, want := range map[uint32]bool{
		0: true, unix.IFA_F_TENTATIVE: false, unix.IFA_F_DADFAILED: false, unix.IFA_F_TENTATIVE | unix.IFA_F_OPTIMISTIC: true,
	} {
		b := make([]byte, unix.SizeofIfAddrmsg)
		b[0], b[1] = unix.AF_INET6, 64
		copy(b[4:], hostOrder32(7))
		b = appendAttribute(b, unix.IFA_ADDRESS, netip.MustParseAddr("2001:db8::1").AsSlice())
		b = appendUint32(b, unix.IFA_FLAGS, flags)
		index, p, usable, ok := decodeAddress(b)
		if index != 7 || p != netip.MustParsePrefix("2001:db8::1/64") || usable != want || !ok {
			t.Errorf("flags %#x: %d %s usable %v %v, want usable %v", flags, index, p, usable, ok, want)
		}
	}
}

func FuzzDecodeRoutingMessages(f *testing.F) {
	f.Add(linkMessage(0, unix.IFF_UP, appendAttribute(nil, unix.IFLA_IFNAME, []byte("wan1\x00")), appendUint32(nil, unix.IFLA_MTU, 1500)))
	neighbour := append([]byte{unix.AF_INET, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0}, appendAttribute(nil, unix.NDA_DST, []byte{192, 0, 2, 1})...)
	f.Add(appendAttribute(neighbour, unix.NDA_LLADDR, []byte{2, 0, 0, 0, 0, 1}))
	f.Add(append([]byte{unix.AF_INET, 24, 0, 0, 7, 0, 0, 0}, appendAttribute(nil, unix.IFA_LOCAL, []byte{192, 0, 2, 1})...))
	f.Add(append([]byte{0, 0, 0, 0}, appendAttribute(nil, unix.NFTA_GEN_PROC_PID, []byte{0, 0, 4, 0})...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, ok := decodeLink(b); ok && (i.Name == "" || i.Carrier && !i.Up) {
			t.Errorf("interface %+v", i)
		}
		if _, p, _, ok := decodeAddress(b); ok && !p.IsValid() {
			t.Errorf("address %v", p)
		}
		if _, n, ok := decodeNeighbour(b); ok && (!n.Addr.IsValid() || n.Addr.IsMulticast()) {
			t.Errorf("neighbour %+v", n)
		}
		decodeRouteTable(b)
		decodeGeneration(b)
		decodeCounts(b)
		// A datagram's messages never leave its bounds, whatever lengths it names.
		total := 0
		for m := range messages(b) {
			total += len(m.payload) + unix.SizeofNlMsghdr
			_ = refusal(m)
		}
		if total > len(b) {
			t.Errorf("%d bytes of messages in %d", total, len(b))
		}
	})
}
