package hal

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// LANPort is an interface towards the household whose making or addresses are the router's own.
type LANPort struct {
	Device string
	// Ports are what a bridge of ours joins; none: the device is another program's, and only its addresses are ours.
	Ports []string
	// Isolated ports hear the router and not each other.
	Isolated bool
	// Addrs are the device's addresses, with the lengths of their networks. Others of global scope that have no end, which are those that a
	// person or we gave it, go; what a program leased for it stays.
	Addrs []netip.Prefix
}

// Equal tells whether two are the same.
func (p LANPort) Equal(o LANPort) bool {
	return p.Device == o.Device && p.Isolated == o.Isolated && slices.Equal(p.Ports, o.Ports) && slices.Equal(p.Addrs, o.Addrs)
}

// LANPorts makes interfaces towards the household.
type LANPorts interface {
	// SetLANPort makes the port as it is wanted and switches it on. It may be called again. Ports that are not there are left out and joined by the
	// next call. ErrExists when a device of that name is no bridge or another program's bridge.
	SetLANPort(ctx context.Context, p LANPort) error
	// RemoveLANPorts takes away the bridges that SetLANPort ever made.
	RemoveLANPorts(ctx context.Context) error
}

// AddressNetwork is what the hosts on one interface are given.
type AddressNetwork struct {
	Device string
	// First and Last bound the IPv4 addresses for hosts; invalid: none are given.
	First, Last netip.Addr
	Router      netip.Prefix // the router's IPv4 address in their network
	Lease       time.Duration
	// Advertise announces every /64 that the device has an address of to IPv6 hosts, and Router6 as their name server.
	Advertise bool
	Router6   netip.Addr // the router's own address in one of them; invalid: it has none yet
	Way6      bool       // the router is a way out for IPv6 at present
}

// AddressService is everything that an AddressServer serves.
type AddressService struct {
	Networks []AddressNetwork
	Leases   string // file of the leases that are given, in dnsmasq's form
	Domain   string // of the house
}

// Equal tells whether two are the same.
func (s AddressService) Equal(o AddressService) bool {
	return slices.Equal(s.Networks, o.Networks) && s.Leases == o.Leases && s.Domain == o.Domain
}

// Validate tells what cannot be served, and what would be right.
func (s AddressService) Validate() error {
	if len(s.Networks) == 0 {
		return errors.New("address service: name a network")
	}
	for _, n := range s.Networks {
		if n.Device == "" {
			return errors.New("address service: a network has no device")
		}
		if !n.First.IsValid() {
			continue
		}
		switch {
		case !n.First.Is4() || !n.Last.Is4() || n.Last.Less(n.First):
			return fmt.Errorf("address service on %s: %v to %v is no range of IPv4 addresses", n.Device, n.First, n.Last)
		case !n.Router.IsValid() || !n.Router.Contains(n.First) || !n.Router.Contains(n.Last):
			return fmt.Errorf("address service on %s: %v to %v is not in the router's network %v", n.Device, n.First, n.Last, n.Router)
		case n.Lease < 2*time.Minute:
			return fmt.Errorf("address service on %s: a lease of %v: use 2m or more", n.Device, n.Lease)
		}
	}
	return nil
}

// AddressServer gives the hosts of the household addresses: DHCP, and router advertisements.
type AddressServer interface {
	// CheckAddresses tells whether s could be served, without touching what is served now. ErrUnsupported when the machine has no program for it.
	CheckAddresses(ctx context.Context, s AddressService) error
	// ServeAddresses serves until the context ends or the program does, which is an error that tells its last words. Leases that were given
	// before are kept. One call at a time.
	ServeAddresses(ctx context.Context, s AddressService) error
}
