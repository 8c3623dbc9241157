package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/plan"
)

// difference is what has to change beside the ruleset. Additions are reversible and come before it. What comes afterwards, removals above
// all, does no harm when it is left undone.
type difference struct {
	additions, afterwards []step
}

func (a *Applier) difference(ctx context.Context, s plan.State) (difference, error) {
	var d difference
	for _, p := range []func(context.Context, plan.State, *difference) error{a.sysctlSteps, a.routeSteps, a.ruleSteps, a.shapingSteps} {
		if err := p(ctx, s, &d); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (a *Applier) sysctlSteps(_ context.Context, s plan.State, d *difference) error {
	for _, c := range s.Sysctls {
		have, err := a.machine.Sysctl(c.Key)
		if errors.Is(err, hal.ErrNotFound) {
			// A kernel without IPv6, or a device that is unplugged: nothing to set, and no reason to stop.
			continue
		}
		if err != nil {
			return fmt.Errorf("reading sysctl %s: %w", c.Key, err)
		}
		if have == c.Value {
			continue
		}
		if _, known := a.sysctls[c.Key]; !known {
			a.sysctls[c.Key] = have
		}
		d.additions = append(d.additions, step{
			text: fmt.Sprintf("sysctl %s = %s", c.Key, c.Value),
			do:   func(context.Context) error { return a.machine.SetSysctl(c.Key, c.Value) },
			undo: func(context.Context) error { return a.machine.SetSysctl(c.Key, have) },
		})
	}
	return nil
}

func (a *Applier) routeSteps(ctx context.Context, s plan.State, d *difference) error {
	standing := map[hal.Route]bool{}
	for _, t := range ownTables() {
		routes, err := a.machine.Routes(ctx, t)
		if err != nil {
			return fmt.Errorf("reading routing table %d: %w", t, err)
		}
		for _, r := range routes {
			standing[r] = true
		}
	}
	slot := func(r hal.Route) string { return fmt.Sprint(r.Table, r.Dst, r.Metric) }
	replaced := map[string]hal.Route{}
	for r := range standing {
		replaced[slot(r)] = r
	}
	wanted := map[string]bool{}
	for _, r := range s.Routes {
		wanted[slot(r)] = true
		if standing[r] {
			continue
		}
		old, had := replaced[slot(r)]
		d.additions = append(d.additions, step{
			text: "route " + r.String(),
			do:   func(ctx context.Context) error { return a.machine.ReplaceRoute(ctx, r) },
			undo: func(ctx context.Context) error {
				if had {
					return a.machine.ReplaceRoute(ctx, old)
				}
				return a.machine.DeleteRoute(ctx, r)
			},
		})
	}
	for r := range standing {
		if !wanted[slot(r)] {
			d.afterwards = append(d.afterwards, step{
				text: "removal of route " + r.String(),
				do:   func(ctx context.Context) error { return a.machine.DeleteRoute(ctx, r) },
			})
		}
	}
	return nil
}

func (a *Applier) ruleSteps(ctx context.Context, s plan.State, d *difference) error {
	rules, err := a.machine.Rules(ctx)
	if err != nil {
		return fmt.Errorf("reading the routing rules: %w", err)
	}
	standing := map[hal.Rule]bool{}
	for _, r := range rules {
		if own(r) {
			standing[r] = true
		}
	}
	for _, r := range s.Rules {
		if standing[r] {
			delete(standing, r)
			continue
		}
		d.additions = append(d.additions, step{
			text: fmt.Sprintf("rule %s %s", r.Family, r),
			do: func(ctx context.Context) error {
				if err := a.machine.AddRule(ctx, r); !errors.Is(err, hal.ErrExists) {
					return err
				}
				return nil
			},
			undo: func(ctx context.Context) error { return a.machine.DeleteRule(ctx, r) },
		})
	}
	for r := range standing {
		d.afterwards = append(d.afterwards, step{
			text: fmt.Sprintf("removal of rule %s %s", r.Family, r),
			do:   func(ctx context.Context) error { return a.machine.DeleteRule(ctx, r) },
		})
	}
	return nil
}

func own(r hal.Rule) bool {
	first, last := plan.OwnRulePriorities()
	return first <= r.Priority && r.Priority <= last
}
