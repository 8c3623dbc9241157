package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/observe"
)

const (
	radioLook   = 2 * time.Second // how often to look for a radio that is not plugged in
	radioSteady = 3 * time.Second // one that has run for so long runs
)

// accessPointTasks are the tasks of the household's WiFi networks.
func (e *Engine) accessPointTasks() (out []task) {
	for _, l := range e.config.LAN {
		for _, a := range l.AccessPoints() {
			out = append(out, task{name: "access point " + a.Device, run: func(ctx context.Context) error { return e.runAccessPoint(ctx, a) }})
		}
	}
	return out
}

// runAccessPoint is the task that keeps a WiFi network of the household running while its radio is there.
func (e *Engine) runAccessPoint(ctx context.Context, a hal.AccessPoint) error {
	pause := firstLANRetry
	for ctx.Err() == nil {
		ready, err := e.radioReady(ctx, a)
		if err == nil && ready {
			began := e.now()
			steady := time.AfterFunc(radioSteady, func() { e.health.Clear("access-point", a.Device) })
			err = e.household.radios.ServeAccessPoint(ctx, a)
			steady.Stop()
			if e.now().Sub(began) > lastLANRetry {
				pause = firstLANRetry
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		wait := radioLook
		if err != nil {
			e.log.Warn("a WiFi network does not run", "network", a.String(), "error", err, "again", pause)
			e.health.Set(observe.Warning{Code: "access-point", Subject: a.Device, Severity: observe.Serious, Text: fmt.Sprintf("The %s does not run: %v.", a, err),
				Fix: "If its program is there: choose another channel or security, and see that no other program holds the radio, as NetworkManager does unless it is told not to."})
			wait, pause = pause, min(2*pause, lastLANRetry)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// radioReady tells whether an access point's radio and bridge are there.
func (e *Engine) radioReady(ctx context.Context, a hal.AccessPoint) (bool, error) {
	all, err := e.machine.Interfaces(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the machine's interfaces: %w", err)
	}
	there := func(name string) bool {
		return slices.ContainsFunc(all, func(i hal.Interface) bool { return i.Name == name })
	}
	ready := there(a.Device) && (a.Bridge == "" || there(a.Bridge))
	e.health.Put(!ready, observe.Warning{Code: "radio", Subject: a.Device, Severity: observe.Warn,
		Text: fmt.Sprintf("The %s waits: there is no such device, or not its bridge yet.", a), Fix: "Plug the radio in, or correct lan: in the configuration."})
	return ready, nil
}
