package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/link"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/store"
)

// saveMeters is how often the used data is stored: a power cut costs a quota this much knowledge at most.
const saveMeters = time.Minute

func meterKey(name string) string { return "quota/" + name }

// loadMeters goes on counting where the last run ended.
func (e *Engine) loadMeters(ctx context.Context) error {
	for _, w := range e.wans {
		if w.config.Quota.Limit == 0 {
			continue
		}
		var used link.Usage
		text, err := e.store.Setting(ctx, meterKey(w.config.Name))
		if err == nil {
			err = json.Unmarshal(text, &used)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("reading the used data of link %s: %w", w.config.Name, err)
		}
		quota := link.Quota{Limit: uint64(w.config.Quota.Limit), ResetDay: w.config.Quota.ResetDay}
		w.meter = link.NewMeter(quota, e.zone, used)
		w.level = w.meter.Add(e.now(), 0)
	}
	return nil
}

// meterTraffic counts what the links carried since the last call.
func (e *Engine) meterTraffic(growth map[flow.LinkID]store.Traffic) {
	for _, w := range e.wans {
		w.mu.Lock()
		if w.meter == nil {
			w.mu.Unlock()
			continue
		}
		was := w.level
		t := growth[w.config.ID]
		w.level = w.meter.Add(e.now(), t.Up+t.Down)
		level, status := w.level, w.meter.Status()
		w.mu.Unlock()
		if level == was {
			continue
		}
		text := fmt.Sprintf("Link %s has used three quarters of its %s for this month.", w.config.Name, gigabytes(status.Limit))
		if level == link.Spent {
			text = fmt.Sprintf("Link %s has used its %s for this month and is out of use until %s.", w.config.Name, gigabytes(status.Limit), status.End.Format("2 January"))
		}
		e.health.Put(level != link.Plenty, observe.Warning{Code: "quota", Subject: w.config.Name, Severity: observe.Warn, Text: text})
		e.planner.touch()
	}
}

func gigabytes(b uint64) string { return fmt.Sprintf("%.3g GB", float64(b)/1e9) }

// sampleLinks is how often the links' health is noted for their history.
const sampleLinks = 10 * time.Second

// runHistory is the task that notes the links' health.
func (e *Engine) runHistory(ctx context.Context) error {
	tick := time.NewTicker(sampleLinks)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, l := range e.links(e.observer.Snapshot(), false) {
			e.store.AddLinkSample(store.LinkSample{
				At: e.now(), Link: l.Name, Up: l.State == link.Up.String() || l.State == link.Degraded.String(), Latency: l.RTT, Jitter: l.Jitter,
				Loss: l.Loss, RateUp: float64(l.RateUp), RateDown: float64(l.RateDown),
			})
		}
	}
}

// runMeters is the task that stores the used data.
func (e *Engine) runMeters(ctx context.Context) error {
	tick := time.NewTicker(saveMeters)
	defer tick.Stop()
	saved := map[string]link.Usage{}
	for {
		done := false
		select {
		case <-ctx.Done():
			done = true
		case <-tick.C:
		}
		for _, w := range e.wans {
			if w.meter == nil {
				continue
			}
			w.mu.Lock()
			used := w.meter.Usage()
			w.mu.Unlock()
			if used == saved[w.config.Name] {
				continue
			}
			text, err := json.Marshal(used)
			if err == nil {
				// Also when the context has ended: this is the last chance.
				err = e.store.PutSetting(context.WithoutCancel(ctx), meterKey(w.config.Name), text)
			}
			if err != nil {
				e.log.Warn("the used data of a link could not be stored", "link", w.config.Name, "error", err)
				continue
			}
			saved[w.config.Name] = used
		}
		if done {
			return nil
		}
	}
}
