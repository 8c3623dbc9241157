package relay

import (
	"fmt"
	"net/netip"
	"strings"
)

// tableName is the relay's own nftables table: a router on the same machine has another one.
const tableName = "trenza_relay"

// rules is the whole table as text for `nft -f`, which replaces the one before in one transaction. Routers do not reach each other; what
// leaves has the relay's address; forwarded ports lead to routers that have joined.
func rules(c *Config, routers []Joined) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", tableName)
	fmt.Fprintf(&b, "\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n")
	fmt.Fprintf(&b, "\t\tiifname %[1]q oifname %[1]q drop\n", c.Device)
	fmt.Fprintf(&b, "\t\toifname %q tcp flags syn tcp option maxseg size set rt mtu\n", c.Device)
	fmt.Fprintf(&b, "\t\tiifname %q tcp flags syn tcp option maxseg size set rt mtu\n\t}\n", c.Device)
	fmt.Fprintf(&b, "\tchain prerouting {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n")
	for _, f := range c.Forwards {
		for _, r := range routers {
			if r.Name != f.Router {
				continue
			}
			to := f.To
			if to == 0 {
				to = f.Port
			}
			for _, a := range []netip.Addr{r.IPv4, r.IPv6} {
				if a.IsValid() {
					fmt.Fprintf(&b, "\t\tiifname != %q meta nfproto %s %s dport %d dnat %s to %s\n", c.Device, protoOf(a), f.Proto, f.Port, familyOf(a), netip.AddrPortFrom(a, to))
				}
			}
		}
	}
	b.WriteString("\t}\n")
	if c.NAT == nil || *c.NAT {
		fmt.Fprintf(&b, "\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n")
		for _, p := range c.Pool {
			fmt.Fprintf(&b, "\t\toifname != %q %s saddr %s masquerade\n", c.Device, familyOf(p.Addr()), p)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// noRules takes the table away.
func noRules() string { return fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\n", tableName) }

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

func protoOf(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}
