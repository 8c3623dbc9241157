package haltest

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/trenza-router/trenza/hal"
)

func sortRules(rules []hal.Rule) {
	slices.SortStableFunc(rules, func(a, b hal.Rule) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Priority, b.Priority))
	})
}

// Rules lists the rules of both families.
func (f *Fake) Rules(ctx context.Context) ([]hal.Rule, error) {
	err := f.enter(ctx, "Rules", "")
	defer f.mu.Unlock()
	return slices.Clone(f.rules), err
}

// AddRule adds a rule behind those of its priority and announces it.
func (f *Fake) AddRule(ctx context.Context, r hal.Rule) error {
	return f.change(ctx, "AddRule", fmt.Sprintf("%s %s", r.Family, r), func() error {
		if err := r.Validate(); err != nil {
			return err
		}
		if slices.Contains(f.rules, r) {
			return fmt.Errorf("add %s rule %q: %w", r.Family, r, hal.ErrExists)
		}
		f.rules = append(f.rules, r)
		sortRules(f.rules)
		return nil
	}, hal.Event{Kind: hal.RoutingChanged})
}

// DeleteRule deletes a rule, with the kernel's blindness for rules that suppress more than the one that is asked for.
func (f *Fake) DeleteRule(ctx context.Context, r hal.Rule) error {
	return f.change(ctx, "DeleteRule", fmt.Sprintf("%s %s", r.Family, r), func() error { return f.deleteRule(r) },
		hal.Event{Kind: hal.RoutingChanged, Deleted: true})
}

func (f *Fake) deleteRule(r hal.Rule) error {
	if err := r.Validate(); err != nil {
		return err
	}
	i := slices.Index(f.rules, r)
	if i < 0 {
		return fmt.Errorf("delete %s rule %q: %w", r.Family, r, hal.ErrNotFound)
	}
	taken := slices.IndexFunc(f.rules, func(k hal.Rule) bool {
		return k.Family == r.Family && k.Priority == r.Priority && k.Unreachable == r.Unreachable &&
			(r.Table == 0 || k.Table == r.Table) && (r.Mark == 0 || k.Mark == r.Mark) && (r.Mask == 0 || k.Mask == r.Mask) &&
			(r.SuppressPrefix < 0 || k.SuppressPrefix == r.SuppressPrefix)
	})
	if taken != i {
		return fmt.Errorf("delete %s rule %q: %q stands before it: %w", r.Family, r, f.rules[taken], hal.ErrRefused)
	}
	f.rules = slices.Delete(f.rules, i, i+1)
	return nil
}

// FlushRules deletes all rules of both families, as `ip rule flush` and OpenWrt's `network restart` do, and announces it.
func (f *Fake) FlushRules() {
	f.mu.Lock()
	f.rules = slices.DeleteFunc(f.rules, func(r hal.Rule) bool { return r.Priority != 0 })
	f.mu.Unlock()
	f.announce(hal.Event{Kind: hal.RoutingChanged, Deleted: true})
}

// FlushRoutes deletes all routes of a table, of both families, and announces it.
func (f *Fake) FlushRoutes(table int) {
	f.mu.Lock()
	for _, tables := range f.routes {
		delete(tables, table)
	}
	f.mu.Unlock()
	f.announce(hal.Event{Kind: hal.RoutingChanged, Table: table, Deleted: true})
}

// Routes lists a table.
func (f *Fake) Routes(ctx context.Context, table int) ([]hal.Route, error) {
	err := f.enter(ctx, "Routes", "")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return slices.Concat(f.routes[hal.IPv4][table], f.routes[hal.IPv6][table]), nil
}

// ReplaceRoute sets a route and announces it.
func (f *Fake) ReplaceRoute(ctx context.Context, r hal.Route) error {
	return f.change(ctx, "ReplaceRoute", r.String(), func() error {
		if err := r.Validate(); err != nil {
			return err
		}
		if err := f.reachable(r); err != nil {
			return err
		}
		f.putRoute(r)
		return nil
	}, hal.Event{Kind: hal.RoutingChanged, Table: r.Table})
}

// PutRoute adds a route of another program without a check and announces it.
func (f *Fake) PutRoute(r hal.Route) {
	f.mu.Lock()
	f.putRoute(r)
	f.mu.Unlock()
	f.announce(hal.Event{Kind: hal.RoutingChanged, Table: r.Table})
}

func (f *Fake) putRoute(r hal.Route) {
	tables := f.routes[hal.FamilyOf(r.Dst.Addr())]
	l := slices.DeleteFunc(tables[r.Table], func(o hal.Route) bool { return o.Dst == r.Dst && o.Metric == r.Metric })
	l = append(l, r)
	slices.SortFunc(l, hal.CompareRoutes)
	tables[r.Table] = l
}

// reachable refuses what the kernel refuses: a device that is not there, and a gateway that no address of the device covers.
func (f *Fake) reachable(r hal.Route) error {
	if r.Unreachable {
		return nil
	}
	dev, ok := f.interfaces[r.Dev]
	if !ok {
		return fmt.Errorf("set route %q: device %q: %w", r, r.Dev, hal.ErrNotFound)
	}
	if !dev.Up {
		return fmt.Errorf("set route %q: device %s is down: %w", r, r.Dev, hal.ErrRefused)
	}
	if !r.Gateway.IsValid() || r.OnLink || r.Gateway.IsLinkLocalUnicast() {
		return nil
	}
	if !slices.ContainsFunc(dev.Addrs, func(p netip.Prefix) bool { return p.Contains(r.Gateway) }) {
		return fmt.Errorf("set route %q: no address of %s covers the gateway: %w", r, r.Dev, hal.ErrRefused)
	}
	return nil
}

// DeleteRoute deletes a route and announces it.
func (f *Fake) DeleteRoute(ctx context.Context, r hal.Route) error {
	return f.change(ctx, "DeleteRoute", r.String(), func() error { return f.deleteRoute(r) },
		hal.Event{Kind: hal.RoutingChanged, Table: r.Table, Deleted: true})
}

func (f *Fake) deleteRoute(r hal.Route) error {
	if err := r.Validate(); err != nil {
		return err
	}
	tables := f.routes[hal.FamilyOf(r.Dst.Addr())]
	i := slices.IndexFunc(tables[r.Table], r.SamePath)
	if i < 0 {
		return fmt.Errorf("delete route %q: %w", r, hal.ErrNotFound)
	}
	if tables[r.Table] = slices.Delete(tables[r.Table], i, i+1); len(tables[r.Table]) == 0 {
		delete(tables, r.Table)
	}
	return nil
}
