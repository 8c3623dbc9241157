package engine

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/host"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/store"
)

// newObservers makes the parts that count and remember.
func (e *Engine) newObservers(metrics prometheus.Registerer) error {
	e.events = observe.NewEvents(func(ev observe.Event) {
		e.store.AddEvent(store.Event{At: ev.At, Severity: int(ev.Severity), Code: ev.Kind, Subject: ev.Subject, Text: ev.Text})
		e.watchers.tell(ev)
	})
	e.health = observe.NewHealth(e.now, e.events)
	e.observer = observe.New(observe.Options{
		Connections: e.machine, Now: e.now, Sink: e.store, Log: e.log,
		Identify: func(c hal.Connection) observe.Identity {
			id := e.names.Identify(c.Mark.Device(), c.Orig, e.now())
			return observe.Identity{App: id.App, Host: id.Host}
		},
		Device: func(n flow.DeviceID) string {
			d, _ := e.hosts.ByNumber(n)
			return d.ID
		},
		Link:      e.linkName,
		OnTraffic: e.meterTraffic,
	})
	for _, c := range []prometheus.Collector{observe.NewMetrics(e.observer, e.health), observe.NewShapingMetrics(e.shapingMetrics)} {
		if err := metrics.Register(c); err != nil {
			return fmt.Errorf("registering the metrics: %w", err)
		}
	}
	return nil
}

func (e *Engine) event(s observe.Severity, kind, subject, text string) {
	e.events.Add(observe.Event{At: e.now(), Severity: s, Kind: kind, Subject: subject, Text: text})
}

// StoreChanged tells people when the database is in trouble, and when it is well again. It is for store.Options.OnStatus, and for
// the status of a store that was opened before there was an engine.
func (e *Engine) StoreChanged(s store.Status) {
	e.health.Put(s.Broken != "", observe.Warning{Code: "store-broken", Severity: observe.Warn,
		Text: fmt.Sprintf("The database was broken and a new one was begun; %d records were saved. The old file is %s.", s.Salvaged, s.Broken),
		Fix:  "Check the storage; delete the old file when you do not need it."})
	e.health.Put(s.Problem != nil, observe.Warning{Code: "store", Severity: observe.Serious,
		Text: fmt.Sprintf("What happens now is not stored: %v.", s.Problem)})
}

// deviceView is a device without its rates.
func (e *Engine) deviceView(d host.Device) DeviceView {
	return DeviceView{
		Number: d.Number, ID: d.ID, Name: d.Name, Hostname: d.Hostname, Vendor: d.Vendor, MACs: d.MACs, Addrs: d.Addrs,
		Owner: d.Owner, Interface: d.Interface, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen, Named: d.Named,
	}
}

// Usage is what was used, by device, application and link.
func (e *Engine) Usage(ctx context.Context, q store.UsageQuery) ([]store.Usage, error) {
	return e.store.Usage(ctx, q)
}
