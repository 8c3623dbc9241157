package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/plan"
)

// ownTables lists every routing table that a plan may use.
func ownTables() []int {
	var out []int
	for t := plan.LinkTable; t <= plan.LinkTable+int(flow.MaxLink); t++ {
		out = append(out, t)
	}
	return out
}

// Cleanup takes away everything that any run of the router ever put into the kernel: rules, routes, the nft table, class trees and the detour. Sysctls go
// back to what this process found; those of an earlier process are left, since nobody knows what they were.
// It goes on after an error and returns all of them.
func (a *Applier) Cleanup(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	fail := func(what string, err error) {
		if err != nil && !errors.Is(err, hal.ErrNotFound) {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	rules, err := a.machine.Rules(ctx)
	fail("reading the routing rules", err)
	for _, r := range rules {
		if own(r) {
			fail("removing rule "+r.String(), a.machine.DeleteRule(ctx, r))
		}
	}
	for _, t := range ownTables() {
		routes, err := a.machine.Routes(ctx, t)
		fail(fmt.Sprintf("reading routing table %d", t), err)
		for _, r := range routes {
			fail("removing route "+r.String(), a.machine.DeleteRoute(ctx, r))
		}
	}
	// "add" first, so that the deletion of a table that never stood is no error.
	fail("removing table inet "+plan.Table, a.machine.Load(ctx,
		fmt.Sprintf("add table inet %s\ndelete table inet %s\n", plan.Table, plan.Table)))
	shaped, err := a.machine.Shaped(ctx)
	fail("reading which devices are shaped", known(err))
	for _, device := range shaped {
		fail("removing the class tree of "+device, a.machine.SetShaping(ctx, hal.Shaping{Device: device}))
	}
	detour, err := a.machine.Detour(ctx)
	fail("reading the detour", known(err))
	if !detour.Equal(hal.Detour{}) {
		fail("removing the detour", a.machine.SetDetour(ctx, hal.Detour{}))
	}
	for key, value := range a.sysctls {
		fail("setting sysctl "+key, a.machine.SetSysctl(key, value))
	}
	a.standing, a.print = nil, ""
	clear(a.sysctls)
	return errors.Join(errs...)
}
