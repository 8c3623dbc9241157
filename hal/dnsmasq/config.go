package dnsmasq

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/trenza-router/trenza/hal"
)

const (
	// advertiseEvery is the pause between two advertisements without being asked, and routerLifetime how long hosts take the router for a
	// way out after the last (RFC 4861 section 6.2.1), in seconds. Short, so that what changes is known soon by hosts that missed it.
	advertiseEvery = 60
	routerLifetime = 600
	// prefixLifetime is for how long an announced network holds. When it is changed or withdrawn dnsmasq announces the old one as deprecated.
	prefixLifetime = "2h"
)

// Config is the whole configuration file for a service.
func Config(s hal.AddressService) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Made by trenza out of its own configuration, whole, each time that this changes.")
	line("port=0") // names are the router's
	line("bind-dynamic")
	line("except-interface=lo")
	line("dhcp-leasefile=%s", s.Leases)
	line("dhcp-authoritative")
	if s.Domain != "" {
		line("domain=%s", s.Domain)
	}
	advertise := false
	for _, n := range s.Networks {
		advertise = advertise || n.Advertise
	}
	if advertise {
		line("enable-ra")
	}
	for i, n := range s.Networks {
		tag := fmt.Sprintf("lan%d", i)
		line("")
		line("interface=%s", n.Device)
		if n.First.IsValid() {
			line("dhcp-range=set:%s,%v,%v,%s,%d", tag, n.First, n.Last, mask(n.Router), int(n.Lease.Seconds()))
			line("dhcp-option=tag:%s,option:router,%v", tag, n.Router.Addr())
			line("dhcp-option=tag:%s,option:dns-server,%v", tag, n.Router.Addr())
		}
		if n.Advertise {
			line("dhcp-range=set:%s,::,constructor:%s,ra-only,64,%s", tag, n.Device, prefixLifetime)
			lifetime := routerLifetime
			if !n.Way6 {
				lifetime = 0 // RFC 7084, requirement G-4: no default router without a way out
			}
			line("ra-param=%s,%d,%d", n.Device, advertiseEvery, lifetime)
			if n.Router6.IsValid() {
				line("dhcp-option=tag:%s,option6:dns-server,[%v]", tag, n.Router6)
			}
		}
	}
	return b.String()
}

// mask is a network's length as a mask of four numbers.
func mask(p netip.Prefix) string {
	var m [4]byte
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(m).String()
}
