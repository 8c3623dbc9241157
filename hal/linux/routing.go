package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// routing reads and edits rules and routes by raw rtnetlink messages. It has no state: each call opens a socket in the
// network namespace of its thread, which costs some 20 µs and cannot go stale.
//
// The messages are our own rather than a library's because the fields that matter here are the ones that libraries lose: a
// suppressed prefix length beside a table number of 256 or more, the action of a rule, an IPv6 gateway of an IPv4 route.
type routing struct{}

// families in the order in which rules and routes are listed.
var families = [...]hal.Family{hal.IPv4, hal.IPv6}

// dumpAttempts bounds how often a listing is read anew because the kernel changed it while it was being read.
const dumpAttempts = 10

// Rules lists the rules of both families in the order in which the kernel tries them, IPv4 first. Rules of others that a
// hal.Rule cannot express (those that look at addresses, devices, ports or users) are left out: they are nobody's
// to compare or delete.
func (routing) Rules(ctx context.Context) ([]hal.Rule, error) {
	c, err := dialRoute()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var rules []hal.Rule
	for _, f := range families {
		all, err := dumpRules(ctx, c, f)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if !r.foreign {
				rules = append(rules, r.Rule)
			}
		}
	}
	return rules, nil
}

// AddRule adds a rule, marked as ours by protocol hal.RouteProtocol; one that is there already is hal.ErrExists.
func (routing) AddRule(ctx context.Context, r hal.Rule) error {
	if err := r.Validate(); err != nil {
		return err
	}
	c, err := dialRoute()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	return executeRoute(c, unix.RTM_NEWRULE, netlink.Create|netlink.Excl, writeRule(r, hal.RouteProtocol),
		"add %s rule %q", r.Family, r)
}

// DeleteRule deletes the rule that equals r. The kernel takes every attribute that a request leaves out for "any" and
// deletes the first rule that matches, so the rule is looked up first and never deleted by resemblance.
func (routing) DeleteRule(ctx context.Context, r hal.Rule) error {
	if err := r.Validate(); err != nil {
		return err
	}
	c, err := dialRoute()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := dumpRules(ctx, c, r.Family)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(k kernelRule) bool { return !k.foreign && k.Rule == r })
	if i < 0 {
		return fmt.Errorf("delete %s rule %q: %w", r.Family, r, hal.ErrNotFound)
	}
	if j := slices.IndexFunc(all, func(k kernelRule) bool { return takenFor(k, all[i]) }); j != i {
		return fmt.Errorf("delete %s rule %q: the kernel would take the rule %q before it for it; "+
			"delete that one first: %w", r.Family, r, all[j].Rule, hal.ErrRefused)
	}
	return executeRoute(c, unix.RTM_DELRULE, 0, writeRule(r, all[i].protocol), "delete %s rule %q", r.Family, r)
}

// Routes lists a table's routes, IPv4 first, ordered by hal.CompareRoutes. A route over several next hops is listed once
// for each. The kernel's default metric for IPv6, 1024, reads as 0.
func (routing) Routes(ctx context.Context, table int) ([]hal.Route, error) {
	c, err := dialRoute()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return listRoutes(ctx, c, table)
}

// ReplaceRoute adds a route or replaces the one with the same table, destination and metric.
func (routing) ReplaceRoute(ctx context.Context, r hal.Route) error {
	if err := r.Validate(); err != nil {
		return err
	}
	return editRoute(ctx, unix.RTM_NEWROUTE, netlink.Create|netlink.Replace, r, "set")
}

// DeleteRoute deletes the route with r's table, destination, metric, gateway, device and kind; hal.ErrNotFound when there
// is none. As with rules, what a request leaves out means "any" to the kernel (a metric of 0 too), so it is looked
// up first.
func (routing) DeleteRoute(ctx context.Context, r hal.Route) error {
	if err := r.Validate(); err != nil {
		return err
	}
	c, err := dialRoute()
	if err != nil {
		return err
	}
	defer c.Close()
	routes, err := listRoutes(ctx, c, r.Table)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(routes, r.SamePath)
	if i < 0 {
		return fmt.Errorf("delete route %q: %w", r, hal.ErrNotFound)
	}
	return editRoute(ctx, unix.RTM_DELROUTE, 0, routes[i], "delete")
}

func editRoute(ctx context.Context, kind netlink.HeaderType, flags netlink.HeaderFlags, r hal.Route, doing string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := openNames()
	if err != nil {
		return err
	}
	defer names.Close()
	device := 0
	if r.Dev != "" {
		if device, err = names.index(r.Dev); err != nil {
			return fmt.Errorf("%s route %q: %w", doing, r, err)
		}
	}
	c, err := dialRoute()
	if err != nil {
		return err
	}
	defer c.Close()
	return executeRoute(c, kind, flags, writeRoute(r, device), "%s route %q", doing, r)
}

// dialRoute opens an rtnetlink socket. Strict makes the kernel filter dumps by table and explain refusals.
func dialRoute() (*netlink.Conn, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Strict: true})
	return c, kernelError(err, "open an rtnetlink socket")
}

func executeRoute(c *netlink.Conn, kind netlink.HeaderType, flags netlink.HeaderFlags, data []byte, doing string, args ...any) error {
	_, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   data,
	})
	return kernelError(err, doing, args...)
}

// dumpRoute sends a dump request and returns the answers of one undisturbed reading. A family that this kernel lacks and
// a table that does not exist are empty.
func dumpRoute(ctx context.Context, c *netlink.Conn, kind netlink.HeaderType, request []byte) ([]netlink.Message, error) {
	for range dumpAttempts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		answers, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump},
			Data:   request,
		})
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
			return nil, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		}
		if !slices.ContainsFunc(answers, interrupted) {
			return answers, nil
		}
	}
	return nil, fmt.Errorf("the kernel's list changed during each of %d readings; try again", dumpAttempts)
}

// interrupted tells whether the kernel changed what it was listing (NLM_F_DUMP_INTR).
func interrupted(m netlink.Message) bool { return m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 }

func dumpRules(ctx context.Context, c *netlink.Conn, f hal.Family) ([]kernelRule, error) {
	answers, err := dumpRoute(ctx, c, unix.RTM_GETRULE, routeHeader(f, 0, 0, 0, 0, 0, 0))
	if err != nil {
		return nil, kernelError(err, "list %s rules", f)
	}
	var rules []kernelRule
	for _, m := range answers {
		if m.Header.Type != unix.RTM_NEWRULE {
			continue
		}
		r, err := readRule(m.Data)
		if err != nil {
			return nil, fmt.Errorf("list %s rules: %w", f, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func listRoutes(ctx context.Context, c *netlink.Conn, table int) ([]hal.Route, error) {
	names, err := openNames()
	if err != nil {
		return nil, err
	}
	defer names.Close()
	var routes []hal.Route
	for _, f := range families {
		answers, err := dumpRoute(ctx, c, unix.RTM_GETROUTE, encodeRouteFilter(f, table))
		if err != nil {
			return nil, kernelError(err, "list the %s routes of table %d", f, table)
		}
		for _, m := range answers {
			if m.Header.Type != unix.RTM_NEWROUTE {
				continue
			}
			hops, err := readRoute(m.Data)
			if err != nil {
				return nil, fmt.Errorf("list the %s routes of table %d: %w", f, table, err)
			}
			for _, h := range hops {
				if h.Table != table {
					continue // a kernel that does not filter
				}
				if h.device != 0 {
					if h.Dev, err = names.name(h.device); errors.Is(err, hal.ErrNotFound) {
						continue // the device went away, and its routes with it
					} else if err != nil {
						return nil, err
					}
				}
				routes = append(routes, h.Route)
			}
		}
	}
	slices.SortStableFunc(routes, func(a, b hal.Route) int {
		return cmp.Or(cmp.Compare(hal.FamilyOf(a.Dst.Addr()), hal.FamilyOf(b.Dst.Addr())), hal.CompareRoutes(a, b))
	})
	return routes, nil
}
