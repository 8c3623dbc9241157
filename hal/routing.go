package hal

import (
	"cmp"
	"context"
	"fmt"
	"math"
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

// Validate tells whether the rule can be written and read back as it is; the error says what would be right.
func (r Rule) Validate() error {
	switch {
	case r.Family != IPv4 && r.Family != IPv6:
		return fmt.Errorf("rule %q: its family is %d; use IPv4 or IPv6", r, r.Family)
	case r.Priority < 0 || r.Priority > math.MaxInt32:
		return fmt.Errorf("rule %q: the priority must be 0 to %d", r, math.MaxInt32)
	case r.Mark&^r.Mask != 0:
		return fmt.Errorf("rule %q: mark %#x has bits outside mask %#x, so it matches nothing", r, r.Mark, r.Mask)
	case r.Unreachable && r.Table != 0:
		return fmt.Errorf("rule %q: an unreachable rule has no table", r)
	case !r.Unreachable && (r.Table < 1 || r.Table > math.MaxInt32):
		return fmt.Errorf("rule %q: the table must be 1 to %d", r, math.MaxInt32)
	case r.SuppressPrefix < -1 || r.SuppressPrefix > 128:
		return fmt.Errorf("rule %q: the suppressed prefix length must be 0 to 128, or -1 for none", r)
	}
	return nil
}

// MainTable is the number of the routing table "main".
const MainTable = 254

// Route is one route of a table. Dst 0.0.0.0/0 or ::/0 is the default route. A route without Gateway is on link.
// Unreachable routes have no Dev. Metric 0 is the kernel's default, which for IPv6 is the number 1024.
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

// RouteProtocol marks the routes that are ours. No routing daemon has this number: FRR took 186 to 197, openr 99, babel 42.
const RouteProtocol = 116

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

// Validate tells whether the route can be written and read back as it is; the error says what would be right.
func (r Route) Validate() error {
	v6 := r.Dst.IsValid() && FamilyOf(r.Dst.Addr()) == IPv6
	switch {
	case !r.Dst.IsValid() || r.Dst != r.Dst.Masked() || r.Dst.Addr().Is4In6():
		return fmt.Errorf("route %q: destination %s is not a network; write 0.0.0.0/0 or ::/0 for the default route", r, r.Dst)
	case r.Table < 1 || r.Table > math.MaxInt32:
		return fmt.Errorf("route %q: the table must be 1 to %d", r, math.MaxInt32)
	case r.Protocol < 1 || r.Protocol > 255:
		return fmt.Errorf("route %q: protocol %d; ours is %d", r, r.Protocol, RouteProtocol)
	case r.Unreachable && (r.Dev != "" || r.Gateway.IsValid() || r.OnLink || r.Source.IsValid() || r.MTU != 0):
		return fmt.Errorf("route %q: an unreachable route has neither device, gateway, source nor MTU", r)
	case !r.Unreachable && r.Dev == "":
		return fmt.Errorf("route %q: it needs a device", r)
	case r.Gateway.IsValid() && (r.Gateway.Is4In6() || r.Gateway.Zone() != "" || r.Gateway.IsUnspecified()):
		return fmt.Errorf("route %q: gateway %s; write a plain address, the device is stated beside it", r, r.Gateway)
	case r.Gateway.Is4() && v6:
		return fmt.Errorf("route %q: an IPv6 destination cannot have the IPv4 gateway %s", r, r.Gateway)
	case r.OnLink && !r.Gateway.IsValid():
		return fmt.Errorf("route %q: onlink speaks of a gateway, and there is none", r)
	case r.Source.IsValid() && (r.Source.Is6() != v6 || r.Source.Is4In6() || r.Source.Zone() != ""):
		return fmt.Errorf("route %q: source %s must be an address of the destination's family", r, r.Source)
	case r.Metric < 0 || r.Metric > math.MaxInt32:
		return fmt.Errorf("route %q: the metric must be 0 to %d", r, math.MaxInt32)
	case v6 && r.Metric == 1024:
		return fmt.Errorf("route %q: write metric 1024 of an IPv6 route as 0, the kernel's default", r)
	case r.MTU < 0 || r.MTU > 65535-15:
		return fmt.Errorf("route %q: the MTU must be at most %d, or 0 for the device's", r, 65535-15)
	}
	return nil
}

// SamePath tells whether s is the route that a deletion of r deletes: same table, destination, metric, gateway,
// device and kind, whatever the rest is.
func (r Route) SamePath(s Route) bool {
	return r.Table == s.Table && r.Dst == s.Dst && r.Metric == s.Metric && r.Gateway == s.Gateway &&
		r.Dev == s.Dev && r.Unreachable == s.Unreachable
}

// CompareRoutes orders routes by table, family, destination, metric and the rest of the text.
func CompareRoutes(a, b Route) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), a.Dst.Addr().Compare(b.Dst.Addr()),
		cmp.Compare(a.Dst.Bits(), b.Dst.Bits()), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.String(), b.String()))
}

// Routing reads and edits routing rules and routes of both families.
type Routing interface {
	// Rules lists the rules that a Rule can express, IPv4 first, in the order in which the kernel tries them. Rules of
	// others that look at more (addresses, devices, ports) are left out.
	Rules(ctx context.Context) ([]Rule, error)
	// AddRule adds a rule; ErrExists when it is there.
	AddRule(ctx context.Context, r Rule) error
	// DeleteRule deletes the rule that equals r; ErrNotFound when there is none. It never deletes another: ErrRefused
	// when the kernel cannot tell r from a rule of the same priority that stands before it.
	DeleteRule(ctx context.Context, r Rule) error
	// Routes lists a table's unicast and unreachable routes, IPv4 first, ordered by CompareRoutes; a table that does
	// not exist is empty. A route over several next hops is listed once for each.
	Routes(ctx context.Context, table int) ([]Route, error)
	// ReplaceRoute adds the route or replaces the one with its table, destination and metric; ErrNotFound when the
	// device does not exist.
	ReplaceRoute(ctx context.Context, r Route) error
	// DeleteRoute deletes the route for which SamePath holds; ErrNotFound when there is none.
	DeleteRoute(ctx context.Context, r Route) error
}

// Sysctls reads and writes /proc/sys. Keys use slashes: "net/ipv4/ip_forward".
type Sysctls interface {
	Sysctl(key string) (string, error)
	SetSysctl(key, value string) error
}
