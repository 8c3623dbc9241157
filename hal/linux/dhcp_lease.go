package linux

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/trenza-router/trenza/hal"
)

const (
	// longestLease bounds what a server may grant, and stands for "for ever": an address with an end is how the client
	// knows its own from those that a person configured.
	longestLease = 365 * 24 * time.Hour
	// shortestLease: less would have the client talk to the server without a pause.
	shortestLease = 10 * time.Second
	// leastMTU is what every host must accept (RFC 791); what the option may not go below is 68 (RFC 2132 section 5.1),
	// with which hardly anything works.
	leastMTU = 576
	// mostServers of one kind are taken from an answer.
	mostServers = 8
)

// grant is a lease with the times of RFC 2131 section 4.4.5, which count from when the request was sent.
type grant struct {
	hal.Lease
	renew, rebind time.Time // T1: ask the server; T2: ask any server
}

func (g grant) valid() bool { return g.Addr.IsValid() }

// readGrant takes a lease out of a DHCPOFFER or DHCPACK. Everything in it is a stranger's word: what cannot be used as
// an address of a link is an error; what is only useless is left out and named in doubts.
func readGrant(m *dhcpv4.DHCPv4, asked time.Time) (g grant, doubts []string, err error) {
	addr, ok := unicast(m.YourIPAddr)
	if !ok {
		return g, nil, fmt.Errorf("it grants the address %v, which no host can have", m.YourIPAddr)
	}
	bits, size := m.SubnetMask().Size()
	if size != 32 || bits == 0 {
		return g, nil, errors.New("it names no network mask, or one with holes")
	}
	g.Addr = netip.PrefixFrom(addr, bits)
	if bits < 31 && (addr == g.Addr.Masked().Addr() || addr == broadcastOf(g.Addr)) {
		return g, nil, fmt.Errorf("%s is the network's own or broadcast address", g.Addr)
	}
	if g.Server, ok = unicast(m.ServerIdentifier()); !ok {
		return g, nil, errors.New("it does not say which server it is from")
	}
	lasts := m.IPAddressLeaseTime(0)
	if lasts < shortestLease {
		return g, nil, fmt.Errorf("the lease of %v is too short or missing", lasts)
	}
	lasts = min(lasts, longestLease)
	g.Expires = asked.Add(lasts)
	t1, t2 := m.IPAddressRenewalTime(0), m.IPAddressRebindingTime(0)
	if t2 < time.Second || t2 >= lasts {
		t2 = lasts / 8 * 7
	}
	if t1 < time.Second || t1 >= t2 {
		t1 = min(lasts/2, t2/7*4)
	}
	g.renew, g.rebind = asked.Add(t1), asked.Add(t2)

	g.Gateway = gatewayOf(m)
	if g.Gateway == addr {
		doubts, g.Gateway = append(doubts, "it names us as our own gateway"), netip.Addr{}
	}
	for _, ip := range m.DNS() {
		if a, ok := unicast(ip); ok && len(g.DNS) < mostServers {
			g.DNS = append(g.DNS, a)
		}
	}
	if m.Options.Has(dhcpv4.OptionInterfaceMTU) {
		mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, m.Options)
		if g.MTU = int(mtu); err != nil || g.MTU < leastMTU {
			doubts, g.MTU = append(doubts, fmt.Sprintf("it wants an MTU of %d, below %d", mtu, leastMTU)), 0
		}
	}
	return g, doubts, nil
}

// complete adds to the answer to a renewal what was said before and is not said again: some servers then only name the time.
func complete(m *dhcpv4.DHCPv4, before dhcpv4.Options) {
	for _, code := range []dhcpv4.OptionCode{
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionDomainNameServer,
		dhcpv4.OptionInterfaceMTU, dhcpv4.OptionServerIdentifier,
	} {
		if old := before.Get(code); old != nil && !m.Options.Has(code) {
			m.UpdateOption(dhcpv4.OptGeneric(code, old))
		}
	}
}

// gatewayOf finds the default gateway: a default route among the classless static routes goes before the router
// option (RFC 3442). It need not be inside the network of the address.
func gatewayOf(m *dhcpv4.DHCPv4) netip.Addr {
	for _, r := range m.ClasslessStaticRoute() {
		if bits, _ := r.Dest.Mask.Size(); bits == 0 {
			if a, ok := unicast(r.Router); ok {
				return a
			}
		}
	}
	for _, ip := range m.Router() {
		if a, ok := unicast(ip); ok {
			return a
		}
	}
	return netip.Addr{}
}

// unicast tells whether the bytes are an IPv4 address that one other host on a network can have.
func unicast(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip)
	a = a.Unmap()
	first := byte(0)
	if ok && a.Is4() {
		first = a.As4()[0]
	}
	return a, first != 0 && !a.IsLoopback() && first < 224
}

func broadcastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := range b {
		host := max(0, min(8, 8*(i+1)-p.Bits())) // bits of this byte that number the host
		b[i] |= byte(1<<host - 1)
	}
	return netip.AddrFrom4(b)
}
