package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/apply"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/steer"
)

const (
	// sweepAfter a plan, flows that were judged by the rules before it while it was loaded are called back, too.
	sweepAfter = 2 * time.Second
	// settle lets several changes of one cause (a device and its address) make one plan.
	settle = 5 * time.Millisecond
	// verifyAfter a change that another program made to the kernel's state, it is looked at; changes in between count as one.
	verifyAfter = 100 * time.Millisecond
	// Healing more often than healBurst times in healWindow is a fight with another program: then only once per healPause.
	healBurst  = 10
	healWindow = 30 * time.Second
	healPause  = 5 * time.Second
)

// planner makes the plans, one after the other, and keeps the kernel at the last one.
type planner struct {
	applier *apply.Applier

	// mu is held while a plan is made and committed. The fields below belong to whoever holds it.
	mu         sync.Mutex
	state      plan.State
	made       bool
	compiler   plan.Compiler
	conditions []steer.LinkCondition // those of state
	heals      []time.Time

	refused int // plans in a row that did not come to stand; of the planning task alone

	wake    chan struct{} // something that a plan depends on has changed
	foreign chan struct{} // someone touched the kernel's state
}

func newPlanner(a *apply.Applier) *planner {
	return &planner{applier: a, wake: make(chan struct{}, 1), foreign: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// touch asks for a new plan. It never waits.
func (p *planner) touch() { signal(p.wake) }

// runPlans is the task that plans.
func (e *Engine) runPlans(ctx context.Context) error {
	p := e.planner
	schedule := time.NewTimer(time.Hour)
	sweep := time.NewTimer(time.Hour)
	verify := time.NewTimer(time.Hour)
	defer schedule.Stop()
	defer sweep.Stop()
	defer verify.Stop()
	verifying := false
	p.touch()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			select { // one plan for what belongs together
			case <-ctx.Done():
				return nil
			case <-time.After(settle):
			}
			select {
			case <-p.wake:
			default:
			}
			e.replan(ctx)
			sweep.Reset(sweepAfter)
			schedule.Reset(p.untilNext(e.now()))
		case <-schedule.C:
			// Also when nothing is scheduled: a clock that was set may have crossed a schedule's edge.
			e.replan(ctx)
			schedule.Reset(p.untilNext(e.now()))
		case <-sweep.C:
			e.sweep(ctx)
		case <-p.foreign:
			if !verifying {
				verifying = true
				verify.Reset(verifyAfter)
			}
		case <-verify.C:
			verifying = false
			if wait := e.heal(ctx); wait > 0 {
				verifying = true
				verify.Reset(wait)
			}
		}
	}
}

const (
	// longestPlan bounds how long a plan is left unexamined.
	longestPlan = time.Minute
	// retryPlan is the pause after a plan that did not come to stand, doubled each time: a link that died must not wait.
	retryPlan = 2 * time.Second
)

func (p *planner) untilNext(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused > 0 {
		return min(retryPlan<<min(p.refused-1, 8), longestPlan)
	}
	if p.state.Until.IsZero() {
		return longestPlan
	}
	return min(max(p.state.Until.Sub(now), 0)+time.Millisecond, longestPlan)
}

// replan makes a plan of what is known now and commits it. A plan that cannot be made or committed changes nothing; the last
// one goes on and the health catalogue says why.
func (e *Engine) replan(ctx context.Context) {
	p := e.planner
	in, conditions := e.planInput()
	p.mu.Lock()
	edge := p.made && !p.state.Until.IsZero() && !in.Now.Before(p.state.Until)
	p.mu.Unlock()
	if err := e.commit(ctx, in, conditions); err != nil && ctx.Err() == nil {
		e.log.Error("the plan was not applied; the one before goes on", "error", err)
		e.stats.failed(err)
		e.health.Set(observe.Warning{Code: "plan", Severity: observe.Serious,
			Text: fmt.Sprintf("The latest change is not in force: %v.", err), Fix: "See the log; the rules before it go on."})
		p.refused++
		return
	}
	p.refused = 0
	e.health.Clear("plan", "")
	if e.strangers.Swap(false) || edge {
		e.judgeAgain(ctx)
	}
}

// commit compiles and applies one plan, then calls back the flows that it moves.
func (e *Engine) commit(ctx context.Context, in plan.Input, conditions []steer.LinkCondition) error {
	p := e.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	started := time.Now()
	state, err := p.compiler.Compile(in)
	if err != nil {
		return err
	}
	report, err := p.applier.Apply(ctx, state)
	if err != nil {
		return err
	}
	e.refill(ctx, report)
	old := p.conditions
	p.state, p.made, p.conditions = state, true, conditions
	e.recall(ctx, old, conditions, state)
	e.setIdle(state)
	e.stats.planned(started, time.Since(started), state, conditions, in.Policy.Len())
	if len(report.Changed) > 0 {
		e.log.Debug("plan applied", "changes", len(report.Changed), "took", report.Duration)
	}
	return nil
}

// refill gives the kernel what it had learned, when its maps had to be made anew.
func (e *Engine) refill(ctx context.Context, r apply.Report) {
	if r.Emptied {
		e.tell(ctx, e.names.Elements(e.now()))
	}
}

// recall makes the kernel judge anew the flows that a plan moves.
func (e *Engine) recall(ctx context.Context, old, now []steer.LinkCondition, state plan.State) {
	choices := map[flow.ChoiceID]steer.Choice{}
	for id, c := range state.Choices {
		choices[id] = c.V4
		// A link without IPv6 has no IPv6 flows to lose; what matters is a target in either family.
		if len(c.V4.Buckets) == 0 {
			choices[id] = c.V6
		}
	}
	for _, f := range steer.Recall(old, now, choices) {
		if err := e.machine.FlushConnections(ctx, f.Mark, f.Mask); err != nil && ctx.Err() == nil {
			e.log.Error("flows could not be called back", "why", f.Why, "error", err)
			continue
		}
		e.log.Debug("flows called back, if there were any", "why", f.Why)
	}
}

// sweep calls back flows that slipped onto the wrong link while a plan was being loaded.
func (e *Engine) sweep(ctx context.Context) {
	p := e.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made {
		e.recall(ctx, nil, p.conditions, p.state)
	}
}

// heal compares the kernel with the plan and mends it. It returns how long to wait for another look, 0 for none.
func (e *Engine) heal(ctx context.Context) time.Duration {
	p := e.planner
	p.mu.Lock()
	if !p.made {
		p.mu.Unlock()
		return 0
	}
	missing, err := p.applier.Verify(ctx, p.state)
	now := time.Now()
	p.heals = slices.DeleteFunc(p.heals, func(t time.Time) bool { return now.Sub(t) > healWindow })
	fight := len(p.heals) >= healBurst
	switch {
	case err != nil:
		p.mu.Unlock()
		if ctx.Err() == nil {
			e.log.Error("cannot compare the kernel's state with the plan", "error", err)
		}
		return healPause
	case len(missing) == 0:
		p.mu.Unlock()
		if fight {
			return healPause // the warning goes when it has been calm for a while
		}
		e.health.Clear("fight", "")
		return 0
	case fight && now.Sub(p.heals[len(p.heals)-1]) < healPause:
		p.mu.Unlock()
		return healPause
	}
	p.heals = append(p.heals, now)
	report, err := p.applier.Apply(ctx, p.state)
	if err == nil {
		e.refill(ctx, report)
	}
	p.mu.Unlock()

	what := strings.Join(missing[:min(3, len(missing))], "; ")
	if err != nil {
		e.log.Error("another program changed the kernel's state and it could not be mended", "missing", what, "error", err)
		return healPause
	}
	e.stats.healed()
	e.log.Warn("another program changed the kernel's state; mended", "missing", what, "count", len(missing))
	e.event(observe.Warn, "heal", "", "Another program had changed routing or filter rules; they are back.")
	if fight {
		e.health.Set(observe.Warning{Code: "fight", Severity: observe.Serious, Text: "Another program keeps removing this router's rules.",
			Fix: "Find it (mwan3, pbr, a network manager's script?) and stop it."})
		return healPause
	}
	// The kernel announced our own repair, too.
	return 0
}

// planInput gathers what a plan follows from, as it stands now.
func (e *Engine) planInput() (plan.Input, []steer.LinkCondition) {
	links := e.planLinks()
	conditions := make([]steer.LinkCondition, len(links))
	for i, l := range links {
		conditions[i] = l.LinkCondition
	}
	in := plan.Input{
		Now:      e.now(),
		Policy:   e.policy.current(),
		LAN:      e.planLAN(),
		Links:    links,
		Devices:  e.planDevices(),
		Names:    e.planNames(),
		Prefixes: e.planPrefixes(),
		Forwards: e.planForwards(),
		DNS:      plan.DNS{Redirect: e.redirect, Port: e.resolverPort},
		Queue:    e.queue.Load(), BlockPage: e.blockPage, Capture: e.planCapture(),
	}
	in.Shapings = e.planShapings(in.Now, in.Policy)
	return in, conditions
}

// trial tells whether a policy would be applied: everything but the commit, whose plan is half made by it.
func (e *Engine) trial(ctx context.Context, p *policy.Compiled) error {
	in, _ := e.planInput()
	in.Policy = p
	trees, err := e.trees(in.Now, p)
	if err != nil {
		return Problems{err.Error()}
	}
	in.Shapings = trees.shapings
	e.planner.mu.Lock()
	state, err := e.planner.compiler.Compile(in)
	e.planner.mu.Unlock()
	if err != nil {
		return Problems{err.Error()} // the rest of the input stands already, so it is this policy that cannot be planned
	}
	return e.machine.Check(ctx, state.Ruleset.Replace(plan.Standing{}))
}

// kernelEvent takes what the machine announced about its routing, filter and queueing state.
func (e *Engine) kernelEvent(ev hal.Event) {
	switch ev.Kind {
	case hal.RoutingChanged, hal.FirewallChanged:
		signal(e.planner.foreign)
	case hal.ShapingChanged:
		if e.wantsShaping() {
			signal(e.planner.foreign)
		}
	case hal.InterfaceChanged:
		if ev.Interface.Name == hal.DownloadDevice && e.wantsShaping() { // packets are led to it as long as it is there and up
			signal(e.planner.foreign)
		}
	case hal.NeighbourChanged:
	}
}
