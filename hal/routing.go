package hal

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
)

// Family is an address family.
type Family uint8

const (
	IPv4 Family = 4
	IPv6 Family = 6
)

func (f Family) String() string { return fmt.Sprintf("IPv%d", uint8(f)) }

// FamilyOf tells the family of an address; an IPv4-mapped IPv6 address counts as IPv4.
func FamilyOf(a netip.Addr) Family {
	if a.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// Rule is a routing policy rule (`ip rule`). SuppressPrefix is the longest prefix length that is suppressed,
// -1 for none. A Mask of 0 means that the rule does not look at the mark. Unreachable rules have Table 0.
type Rule struct {
	Family         Family
	Priority       int
	Mark, Mask     uint32
	Table          int
	SuppressPrefix int
	Unreachable    bool
}

func (r Rule) String() string {
	s := fmt.Sprintf("%d: from all", r.Priority)
	if r.Mask != 0 {
		s += fmt.Sprintf(" fwmark %#x/%#x", r.Mark, r.Mask)
	}
	if r.Unreachable {
		return s + " unreachable"
	}
	table := fmt.Sprint(r.Table)
	if r.Table == MainTable {
		table = "main"
	}
	s += " lookup " + table
	if r.SuppressPrefix >= 0 {
		s += fmt.Sprintf(" suppress_prefixlength %d", r.SuppressPrefix)
	}
	return s
}

// MainTable is the number of the routing table "main".
const MainTable = 254

// Route is one route of a table. Dst 0.0.0.0/0 or ::/0 is the default route. A route without Gateway is on link.
// Unreachable routes have no Dev.
type Route struct {
	Table       int
	Dst         netip.Prefix
	Gateway     netip.Addr
	Dev         string
	Source      netip.Addr
	Metric      int
	MTU         int
	OnLink      bool // the gateway is reached through Dev even if no address of Dev covers it
	Unreachable bool
	Protocol    int // as in /etc/iproute2/rt_protos; ours is RouteProtocol
}

// RouteProtocol marks the routes that are ours.
const RouteProtocol = 197

func (r Route) String() string {
	s := "default"
	if r.Dst.Bits() > 0 {
		s = r.Dst.String()
	}
	if r.Unreachable {
		s = "unreachable " + s
	}
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	if r.Dev != "" {
		s += " dev " + r.Dev
	}
	s += fmt.Sprintf(" table %d", r.Table)
	if r.Source.IsValid() {
		s += " src " + r.Source.String()
	}
	if r.Metric != 0 {
		s += fmt.Sprintf(" metric %d", r.Metric)
	}
	if r.MTU != 0 {
		s += fmt.Sprintf(" mtu %d", r.MTU)
	}
	if r.OnLink {
		s += " onlink"
	}
	return s
}

// CompareRoutes orders routes by table, family, destination, metric and the rest of the text.
func CompareRoutes(a, b Route) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), a.Dst.Addr().Compare(b.Dst.Addr()),
		cmp.Compare(a.Dst.Bits(), b.Dst.Bits()), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.String(), b.String()))
}

// Routing reads and edits routing rules and routes of both families.
type Routing interface {
	Rules(ctx context.Context) ([]Rule, error)
	AddRule(ctx context.Context, r Rule) error
	DeleteRule(ctx context.Context, r Rule) error
	// Routes lists a table's unicast and unreachable routes; a table that does not exist is empty.
	Routes(ctx context.Context, table int) ([]Route, error)
	ReplaceRoute(ctx context.Context, r Route) error
	DeleteRoute(ctx context.Context, r Route) error
}

// Sysctls reads and writes /proc/sys. Keys use slashes: "net/ipv4/ip_forward".
type Sysctls interface {
	Sysctl(key string) (string, error)
	SetSysctl(key, value string) error
}
