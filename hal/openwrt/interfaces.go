package openwrt

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/hal"
)

// dump is the answer of network.interface's method dump.
type dump struct {
	Interface []netif `json:"interface"`
}

// netif is one of netifd's interfaces.
type netif struct {
	Name      string  `json:"interface"`
	Up        bool    `json:"up"`
	Pending   bool    `json:"pending"`
	Available bool    `json:"available"`
	AutoStart bool    `json:"autostart"`
	Dynamic   bool    `json:"dynamic"`
	Device    string  `json:"device"`
	L3Device  string  `json:"l3_device"`
	Proto     string  `json:"proto"`
	Errors    []fault `json:"errors"`
	netStack
	Inactive netStack `json:"inactive"` // what it does not set, such as a default route that it was told to leave out
	Prefixes []struct {
		Address string `json:"address"`
		Mask    int    `json:"mask"`
	} `json:"ipv6-prefix"`
}

type fault struct {
	Code string `json:"code"`
}

// netStack is what an interface sets in the kernel.
type netStack struct {
	IPv4   []address `json:"ipv4-address"`
	IPv6   []address `json:"ipv6-address"`
	Routes []struct {
		Target  string `json:"target"`
		Mask    int    `json:"mask"`
		Nexthop string `json:"nexthop"`
	} `json:"route"`
	DNS []string `json:"dns-server"`
}

type address struct {
	Address string `json:"address"`
	Mask    int    `json:"mask"`
}

// devices makes link devices of netifd's interfaces, by network interface. Two of them often share one, for IPv4 and for IPv6: they are one
// device, and the one that is further says its state.
func devices(all []netif) map[string]hal.LinkDevice {
	out := map[string]hal.LinkDevice{}
	for _, n := range all {
		name := n.L3Device
		if name == "" {
			name = n.Device
		}
		if n.Dynamic && n.Proto == "none" && strings.HasPrefix(n.Name, ourPrefix) {
			continue // announced by us: netifd does nothing with it
		}
		if name == "" || name == "lo" || strings.HasPrefix(name, "@") { // an alias of an interface that is down
			continue
		}
		d := n.device(name)
		if other, shared := out[name]; shared {
			d = join(other, d)
		}
		out[name] = d
	}
	return out
}

// device is an interface alone.
func (n netif) device(name string) hal.LinkDevice {
	d := hal.LinkDevice{Name: name, Owner: hal.OwnerNetifd}
	switch n.Proto {
	case "pppoe", "pppoa", "pptp", "l2tp":
		d.Kind, d.Parent = hal.LinkPPP, n.Device
	}
	switch {
	case n.Up:
		d.State = hal.LinkConnected
	case len(n.Errors) > 0:
		d.State, d.Detail = hal.LinkFailed, said(n.Name, n.Errors)
	case n.Pending:
		d.State, d.Detail = hal.LinkConnecting, "interface "+n.Name+" is being set up"
	case !n.AutoStart:
		d.State, d.Detail = hal.LinkOff, "interface "+n.Name+" is switched off: ifup "+n.Name
	default:
		d.State, d.Detail = hal.LinkOff, "no carrier"
	}
	for _, a := range slices.Concat(n.IPv4, n.IPv6) {
		if p, ok := prefix(a); ok {
			d.Addrs = append(d.Addrs, p)
		}
	}
	for _, p := range n.Prefixes {
		if p, ok := prefix(address{p.Address, p.Mask}); ok && !d.Prefix.IsValid() {
			d.Prefix = p
		}
	}
	for _, s := range []netStack{n.netStack, n.Inactive} {
		for _, r := range s.Routes {
			gateway, err := netip.ParseAddr(r.Nexthop)
			same := func(g netip.Addr) bool { return g.Is6() == gateway.Is6() }
			if err == nil && r.Mask == 0 && !gateway.IsUnspecified() && !slices.ContainsFunc(d.Gateways, same) {
				d.Gateways = append(d.Gateways, gateway)
			}
		}
		for _, text := range s.DNS {
			if server, err := netip.ParseAddr(text); err == nil && !slices.Contains(d.DNS, server) {
				d.DNS = append(d.DNS, server)
			}
		}
	}
	return d
}

func prefix(a address) (netip.Prefix, bool) {
	addr, err := netip.ParseAddr(a.Address)
	p := netip.PrefixFrom(addr, a.Mask)
	return p, err == nil && p.IsValid()
}

// said is an interface's faults in netifd's words, with those that people meet in ours.
func said(name string, faults []fault) string {
	words := make([]string, len(faults))
	for i, f := range faults {
		switch words[i] = strings.ToLower(strings.ReplaceAll(f.Code, "_", " ")); f.Code {
		case "AUTH_FAILED", "AUTH_TOPEER_FAILED":
			words[i] = "user or password is refused"
		case "NO_DEVICE":
			words[i] = "its device is not there"
		case "PIN_FAILED", "PIN_STATUS_FAILED":
			words[i] = "the SIM card refuses the PIN"
		}
	}
	return fmt.Sprintf("interface %s: %s", name, strings.Join(words, ", "))
}

// join makes one device of two interfaces that share it.
func join(a, b hal.LinkDevice) hal.LinkDevice {
	far := func(s hal.LinkState) int {
		return slices.Index([]hal.LinkState{hal.LinkOff, hal.LinkFailed, hal.LinkConnecting, hal.LinkConnected}, s)
	}
	if far(b.State) > far(a.State) {
		a.State, a.Detail = b.State, b.Detail
	}
	if a.Kind == "" {
		a.Kind, a.Parent = b.Kind, b.Parent
	}
	a.Addrs = append(a.Addrs, b.Addrs...)
	for _, g := range b.Gateways {
		if !slices.ContainsFunc(a.Gateways, func(o netip.Addr) bool { return o.Is6() == g.Is6() }) {
			a.Gateways = append(a.Gateways, g)
		}
	}
	for _, s := range b.DNS {
		if !slices.Contains(a.DNS, s) {
			a.DNS = append(a.DNS, s)
		}
	}
	if !a.Prefix.IsValid() {
		a.Prefix = b.Prefix
	}
	return a
}
