package config

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// LAN is an interface towards the household.
type LAN struct {
	Device string `yaml:"device"`
	// Bridge has the router make Device, a bridge of these ports; empty: it is another program's.
	Bridge []string `yaml:"bridge"`
	// Address is the router's own on Device, with the length of the network; invalid: another program sets it.
	Address netip.Prefix `yaml:"address"`
	// ULA is the router's IPv6 address in a network of the house's own (RFC 4193); invalid: none.
	ULA   netip.Prefix `yaml:"ula"`
	DHCP  *DHCPRange   `yaml:"dhcp"`  // nil: another program gives addresses, or none does
	IPv6  Advertise    `yaml:"ipv6"`  // what hosts are told of IPv6
	Guest bool         `yaml:"guest"` // its hosts reach the internet, and nothing else
	WiFi  []WiFi       `yaml:"wifi"`  // by which hosts join it
}

// Advertise says whether the router announces networks to IPv6 hosts.
type Advertise string

const (
	AdvertiseOff Advertise = "off"  // "" in the file
	AdvertiseOn  Advertise = "auto" // all that the device has an address in, and what a provider delegates to the house
)

// DHCPRange is the part of a LAN's network that hosts get their IPv4 addresses from, by the number of the host in the network: so it stays when the
// router's address is changed.
type DHCPRange struct {
	From  uint32   `yaml:"from"`  // 0: 50, or 2 in a network of less than 256 addresses
	To    uint32   `yaml:"to"`    // 0: as far as the network goes, at most 199 more
	Lease Duration `yaml:"lease"` // 0: 12 h
}

const (
	firstHost    = 50
	hostsAtFirst = 200
	defaultLease = 12 * time.Hour
)

// Hosts are the first and the last address for hosts in the router's network, of which the router's own is never given; false when the network has
// no room for them.
func (r DHCPRange) Hosts(router netip.Prefix) (first, last netip.Addr, ok bool) {
	if !router.IsValid() || !router.Addr().Is4() || router.Bits() < 8 || router.Bits() > 30 {
		return first, last, false
	}
	size := uint32(1) << (32 - router.Bits())
	from, to := r.From, r.To
	if from == 0 {
		from = firstHost
		if size < 256 {
			from = 2
		}
	}
	if to == 0 {
		to = min(from+hostsAtFirst-1, size-2)
	}
	if from > to || to > size-2 {
		return first, last, false
	}
	base := router.Masked().Addr().As4()
	at := func(n uint32) netip.Addr {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(base[:])+n)
		return netip.AddrFrom4(b)
	}
	return at(from), at(to), true
}

// LeaseTime is for how long an address is given.
func (r DHCPRange) LeaseTime() time.Duration {
	if r.Lease == 0 {
		return defaultLease
	}
	return time.Duration(r.Lease)
}

// Managed tells whether the router makes the device or sets its addresses.
func (l LAN) Managed() bool { return len(l.Bridge) > 0 || l.Address.IsValid() || l.ULA.IsValid() }

// Served tells whether hosts get addresses, or announcements, from the router.
func (l LAN) Served() bool { return l.DHCP != nil || l.IPv6 == AdvertiseOn }

// Port is what the router makes of the device, with its addresses in networks that providers delegated.
func (l LAN) Port(delegated []netip.Prefix) hal.LANPort {
	p := hal.LANPort{Device: l.Device, Ports: l.Bridge, Isolated: l.Guest}
	for _, a := range []netip.Prefix{l.Address, l.ULA} {
		if a.IsValid() {
			p.Addrs = append(p.Addrs, a)
		}
	}
	p.Addrs = append(p.Addrs, delegated...)
	return p
}

// checkLAN looks at the LAN's interfaces; used holds the devices that are taken.
func (c Config) checkLAN(used map[string]string) error {
	for i, l := range c.LAN {
		at := func(key string) string { return fmt.Sprintf("lan[%d].%s", i, key) }
		if err := checkDevice(at("device"), l.Device, theLAN, used); err != nil {
			return err
		}
		for n, port := range l.Bridge {
			if err := checkDevice(at(fmt.Sprintf("bridge[%d]", n)), port, "lan "+l.Device, used); err != nil {
				return err
			}
		}
		if err := l.checkWiFi(fmt.Sprintf("lan[%d]", i), used); err != nil {
			return err
		}
		if a := l.Address; a.IsValid() && (!a.Addr().Is4() || a.Bits() < 8 || a.Bits() > 30 || a == a.Masked() || !a.Addr().IsGlobalUnicast()) {
			return misfitf(at("address"), "lan %s: address %v: use the router's IPv4 address with the length of the network, as in 192.168.83.1/24", l.Device, a)
		}
		if a := l.ULA; a.IsValid() && (a.Addr().As16()[0] != 0xfd || a.Bits() != 64 || a == a.Masked()) {
			return misfitf(at("ula"), "lan %s: ula %v: use the router's address in a /64 of fd00::/8 whose next 40 bits were drawn by lot, as in fd5e:81c3:9a0f::1/64", l.Device, a)
		}
		if !slices.Contains([]Advertise{"", AdvertiseOff, AdvertiseOn}, l.IPv6) {
			return misfitf(at("ipv6"), "lan %s: ipv6 %q: use auto or off", l.Device, l.IPv6)
		}
		if l.ULA.IsValid() && l.IPv6 != AdvertiseOn {
			return misfitf(at("ula"), "lan %s: a ula that is not announced is of no use: add \"ipv6: auto\"", l.Device)
		}
		if l.DHCP == nil {
			continue
		}
		if d := l.DHCP.LeaseTime(); d < 2*time.Minute || d > 30*24*time.Hour {
			return misfitf(at("dhcp.lease"), "lan %s: dhcp: lease %v: use 2m to 720h", l.Device, d)
		}
		// Another program's address is known when it is there.
		if _, _, ok := l.DHCP.Hosts(l.Address); l.Address.IsValid() && !ok {
			return misfitf(at("dhcp"), "lan %s: dhcp: from %d to %d is not in the network of %v: they count its addresses from 1", l.Device, l.DHCP.From, l.DHCP.To, l.Address)
		}
		if l.DHCP.To != 0 && l.DHCP.From > l.DHCP.To {
			return misfitf(at("dhcp"), "lan %s: dhcp: from %d to %d: state the smaller one first", l.Device, l.DHCP.From, l.DHCP.To)
		}
	}
	for i, l := range c.LAN {
		for _, o := range c.LAN[:i] {
			if l.Address.IsValid() && o.Address.IsValid() && l.Address.Overlaps(o.Address) || l.ULA.IsValid() && o.ULA.IsValid() && l.ULA.Overlaps(o.ULA) {
				return misfitf(fmt.Sprintf("lan[%d].address", i), "lan %s and lan %s are in one network: give each its own", o.Device, l.Device)
			}
		}
	}
	return nil
}
