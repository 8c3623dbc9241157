package host

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

const (
	maxLeaseFile = 1 << 20 // bytes read of a lease file
	maxLeases    = 4096    // of one file
)

// Lease is what a DHCP server of the LAN granted to a device.
type Lease struct {
	MAC      flow.MAC   // zero when the server knows only an IPv6 client id
	Client   flow.MAC   // a MAC that the IPv6 client id holds; it may be that of another card of the same device
	Addr     netip.Addr // zero: none at the moment
	Hostname string     // "" when the device told none
	Expires  time.Time  // zero: never
}

// Lease notes a lease that was just granted or renewed.
func (r *Registry) Lease(l Lease, now time.Time) { r.lease(l, now, true) }

// lease notes a lease; fresh tells that it was granted now, and not found in a file at start.
func (r *Registry) lease(l Lease, now time.Time, fresh bool) {
	defer r.tell()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !l.Expires.IsZero() && l.Expires.Before(now) {
		return
	}
	addr := l.Addr.Unmap().WithZone("")
	iface, ok := r.networkOf(addr)
	if !ok && addr.IsValid() {
		return
	}
	e := r.mac[l.Client]
	if a := r.addr[addr]; l.MAC.IsZero() && a != nil {
		e = a
	}
	if !l.MAC.IsZero() {
		e = r.byMAC(l.MAC, true, now)
	}
	if e == nil {
		return
	}
	e.confirmed = true
	if fresh {
		e.seen(def(iface, e.iface), now)
	}
	if addr.IsValid() && !r.own[addr] {
		r.giveAddr(e, addr, byLease, now)
	}
	r.setHostname(e, cleanHostname(l.Hostname), now)
}

func def(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// networkOf finds the LAN interface whose networks hold an address. As long as no network is known every address counts.
func (r *Registry) networkOf(a netip.Addr) (iface string, ok bool) {
	known := false
	for name, networks := range r.lan {
		known = known || len(networks) > 0
		if slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return name, true
		}
	}
	return "", !known && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback()
}

// setHostname takes a new host name. A device whose id stands for its MAC gets one made of the name; an id once made of a name stays.
func (r *Registry) setHostname(e *entry, name string, now time.Time) {
	if name == "" || name == e.hostname || e.hostname != "" && !e.fresh.take(now, newAddrs, newAddrGap) {
		return
	}
	old, anonymous := e.device(r.vendors), e.hostname == ""
	e.hostname = name
	if anonymous && !e.named && !e.wasNamed {
		r.giveID(e, e.wish())
	}
	r.changed(e, old)
}

// ParseLeases reads the lease file of dnsmasq (dnsmasq(8), --dhcp-leasefile) or the state file of odhcpd, line by line. Lines that
// are neither are passed over: a server may be writing just now. The answer is bounded.
func ParseLeases(file []byte) []Lease {
	var list []Lease
	for line := range bytes.Lines(file[:min(len(file), maxLeaseFile)]) {
		if len(list) >= maxLeases {
			break
		}
		fields := strings.Fields(string(line))
		if len(fields) >= 7 && fields[0] == "#" {
			list = append(list, parseOdhcpd(fields)...)
		} else if l, ok := parseDnsmasq(fields); ok {
			list = append(list, l)
		}
	}
	return list[:min(len(list), maxLeases)]
}

// parseDnsmasq reads `<expiry> <MAC> <IPv4> <name or *> <client id>` or `<expiry> <IAID> <IPv6> <name or *> <DUID>`.
func parseDnsmasq(f []string) (l Lease, ok bool) {
	if len(f) < 4 {
		return l, false
	}
	if l.Expires, ok = parseExpiry(f[0]); !ok {
		return l, false
	}
	a, err := netip.ParseAddr(f[2])
	if err != nil || a.Zone() != "" {
		return l, false
	}
	l.Addr, l.Hostname = a, leaseName(f[3], "*")
	if a.Is4() {
		// A type of hardware other than Ethernet stands before the address: "06-02:00:...".
		if l.MAC, err = flow.ParseMAC(f[1][strings.LastIndex(f[1], "-")+1:]); err != nil {
			return l, false
		}
	} else if len(f) >= 5 {
		l.Client = duidMAC(strings.ReplaceAll(f[4], ":", ""))
	}
	return l, true
}

// parseOdhcpd reads `# <interface> <DUID or MAC> <IAID or "ipv4"> <name or -> <expiry> <id> <bits> <address/bits>...`.
func parseOdhcpd(f []string) (list []Lease) {
	l := Lease{Hostname: leaseName(f[4], "-")}
	var ok bool
	if l.Expires, ok = parseExpiry(f[5]); !ok {
		return nil
	}
	if f[3] == "ipv4" {
		b, err := hex.DecodeString(f[2])
		if err != nil || len(b) != 6 {
			return nil
		}
		l.MAC = flow.MAC(b)
	} else {
		l.Client = duidMAC(f[2])
	}
	for _, text := range f[min(len(f), 8):] {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Bits() != p.Addr().BitLen() { // a delegated prefix is no address of the device
			continue
		}
		l.Addr = p.Addr()
		list = append(list, l)
	}
	return list
}

func leaseName(s, none string) string {
	if s == none {
		return ""
	}
	return s
}

// parseExpiry reads Unix seconds; 0 and negative numbers mean never.
func parseExpiry(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > 1<<40 {
		return time.Time{}, false
	}
	if n <= 0 {
		return time.Time{}, true
	}
	return time.Unix(n, 0), true
}

// duidMAC finds the Ethernet address in a DHCPv6 unique identifier of the kinds LLT (1) and LL (3): RFC 8415, section 11.
func duidMAC(text string) (m flow.MAC) {
	b, err := hex.DecodeString(text)
	switch {
	case err != nil || len(b) < 4 || b[2] != 0 || b[3] != 1 || b[0] != 0:
	case b[1] == 1 && len(b) == 14:
		copy(m[:], b[8:])
	case b[1] == 3 && len(b) == 10:
		copy(m[:], b[4:])
	}
	return m
}
