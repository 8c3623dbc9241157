package netlab

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// Lease is what a DHCP server gave a device.
type Lease struct {
	Address netip.Prefix // the device's, with the length of the network
	Gateway netip.Addr
	DNS     []netip.Addr
	Expires time.Duration // since it was given
}

// requestTimeout is how long one DHCP message waits for its answer before it is
// sent again.
const requestTimeout = time.Second

// RequestLease gets an IPv4 address for a device of the namespace, as a host
// called hostname (RFC 2131). It asks again until ctx ends. want is an address
// to ask for; invalid for any. Nothing is configured by it.
func (n *Namespace) RequestLease(ctx context.Context, device, hostname string, want netip.Addr) (Lease, error) {
	var client *nclient4.Client
	err := n.Do(func() (err error) {
		client, err = nclient4.New(device, nclient4.WithTimeout(requestTimeout), nclient4.WithRetry(1))
		return err
	})
	if err != nil {
		return Lease{}, fmt.Errorf("start a DHCP client on %s in %s: %w", device, n.name, err)
	}
	defer client.Close()
	modifiers := []dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptHostName(hostname)),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer),
	}
	if want.IsValid() {
		modifiers = append(modifiers, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(want.AsSlice())))
	}
	for {
		got, err := client.Request(ctx, modifiers...)
		if err == nil {
			return leaseOf(got.ACK)
		}
		if ctx.Err() != nil {
			return Lease{}, fmt.Errorf("no DHCP lease for %s in %s: %w", device, n.name, context.Cause(ctx))
		}
	}
}

// leaseOf reads the lease out of a server's acknowledgement.
func leaseOf(ack *dhcpv4.DHCPv4) (Lease, error) {
	addr, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	ones, _ := ack.SubnetMask().Size()
	if !ok || ones == 0 {
		return Lease{}, fmt.Errorf("DHCP lease without address or netmask: %s", ack.Summary())
	}
	l := Lease{Address: netip.PrefixFrom(addr, ones), Expires: ack.IPAddressLeaseTime(time.Hour)}
	for _, r := range ack.Router() {
		if a, ok := netip.AddrFromSlice(r.To4()); ok {
			l.Gateway = a
			break
		}
	}
	for _, d := range ack.DNS() {
		if a, ok := netip.AddrFromSlice(d.To4()); ok {
			l.DNS = append(l.DNS, a)
		}
	}
	return l, nil
}

// configure gives the leased address to a device and makes its gateway the
// default route with a metric.
func (l Lease) configure(ctx context.Context, n *Namespace, device string, metric int) error {
	lines := []string{fmt.Sprintf("address replace %v dev %s", l.Address, device)}
	if l.Gateway.IsValid() {
		lines = append(lines, fmt.Sprintf("route replace default via %v dev %s metric %d", l.Gateway, device, metric))
	}
	return n.ip(ctx, lines...)
}
