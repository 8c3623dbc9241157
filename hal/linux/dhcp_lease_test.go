package linux

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/trenza-router/trenza/hal"
)

// answer is a DHCPACK that can be used, changed by the modifiers.
func answer(with ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: 1, ClientHWAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4(192, 0, 2, 77), ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero,
		Options: dhcpv4.Options{},
	}
	m.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeAck))
	m.UpdateOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 1)))
	m.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
	m.UpdateOption(dhcpv4.OptIPAddressLeaseTime(time.Hour))
	for _, w := range with {
		w(m)
	}
	return m
}

func option(code dhcpv4.OptionCode, b ...byte) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptGeneric(code, b))
}

func seconds(code dhcpv4.OptionCode, n uint32) dhcpv4.Modifier {
	return option(code, binary.BigEndian.AppendUint32(nil, n)...)
}

func TestReadGrant(t *testing.T) {
	asked := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	addr := netip.MustParseAddr
	base := func(change func(*grant)) grant {
		g := grant{
			Lease: hal.Lease{Addr: netip.MustParsePrefix("192.0.2.77/24"), Server: addr("192.0.2.1"), Expires: asked.Add(time.Hour)},
			renew: asked.Add(30 * time.Minute), rebind: asked.Add(52*time.Minute + 30*time.Second),
		}
		change(&g)
		return g
	}
	for what, c := range map[string]struct {
		with  dhcpv4.Modifier
		want  grant
		doubt string
	}{
		"the least": {func(*dhcpv4.DHCPv4) {}, base(func(*grant) {}), ""},
		"times": {func(m *dhcpv4.DHCPv4) {
			seconds(dhcpv4.OptionRenewTimeValue, 60)(m)
			seconds(dhcpv4.OptionRebindingTimeValue, 120)(m)
		}, base(func(g *grant) { g.renew, g.rebind = asked.Add(time.Minute), asked.Add(2*time.Minute) }), ""},
		"times in disorder": {func(m *dhcpv4.DHCPv4) {
			seconds(dhcpv4.OptionRenewTimeValue, 7200)(m)
			seconds(dhcpv4.OptionRebindingTimeValue, 7200)(m)
		}, base(func(*grant) {}), ""},
		"for ever": {seconds(dhcpv4.OptionIPAddressLeaseTime, 0xffffffff), base(func(g *grant) {
			g.Expires, g.renew, g.rebind = asked.Add(longestLease), asked.Add(longestLease/2), asked.Add(longestLease/8*7)
		}), ""},
		"gateway": {option(dhcpv4.OptionRouter, 0, 0, 0, 0, 192, 0, 2, 1), base(func(g *grant) { g.Gateway = addr("192.0.2.1") }), ""},
		"gateway by routes": {func(m *dhcpv4.DHCPv4) {
			option(dhcpv4.OptionRouter, 192, 0, 2, 1)(m)
			option(dhcpv4.OptionClasslessStaticRoute, 8, 10, 192, 0, 2, 3, 0, 192, 0, 2, 2)(m)
		}, base(func(g *grant) { g.Gateway = addr("192.0.2.2") }), ""},
		"our own gateway": {option(dhcpv4.OptionRouter, 192, 0, 2, 77), base(func(*grant) {}), "our own gateway"},
		"MTU":             {option(dhcpv4.OptionInterfaceMTU, 5, 0xd4), base(func(g *grant) { g.MTU = 1492 }), ""},
		"small MTU":       {option(dhcpv4.OptionInterfaceMTU, 0, 68), base(func(*grant) {}), "MTU of 68"},
		"broken MTU":      {option(dhcpv4.OptionInterfaceMTU, 5), base(func(*grant) {}), "MTU"},
		"DNS": {option(dhcpv4.OptionDomainNameServer, 127, 0, 0, 1, 224, 0, 0, 1, 9, 9, 9, 9), base(func(g *grant) {
			g.DNS = []netip.Addr{addr("9.9.9.9")}
		}), ""},
		"half a DNS server": {option(dhcpv4.OptionDomainNameServer, 9, 9, 9, 9, 8), base(func(*grant) {}), ""},
		"point to point": {option(dhcpv4.OptionSubnetMask, 255, 255, 255, 255), base(func(g *grant) {
			g.Addr = netip.MustParsePrefix("192.0.2.77/32")
		}), ""},
	} {
		got, doubts, err := readGrant(answer(c.with), asked)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		opts := []cmp.Option{cmp.AllowUnexported(grant{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
			cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
		if diff := cmp.Diff(c.want, got, opts...); diff != "" {
			t.Errorf("%s (-want +got): %s", what, diff)
		}
		if all := strings.Join(doubts, "; "); !strings.Contains(all, c.doubt) || c.doubt == "" && all != "" {
			t.Errorf("%s: doubts %q, want %q", what, all, c.doubt)
		}
	}

	for what, c := range map[string]struct {
		with dhcpv4.Modifier
		want string
	}{
		"no mask":           {dhcpv4.WithoutOption(dhcpv4.OptionSubnetMask), "network mask"},
		"mask with holes":   {option(dhcpv4.OptionSubnetMask, 255, 0, 255, 0), "network mask"},
		"mask of nothing":   {option(dhcpv4.OptionSubnetMask, 0, 0, 0, 0), "network mask"},
		"no address":        {dhcpv4.WithYourIP(net.IPv4zero), "no host can have"},
		"loopback":          {dhcpv4.WithYourIP(net.IPv4(127, 0, 0, 1)), "no host can have"},
		"multicast":         {dhcpv4.WithYourIP(net.IPv4(239, 1, 1, 1)), "no host can have"},
		"network address":   {dhcpv4.WithYourIP(net.IPv4(192, 0, 2, 0)), "network's own"},
		"broadcast address": {dhcpv4.WithYourIP(net.IPv4(192, 0, 2, 255)), "broadcast"},
		"no server":         {dhcpv4.WithoutOption(dhcpv4.OptionServerIdentifier), "which server"},
		"no time":           {dhcpv4.WithoutOption(dhcpv4.OptionIPAddressLeaseTime), "too short"},
		"a second":          {seconds(dhcpv4.OptionIPAddressLeaseTime, 1), "too short"},
	} {
		if g, _, err := readGrant(answer(c.with), asked); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want an error with %q", what, g, err, c.want)
		}
	}
}

func TestBroadcastOf(t *testing.T) {
	for p, want := range map[string]string{
		"192.0.2.77/24": "192.0.2.255", "10.1.2.3/8": "10.255.255.255", "192.0.2.77/29": "192.0.2.79", "172.16.5.4/12": "172.31.255.255",
		"192.0.2.77/32": "192.0.2.77",
	} {
		if got := broadcastOf(netip.MustParsePrefix(p)); got != netip.MustParseAddr(want) {
			t.Errorf("broadcast of %s is %s, want %s", p, got, want)
		}
	}
}

// answerPacket is a server's packet as the packet socket delivers it.
func answerPacket(payload []byte) []byte {
	b := encodeDatagram(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("255.255.255.255"), payload)
	binary.BigEndian.PutUint16(b[20:], dhcpServerPort)
	binary.BigEndian.PutUint16(b[22:], dhcpClientPort)
	return b
}

func TestDatagram(t *testing.T) {
	b := answerPacket([]byte("word"))
	if got, ok := decodeDatagram(append(b, make([]byte, 18)...)); !ok || string(got) != "word" {
		t.Errorf("%q %v with a frame's padding", got, ok)
	}
	if internetChecksum(b[:ipv4HeaderSize]) != 0 {
		t.Error("checksum of the IP header is wrong")
	}
	for what, change := range map[string]func(b []byte){
		"fragment":                   func(b []byte) { b[6] = 0x20 },
		"TCP":                        func(b []byte) { b[9] = 6 },
		"IPv6":                       func(b []byte) { b[0] = 0x65 },
		"from another port":          func(b []byte) { b[20] = 1 },
		"total length beyond":        func(b []byte) { b[3]++ },
		"UDP length beyond":          func(b []byte) { b[25]++ },
		"UDP length below a header":  func(b []byte) { b[25] = 7 },
		"IP header longer than that": func(b []byte) { b[0] = 0x4f },
	} {
		b := answerPacket([]byte("word"))
		change(b)
		if got, ok := decodeDatagram(b); ok {
			t.Errorf("%s was taken: %q", what, got)
		}
	}
}

func FuzzReadGrant(f *testing.F) {
	f.Add(answerPacket(answer().ToBytes()))
	f.Add(answerPacket(answer(option(dhcpv4.OptionClasslessStaticRoute, 8, 10, 192, 0, 2, 3, 0, 192, 0, 2, 2)).ToBytes()))
	f.Add(answerPacket(answer(option(dhcpv4.OptionInterfaceMTU, 5)).ToBytes()))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, ok := decodeDatagram(b)
		if !ok {
			return
		}
		m, err := dhcpv4.FromBytes(payload)
		if err != nil {
			return
		}
		now := time.Now()
		g, _, err := readGrant(m, now)
		_ = short(m.Message())
		if err != nil {
			return
		}
		lasts := g.Expires.Sub(now)
		if !g.Addr.IsValid() || !g.Addr.Addr().Is4() || g.Addr.Bits() < 1 || len(g.DNS) > mostServers ||
			g.MTU != 0 && g.MTU < leastMTU || lasts < shortestLease || lasts > longestLease ||
			g.renew.Before(now) || !g.renew.Before(g.rebind) || !g.rebind.Before(g.Expires) {
			t.Errorf("grant %+v", g)
		}
	})
}
