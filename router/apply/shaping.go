package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/plan"
)

// known is nil for a kernel that knows no queueing at all: nothing of ours stands there, and a house that is not shaped needs nothing.
func known(err error) error {
	if errors.Is(err, hal.ErrUnsupported) {
		return nil
	}
	return err
}

// Reshape goes from one state to another that differs in nothing but the trees, see plan.State.Reshaped. It is much less work than Apply,
// for trees that follow what devices need from second to second. On error nothing has changed, as with Apply.
func (a *Applier) Reshape(ctx context.Context, from, to plan.State) (Report, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	started := time.Now()
	var d difference
	var r Report
	if !slices.Equal(from.Classes(), to.Classes()) {
		if err := a.classSteps(ctx, to, &d); err != nil {
			return r, err
		}
	}
	var changed []hal.Shaping
	for i, s := range to.Shapings {
		if !s.Same(from.Shapings[i]) {
			changed = append(changed, s)
		}
	}
	err := a.treeSteps(ctx, changed, &d)
	if err == nil {
		err = a.change(ctx, d, nil, &r)
	}
	r.Duration = time.Since(started)
	return r, err
}

// shapingSteps: a class that goes loses its flows first, and one that comes gets them last, so that every packet's priority names a class
// that stands.
func (a *Applier) shapingSteps(ctx context.Context, s plan.State, d *difference) error {
	if len(s.Shapings) > 0 {
		if err := a.classSteps(ctx, s, d); err != nil {
			return err
		}
	}
	detour, err := a.machine.Detour(ctx)
	if known(err) != nil {
		return fmt.Errorf("reading the detour: %w", err)
	}
	if s.Detour.Device != "" && !detour.Equal(s.Detour) {
		d.additions = append(d.additions, step{
			text: fmt.Sprintf("detour of %v by %s", s.Detour.From, s.Detour.Device),
			do:   func(ctx context.Context) error { return a.machine.SetDetour(ctx, s.Detour) },
			undo: func(ctx context.Context) error {
				if detour.Broken {
					return nil // it lost packets: what is mended stays so
				}
				return a.machine.SetDetour(ctx, detour)
			},
		})
	}
	if err := a.treeSteps(ctx, s.Shapings, d); err != nil {
		return err
	}
	if err := a.strayTrees(ctx, s.Shapings, d); err != nil {
		return err
	}
	if s.Detour.Device == "" && !detour.Equal(hal.Detour{}) {
		d.afterwards = append(d.afterwards, step{
			text: fmt.Sprintf("removal of the detour of %v", detour.From),
			do:   func(ctx context.Context) error { return a.machine.SetDetour(ctx, hal.Detour{}) },
		})
	}
	return nil
}

// treeSteps compares the trees that are wanted with those that stand.
func (a *Applier) treeSteps(ctx context.Context, wanted []hal.Shaping, d *difference) error {
	for _, want := range wanted {
		have, err := a.machine.Shaping(ctx, want.Device)
		if errors.Is(err, hal.ErrNotFound) {
			if want.Device != hal.DownloadDevice {
				continue // unplugged: it has no packets to shape, either
			}
			have, err = hal.Shaping{Device: want.Device}, nil // the step before makes it
		}
		if err != nil {
			return fmt.Errorf("reading the class tree of %s: %w", want.Device, err)
		}
		if want.Same(have) {
			continue
		}
		d.additions = append(d.additions, step{
			text: fmt.Sprintf("class tree of %s", want.Device),
			do:   func(ctx context.Context) error { return a.machine.SetShaping(ctx, want) },
			undo: func(ctx context.Context) error { return a.machine.SetShaping(ctx, have) },
		})
	}
	return nil
}

// strayTrees finds trees of ours that nobody wants any more.
func (a *Applier) strayTrees(ctx context.Context, wanted []hal.Shaping, d *difference) error {
	shaped, err := a.machine.Shaped(ctx)
	if known(err) != nil {
		return fmt.Errorf("reading which devices are shaped: %w", err)
	}
	for _, device := range shaped {
		if !slices.ContainsFunc(wanted, func(s hal.Shaping) bool { return s.Device == device }) {
			d.afterwards = append(d.afterwards, step{
				text: fmt.Sprintf("removal of the class tree of %s", device),
				do:   func(ctx context.Context) error { return a.machine.SetShaping(ctx, hal.Shaping{Device: device}) },
			})
		}
	}
	return nil
}

// classSteps compares the map of classes with the classes that flows can be led to.
func (a *Applier) classSteps(ctx context.Context, s plan.State, d *difference) error {
	standing, err := a.machine.Elements(ctx, plan.MapClass)
	if err != nil && !errors.Is(err, hal.ErrNotFound) {
		return fmt.Errorf("reading map %s: %w", plan.MapClass, err)
	}
	missing := map[hal.KeyPart]hal.Element{} // by the key's only part
	for _, id := range s.Classes() {
		mark := uint32(id)
		missing[mark] = hal.Element{Key: hal.ElementKey(mark), Value: hal.ShapingMajor<<16 | mark}
	}
	var gone, fresh []hal.Element
	for _, e := range standing {
		want, ok := missing[e.Key[0]]
		switch {
		case !ok:
			gone = append(gone, e)
		case want.Value == e.Value:
			delete(missing, e.Key[0])
		}
	}
	for _, e := range missing {
		fresh = append(fresh, e)
	}
	slices.SortFunc(fresh, func(a, b hal.Element) int { return int(a.Value) - int(b.Value) })
	if len(gone) > 0 {
		d.additions = append(d.additions, step{
			text: fmt.Sprintf("removal of %d classes from map %s", len(gone), plan.MapClass),
			do:   func(ctx context.Context) error { return a.machine.DeleteElements(ctx, plan.MapClass, gone) },
			undo: func(ctx context.Context) error { return a.machine.SetElements(ctx, plan.MapClass, gone) },
		})
	}
	if len(fresh) > 0 {
		d.afterwards = append(d.afterwards, step{
			text: fmt.Sprintf("%d classes for map %s", len(fresh), plan.MapClass),
			do:   func(ctx context.Context) error { return a.machine.SetElements(ctx, plan.MapClass, fresh) },
		})
	}
	return nil
}
