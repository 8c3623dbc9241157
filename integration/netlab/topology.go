package netlab

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/integration/netlab/internet"
)

// The addresses of the home's LAN. The router's is the first of each prefix.
var (
	lanPrefix4 = netip.MustParsePrefix("10.77.0.1/24")
	lanPrefix6 = netip.MustParsePrefix("fd00:77::1/64")
)

// The router's LAN device and the only device of each host.
const (
	LANDevice  = "lan0"
	hostDevice = "eth0"
)

// LinkSpec describes one WAN link and the provider at its far end.
type LinkSpec struct {
	Name   string // "fiber"; the provider's namespace is isp-fiber
	Device string // the router's device: "wan1"
	Params emulator.Params
	// Gateway4 is the provider's address on the link, with the length of the
	// network that DHCP hands out.
	Gateway4 netip.Prefix
	// NAT4 is the public address behind which the provider hides its customers;
	// invalid for none.
	NAT4 netip.Addr
	// Gateway6 is the provider's address in the prefix that it advertises.
	Gateway6 netip.Prefix
	// Transit4 and Transit6 connect the provider to the internet: the internet
	// has the first address, the provider the next.
	Transit4, Transit6 netip.Prefix
	// Router is the link's part in the daemon's configuration, besides name,
	// device and rates: lines of YAML, without indent.
	Router []string
}

// HostSpec describes one host on the LAN.
type HostSpec struct {
	Name    string
	MAC     string
	Privacy bool       // makes IPv6 privacy addresses (RFC 8981)
	Fixed4  netip.Addr // reserved for it by DHCP; invalid for any
}

// Home returns the links of the default home: a fast fiber, a middling wireless
// link, and a slow, lossy mobile one behind carrier NAT.
func Home() []LinkSpec {
	way := func(rate int64, delay, jitter time.Duration, loss float64) emulator.Settings {
		return emulator.Settings{Rate: rate, Delay: delay, Jitter: jitter, Loss: loss, Queue: 100 * time.Millisecond}
	}
	link := func(i int, name string, up, down emulator.Settings) LinkSpec {
		return LinkSpec{
			Name:     name,
			Device:   fmt.Sprintf("wan%d", i),
			Params:   emulator.Params{Up: up, Down: down},
			Gateway4: netip.MustParsePrefix(fmt.Sprintf("198.18.%d.1/24", i)),
			Gateway6: netip.MustParsePrefix(fmt.Sprintf("2001:db8:f%d::1/64", i)),
			Transit4: netip.MustParsePrefix(fmt.Sprintf("198.19.%d.1/30", i)),
			Transit6: netip.MustParsePrefix(fmt.Sprintf("2001:db8:e%d::1/64", i)),
		}
	}
	const ms = time.Millisecond
	fiber := link(1, "fiber", way(20e6, 8*ms, 0, 0), way(100e6, 8*ms, 0, 0))
	fiber.Router = []string{"role: primary", "weight: 70"}
	wifi := link(2, "wifi", way(10e6, 15*ms, 3*ms, 0), way(30e6, 15*ms, 3*ms, 0))
	wifi.Router = []string{"role: secondary", "weight: 30"}
	lte := link(3, "lte", way(8e6, 45*ms, 8*ms, 0.005), way(20e6, 45*ms, 8*ms, 0.005))
	lte.Gateway4 = netip.MustParsePrefix("100.64.1.1/24")
	lte.NAT4 = netip.MustParseAddr("198.18.3.1")
	lte.Router = []string{"role: backup", "weight: 10", "metered: true", "quota: {limit: 20GB, reset_day: 1}"}
	return []LinkSpec{fiber, wifi, lte}
}

// Hosts returns the hosts of the default home. Their addresses are of vendors
// that make such things.
func Hosts() []HostSpec {
	return []HostSpec{
		{Name: "laptop", MAC: "3c:58:c2:00:77:01", Privacy: true},
		{Name: "phone", MAC: "a4:83:e7:00:77:02", Privacy: true},
		{Name: "tv", MAC: "8c:79:f5:00:77:03"},
		{Name: "console", MAC: "00:d9:d1:00:77:04"},
		{Name: "camera", MAC: "44:19:b6:00:77:05", Fixed4: netip.MustParseAddr("10.77.0.20")},
	}
}

// Seen is where a link's traffic comes from, as a server sees it.
type Seen struct {
	V4, V6 netip.Prefix
}

// seen returns the addresses under which a server sees the link's customers.
func (l LinkSpec) seen() Seen {
	s := Seen{V4: l.Gateway4.Masked(), V6: l.Gateway6.Masked()}
	if l.NAT4.IsValid() {
		s.V4 = netip.PrefixFrom(l.NAT4, l.NAT4.BitLen())
	}
	return s
}

// far returns the provider's address on a transit network.
func far(transit netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(transit.Addr().Next(), transit.Bits())
}

// The batches below are ip(8)'s language. Addresses are "nodad": in a lab of
// our own nobody else has them, and the wait for duplicates is a second each.

// internetScript makes the internet answer for its servers and know the way
// back to every provider's customers.
func internetScript(links []LinkSpec) []string {
	var s []string
	// The internet answers for every address of the servers' networks, so that
	// tests may use more than have names.
	for _, p := range internet.Networks() {
		s = append(s, fmt.Sprintf("route add local %v dev lo", p))
	}
	for _, l := range links {
		s = append(s,
			fmt.Sprintf("address add %v dev %s", l.Transit4, l.Name),
			fmt.Sprintf("address add %v dev %s nodad", l.Transit6, l.Name),
			fmt.Sprintf("link set %s up", l.Name),
			fmt.Sprintf("route add %v via %v", l.seen().V4, far(l.Transit4).Addr()),
			fmt.Sprintf("route add %v via %v dev %s", l.seen().V6, far(l.Transit6).Addr(), l.Name),
		)
	}
	return s
}

// The devices of a provider: up0 to the internet, cust0 to the customer.
const (
	ispUp       = "up0"
	ispCustomer = "cust0"
)

// providerScript configures a provider's two devices.
func providerScript(l LinkSpec) []string {
	s := []string{
		fmt.Sprintf("address add %v dev %s", far(l.Transit4), ispUp),
		fmt.Sprintf("address add %v dev %s nodad", far(l.Transit6), ispUp),
		fmt.Sprintf("address add %v dev %s", l.Gateway4, ispCustomer),
		fmt.Sprintf("address add %v dev %s nodad", l.Gateway6, ispCustomer),
		fmt.Sprintf("link set %s up", ispUp),
		fmt.Sprintf("link set %s up", ispCustomer),
		fmt.Sprintf("route add default via %v", l.Transit4.Addr()),
		fmt.Sprintf("route add default via %v dev %s", l.Transit6.Addr(), ispUp),
	}
	if l.NAT4.IsValid() {
		s = append(s, fmt.Sprintf("address add %v/32 dev lo", l.NAT4))
	}
	return s
}

// carrierNAT returns the nft ruleset of a provider that hides its customers
// (RFC 6598), which also drops what comes for them unasked.
func carrierNAT(l LinkSpec) string {
	return fmt.Sprintf(`table ip carrier {
	chain out {
		type nat hook postrouting priority srcnat;
		oifname %q ip saddr %v snat to %v
	}
	chain in {
		type filter hook forward priority filter;
		iifname %q ct state new drop
	}
}
`, ispUp, l.Gateway4.Masked(), l.NAT4, ispUp)
}

// dnsmasqCommon is what all our DHCP servers share: no DNS, no other files than
// the one given, no waiting for a host that already has the address (nobody in
// the lab takes addresses unasked).
const dnsmasqCommon = `port=0
bind-dynamic
no-ping
dhcp-authoritative
enable-ra
pid-file=
log-facility=-
`

// providerDHCP returns the dnsmasq configuration of a provider.
func providerDHCP(l LinkSpec, leases string) string {
	first, last := poolOf(l.Gateway4)
	return fmt.Sprintf(`%sinterface=%s
dhcp-leasefile=%s
dhcp-range=%v,%v,1h
dhcp-option=option:router,%v
dhcp-option=option:dns-server,%s
dhcp-range=%v,ra-only,1h
dhcp-option=option6:dns-server,[%s]
`, dnsmasqCommon, ispCustomer, leases, first, last, l.Gateway4.Addr(), internet.Resolver4, l.Gateway6.Masked().Addr(), internet.Resolver6)
}

// lanDHCP returns the dnsmasq configuration of the home's router.
func lanDHCP(hosts []HostSpec, leases string) string {
	first, last := poolOf(lanPrefix4)
	var s strings.Builder
	fmt.Fprintf(&s, `%sinterface=%s
dhcp-leasefile=%s
dhcp-range=%v,%v,12h
dhcp-option=option:router,%v
dhcp-option=option:dns-server,%v
dhcp-range=%v,ra-only,12h
dhcp-option=option6:dns-server,[%v]
`, dnsmasqCommon, LANDevice, leases, first, last, lanPrefix4.Addr(), lanPrefix4.Addr(), lanPrefix6.Masked().Addr(), lanPrefix6.Addr())
	for _, h := range hosts {
		if h.Fixed4.IsValid() {
			fmt.Fprintf(&s, "dhcp-host=%s,%v\n", h.MAC, h.Fixed4)
		}
	}
	return s.String()
}

// poolOf returns the first and last address that DHCP hands out in a /24: .100
// and .199.
func poolOf(p netip.Prefix) (first, last netip.Addr) {
	a := p.Addr().As4()
	a[3] = 100
	first = netip.AddrFrom4(a)
	a[3] = 199
	return first, netip.AddrFrom4(a)
}

// port returns the name of the switch's port of a host.
func port(host string) string { return "p-" + host }

// switchScript joins the switch's ports, the router's and each host's, in one
// bridge.
func switchScript(hosts []HostSpec) []string {
	s := []string{"link add br0 type bridge", "link set br0 up", "link set uplink master br0 up"}
	for _, h := range hosts {
		s = append(s, fmt.Sprintf("link set %s master br0 up", port(h.Name)))
	}
	return s
}

// routerScript configures what an owner of the interfaces would have: the LAN
// side, and the WAN devices up without addresses.
func routerScript(links []LinkSpec) []string {
	s := []string{
		fmt.Sprintf("address add %v dev %s", lanPrefix4, LANDevice),
		fmt.Sprintf("address add %v dev %s nodad", lanPrefix6, LANDevice),
		fmt.Sprintf("link set %s up", LANDevice),
	}
	for _, l := range links {
		s = append(s, fmt.Sprintf("link set %s up", l.Device))
	}
	return s
}

// Every namespace: IPv6 on whatever the machine's own default is.
var sysctlCommon = []string{"ipv6/conf/all/disable_ipv6=0", "ipv6/conf/default/disable_ipv6=0"}

// A namespace where frames only pass: what is made in it gets no addresses.
var sysctlMute = []string{"ipv6/conf/default/disable_ipv6=1"}

// Every system that forwards. Source checks are off as on a plain kernel; a
// router that wants them sets them itself.
var sysctlForward = []string{
	"ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1",
	"ipv4/conf/all/rp_filter=0", "ipv4/conf/default/rp_filter=0",
}

// sysctlNoDAD lets a device's link-local address be used at once.
func sysctlNoDAD(device string) []string {
	return []string{"ipv6/conf/" + device + "/accept_dad=0", "ipv6/conf/" + device + "/dad_transmits=0"}
}

// sysctlWAN makes a forwarding system still take its address and default route
// from router advertisements on a device, and ask for them without delay.
func sysctlWAN(device string) []string {
	return []string{"ipv6/conf/" + device + "/accept_ra=2", "ipv6/conf/" + device + "/router_solicitation_delay=0"}
}

// sysctlHost configures a host's device.
func sysctlHost(h HostSpec) []string {
	s := []string{"ipv6/conf/" + hostDevice + "/router_solicitation_delay=0"}
	if h.Privacy {
		s = append(s, "ipv6/conf/"+hostDevice+"/use_tempaddr=2")
	}
	return s
}
