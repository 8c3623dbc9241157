package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/steer"
)

// Numbers of routing tables and rules that are ours. A link's table is LinkTable + its id.
const (
	LinkTable    = 1000 // itself: the defaults of sockets that have not chosen a link yet
	rulePriority = 9000
	fallbackRule = 9100
	// outOfUse is added to the metrics of links that are not usable.
	outOfUse = 100
	// lastMetric is the worst metric: an unreachable route that ends the lookup in a link's table, so that a flow
	// of a link that lost its gateway never leaves over another link with the wrong address.
	lastMetric = 1<<31 - 1
)

// OwnRulePriorities is the range of priorities in which every rule is ours.
func OwnRulePriorities() (first, last int) { return rulePriority, fallbackRule }

// OutOfUse tells, of a route in LinkTable, whether its link was out of use when the plan was made: what a daemon that is started
// again must know before its own probes have spoken.
func OutOfUse(r hal.Route) bool { return r.Metric > outOfUse }

func rules(links []Link) []hal.Rule {
	var out []hal.Rule
	for _, f := range []hal.Family{hal.IPv4, hal.IPv6} {
		// The household's own networks first: a link's table knows only the way out.
		out = append(out, hal.Rule{Family: f, Priority: rulePriority, Table: hal.MainTable, SuppressPrefix: 0})
		for _, l := range links {
			out = append(out, hal.Rule{
				Family: f, Priority: rulePriority + int(l.ID), Mark: uint32(l.ID.Mark()), Mask: uint32(flow.LinkMask),
				Table: LinkTable + int(l.ID), SuppressPrefix: -1,
			})
		}
		out = append(out, hal.Rule{Family: f, Priority: fallbackRule, Table: LinkTable, SuppressPrefix: -1})
	}
	return out
}

var defaults = map[bool]netip.Prefix{
	false: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
	true:  netip.PrefixFrom(netip.IPv6Unspecified(), 0),
}

func routes(links []Link) []hal.Route {
	var out []hal.Route
	for _, v6 := range []bool{false, true} {
		// A socket of the router's own picks its source address before the output hook picks its link. Links
		// that are down stay in the table, last: answers to their probes must pass the reverse path check.
		ordered := slices.Clone(links)
		slices.SortStableFunc(ordered, func(a, b Link) int { return cmp.Or(rank(a)-rank(b), int(a.ID)-int(b.ID)) })
		for n, l := range ordered {
			gw := l.gateway(v6)
			if !gw.IsValid() {
				continue
			}
			r := hal.Route{Dst: defaults[v6], Gateway: gw, Dev: l.Device, MTU: l.MTU, OnLink: true, Protocol: hal.RouteProtocol}
			if gw.IsUnspecified() {
				r.Gateway, r.OnLink = netip.Addr{}, false
			}
			r.Table, r.Metric = LinkTable, n+1
			if !l.Usable {
				r.Metric += outOfUse
			}
			out = append(out, r)
			r.Table, r.Metric = LinkTable+int(l.ID), 1
			out = append(out, r)
		}
		for _, l := range links {
			out = append(out, hal.Route{
				Table: LinkTable + int(l.ID), Dst: defaults[v6], Metric: lastMetric, Unreachable: true, Protocol: hal.RouteProtocol,
			})
		}
	}
	slices.SortFunc(out, hal.CompareRoutes)
	return out
}

// rank orders links for the router's own sockets: usable before unusable, then by role.
func rank(l Link) int {
	r := int(l.Role)
	if l.Role == steer.Never {
		r = 10
	}
	if !l.Usable {
		r += 20
	}
	return r
}

func sysctls(in Input) []Sysctl {
	out := []Sysctl{
		{"net/ipv4/ip_forward", "1"},
		// Flow records with bytes and times; first packets of running flows are judged again after a call-back.
		{"net/netfilter/nf_conntrack_acct", "1"},
		{"net/netfilter/nf_conntrack_timestamp", "1"},
		{"net/netfilter/nf_conntrack_tcp_loose", "1"},
		// Late segments of a lossy radio link are no reason to cut a connection.
		{"net/netfilter/nf_conntrack_tcp_be_liberal", "1"},
	}
	for _, l := range in.Links {
		// Loose: an answer may come in over a link that is not the default of the moment.
		out = append(out, Sysctl{"net/ipv4/conf/" + l.Device + "/rp_filter", "2"})
		if l.AcceptRA {
			// 2: also while forwarding is on (kernel doc ip-sysctl, accept_ra).
			out = append(out, Sysctl{"net/ipv6/conf/" + l.Device + "/accept_ra", "2"})
		}
	}
	// After accept_ra: turning forwarding on drops the routes of interfaces that would no longer accept advertisements.
	out = append(out, Sysctl{"net/ipv6/conf/all/forwarding", "1"})
	// A host that could reach its target over a neighbour must not learn to go around the policy. The kernel sends redirects when
	// either the device's or all devices' switch is on (kernel doc ip-sysctl, send_redirects).
	out = append(out, Sysctl{"net/ipv4/conf/all/send_redirects", "0"})
	for _, l := range in.LAN {
		out = append(out, Sysctl{"net/ipv4/conf/" + l.Device + "/send_redirects", "0"})
	}
	return out
}
