package engine

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/link"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/steer"
)

// wan is a WAN link as the engine holds it: what the file says, what the machine shows and what the probes find.
type wan struct {
	config  config.Link
	monitor *link.Monitor
	name    atomic.Pointer[string] // of the device; see device

	mu    sync.Mutex
	iface hal.Interface // zero: there is no such device now
	slot  slot          // a link by hardware
	bond  *bondLink     // a link that is a bond; nil for others
	lease hal.Lease     // ipv4: dhcp
	auto4 netip.Addr    // ipv4: auto, the gateway of the device's default route
	auto6 netip.Addr
	meter *link.Meter
	level link.Level
}

func (e *Engine) newWAN(ctx context.Context, c config.Link) (*wan, error) {
	probes := link.Probes{Interval: time.Duration(c.Probes.Interval)}
	for _, text := range c.Probes.Targets {
		t, err := link.ParseTarget(text)
		if err != nil {
			return nil, fmt.Errorf("link %s: %w", c.Name, err)
		}
		probes.Targets = append(probes.Targets, t)
	}
	w := &wan{config: c}
	if c.ByRelay() {
		w.bond = newBondLink()
	}
	w.slot.wake = make(chan struct{}, 1)
	w.setDevice(c.Device)
	o := link.Options{Sockets: e.machine, Via: w.via(), Log: e.log, OnChange: e.linkChanged, Received: func() uint64 {
		n, err := e.machine.Received(w.device())
		if err != nil {
			return 0 // unknown: a device that is gone, which its carrier tells
		}
		return n
	}}
	if e.adoptGateways(ctx, w) {
		o.Assumed = link.Up
	}
	monitor, err := link.NewMonitor(link.Config{
		Name: c.Name, ID: c.ID, Device: w.device(), Role: c.Role, Weight: c.Weight, Metered: c.Metered,
		Quota: link.Quota{Limit: uint64(c.Quota.Limit), ResetDay: c.Quota.ResetDay},
		Rate:  link.Rate{Down: uint64(c.Rate.Down), Up: uint64(c.Rate.Up)}, Probes: probes,
	}, o)
	if err != nil {
		return nil, err
	}
	w.monitor = monitor
	return w, nil
}

// adoptGateways takes over what an earlier run left in the link's table, until the network says otherwise: a router that is
// started again must not wait for a lease to go on. It tells whether the link was in use.
func (e *Engine) adoptGateways(ctx context.Context, w *wan) bool {
	if w.bond != nil {
		return false // its device went with the run before
	}
	routes, err := e.machine.Routes(ctx, plan.LinkTable+int(w.config.ID))
	if err != nil {
		return false // the first plan tells of a machine that cannot be read
	}
	if i := slices.IndexFunc(routes, func(r hal.Route) bool { return r.Dev != "" }); w.config.ByHardware() && i >= 0 {
		w.setDevice(routes[i].Dev) // until the machine tells which one it is now
	}
	v4, v6 := defaultGateway(routes, w.device(), false), defaultGateway(routes, w.device(), true)
	w.lease.Gateway = v4
	if routes, err = e.machine.Routes(ctx, plan.LinkTable); err != nil {
		return false
	}
	out := slices.ContainsFunc(routes, func(r hal.Route) bool { return r.Dev == w.device() && plan.OutOfUse(r) })
	return (v4.IsValid() || v6.IsValid()) && !out
}

// via leads a socket over this link whatever the plan says.
func (w *wan) via() hal.Via { return hal.Via{Device: w.device(), Mark: w.config.ID.Mark()} }

// gatewaysLocked are the ways out, invalid where there is none. w.mu is held.
func (w *wan) gatewaysLocked() (v4, v6 netip.Addr) {
	if !w.iface.Up {
		// The kernel refuses routes over a device that is down.
		return netip.Addr{}, netip.Addr{}
	}
	if w.bond != nil {
		return w.bond.gateways(w.config)
	}
	switch w.config.IPv4.Mode {
	case config.DHCP:
		v4 = w.lease.Gateway
	case config.Auto:
		v4 = w.auto4
		if w.config.ByHardware() {
			v4 = w.slot.gateway(v4, w.lease.Gateway, false)
		}
	case config.Stated:
		v4 = w.config.IPv4.Gateway
	}
	switch w.config.IPv6.Mode {
	case config.Auto:
		v6 = w.auto6
		if w.config.ByHardware() {
			v6 = w.slot.gateway(v6, netip.Addr{}, true)
		}
	case config.Stated:
		v6 = w.config.IPv6.Gateway
	}
	return v4, v6
}

// physical is what the link stands on.
func (w *wan) physical() link.Physical {
	w.mu.Lock()
	defer w.mu.Unlock()
	v4, v6 := w.gatewaysLocked()
	return link.Physical{
		Carrier: w.iface.Up && w.iface.Carrier && (w.bond == nil || w.bond.carries()),
		IPv4:    v4.IsValid() && w.addressLocked(false).IsValid(),
		IPv6:    v6.IsValid() && w.addressLocked(true).IsValid(),
	}
}

// addressLocked is an address of the device that can speak to the internet.
func (w *wan) addressLocked(v6 bool) netip.Prefix {
	for _, a := range w.iface.Addrs {
		if a.Addr().Is6() == v6 && a.Addr().IsGlobalUnicast() {
			return a
		}
	}
	return netip.Prefix{}
}

// linkTasks are the tasks of all links.
func (e *Engine) linkTasks() []task {
	tasks := []task{{name: "machine watch", run: e.watchMachine, vital: true}}
	for _, w := range e.wans {
		tasks = append(tasks, task{name: w.monitor.String(), run: w.monitor.Run})
		switch {
		case w.bond != nil:
			tasks = append(tasks, task{name: "bond " + w.config.Name, run: func(ctx context.Context) error { return e.runBond(ctx, w) }})
		case w.config.ByHardware():
			tasks = append(tasks, task{name: "hardware of " + w.config.Name, run: func(ctx context.Context) error { return e.runSlot(ctx, w) }})
			if w.config.Hardware.Kind == hal.LinkModem {
				tasks = append(tasks, task{name: "carrier of " + w.config.Name, run: func(ctx context.Context) error { return e.watchCarrier(ctx, w) }})
			}
		case w.config.IPv4.Mode == config.DHCP:
			tasks = append(tasks, task{name: "DHCP on " + w.config.Device, run: func(ctx context.Context) error { return e.runLease(ctx, w, w.config.Device) }})
		}
	}
	if e.hardware != nil {
		tasks = append(tasks, task{name: "hardware", run: e.watchHardware})
	}
	return tasks
}

// runLease keeps an address on the link's device.
func (e *Engine) runLease(ctx context.Context, w *wan, device string) error {
	return e.machine.RunDHCP(ctx, device, func(l hal.Lease) {
		w.mu.Lock()
		w.lease = l
		w.mu.Unlock()
		e.physicalChanged(w)
	})
}

// watchMachine follows the machine's interfaces, routes and filter rules.
func (e *Engine) watchMachine(ctx context.Context) error {
	if err := e.readMachine(ctx); err != nil {
		return err
	}
	return e.machine.Watch(ctx, func(ev hal.Event) {
		e.kernelEvent(ev)
		e.reading.Lock()
		defer e.reading.Unlock()
		switch ev.Kind {
		case hal.InterfaceChanged:
			e.interfaceChanged(ctx, ev)
			e.hosts.Rescan()
		case hal.NeighbourChanged:
			e.hosts.Announced(ev.Neighbour, e.now())
		case hal.RoutingChanged:
			if ev.Table == hal.MainTable {
				e.readDefaults(ctx)
			}
		case hal.FirewallChanged, hal.ShapingChanged:
		}
	}, func() {
		if err := e.readMachine(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("the machine's state could not be read anew", "error", err)
		}
		e.hosts.Rescan()
		signal(e.planner.foreign)
	})
}

// readMachine notes what the kernel says of all interfaces and default routes.
func (e *Engine) readMachine(ctx context.Context) error {
	e.reading.Lock()
	defer e.reading.Unlock()
	all, err := e.machine.Interfaces(ctx)
	if err != nil {
		return fmt.Errorf("reading the machine's interfaces: %w", err)
	}
	e.hosts.SetInterfaces(all)
	e.mu.Lock()
	for _, l := range e.lan {
		*l = lanState{}
	}
	for _, i := range all {
		e.lanChanged(i)
	}
	e.mu.Unlock()
	for _, l := range e.config.LAN {
		e.lanPresent(l.Device, slices.ContainsFunc(all, func(i hal.Interface) bool { return i.Name == l.Device }))
	}
	for _, w := range e.wans {
		i := slices.IndexFunc(all, func(i hal.Interface) bool { return i.Name == w.device() })
		w.mu.Lock()
		w.iface = hal.Interface{}
		if i >= 0 {
			w.iface = all[i]
		}
		w.mu.Unlock()
		if i < 0 {
			e.deviceMissing(w)
		} else {
			e.health.Clear("link-device", w.config.Name)
		}
	}
	e.readDefaults(ctx)
	for _, w := range e.wans {
		e.physicalChanged(w)
	}
	signal(e.household.wake)
	return nil
}

func (e *Engine) deviceMissing(w *wan) {
	if w.config.ByHardware() || w.bond != nil {
		return // a place for something that is plugged in now and then, or a device of our own making
	}
	e.health.Set(observe.Warning{Code: "link-device", Subject: w.config.Name, Severity: observe.Warn,
		Text: fmt.Sprintf("Link %s has no device: there is no interface %s.", w.config.Name, w.config.Device),
		Fix:  "Plug it in, or correct its name in the configuration."})
}

// lanChanged notes the networks of a LAN interface. e.mu is held.
func (e *Engine) lanChanged(i hal.Interface) {
	l, ok := e.lan[i.Name]
	if !ok {
		return
	}
	*l = lanState{present: true, addrs: slices.Clone(i.Addrs)}
	for _, a := range i.Addrs {
		l.nets = append(l.nets, a.Masked())
		if a.Addr().IsGlobalUnicast() {
			l.own = append(l.own, a.Addr())
		}
	}
}

// lanPresent tells people of a LAN interface that does not exist.
func (e *Engine) lanPresent(device string, present bool) {
	e.health.Put(!present, observe.Warning{Code: "lan-device", Subject: device, Severity: observe.Serious,
		Text: fmt.Sprintf("There is no device %s, which the configuration names as a LAN.", device),
		Fix:  "Plug it in or correct lan: in the configuration; it is used as soon as it is there. `ip link` lists the devices."})
}

func (e *Engine) interfaceChanged(ctx context.Context, ev hal.Event) {
	e.mu.Lock()
	_, isLAN := e.lan[ev.Interface.Name]
	if isLAN {
		e.lanChanged(ev.Interface)
		e.lan[ev.Interface.Name].present = !ev.Deleted
	}
	e.mu.Unlock()
	if isLAN || e.household.members[ev.Interface.Name] {
		signal(e.household.wake)
	}
	if isLAN {
		e.lanPresent(ev.Interface.Name, !ev.Deleted)
		if all, err := e.machine.Interfaces(ctx); err == nil {
			e.hosts.SetInterfaces(all)
		}
		e.planner.touch()
	}
	for _, w := range e.wans {
		if w.device() != ev.Interface.Name {
			continue
		}
		w.mu.Lock()
		w.iface = ev.Interface
		if ev.Deleted {
			w.iface = hal.Interface{}
		}
		w.mu.Unlock()
		if ev.Deleted {
			e.deviceMissing(w)
		} else {
			e.health.Clear("link-device", w.config.Name)
		}
		e.physicalChanged(w)
	}
}

// readDefaults finds the gateways that others set on the devices of links with "auto".
func (e *Engine) readDefaults(ctx context.Context) {
	routes, err := e.machine.Routes(ctx, hal.MainTable)
	if err != nil {
		if ctx.Err() == nil {
			e.log.Error("the default routes could not be read", "error", err)
		}
		return
	}
	for _, w := range e.wans {
		v4, v6 := defaultGateway(routes, w.device(), false), defaultGateway(routes, w.device(), true)
		w.mu.Lock()
		changed := w.auto4 != v4 || w.auto6 != v6
		w.auto4, w.auto6 = v4, v6
		w.mu.Unlock()
		if changed {
			e.physicalChanged(w)
		}
	}
}

// defaultGateway is the gateway of a device's best default route.
func defaultGateway(routes []hal.Route, device string, v6 bool) netip.Addr {
	best := hal.Route{}
	for _, r := range routes {
		if r.Dev == device && r.Dst.Bits() == 0 && r.Dst.Addr().Is6() == v6 && r.Gateway.IsValid() &&
			(!best.Gateway.IsValid() || r.Metric < best.Metric) {
			best = r
		}
	}
	return best.Gateway
}

// physicalChanged tells the monitor and asks for a plan: gateways are part of it.
func (e *Engine) physicalChanged(w *wan) {
	w.monitor.SetPhysical(w.physical)
	e.planner.touch()
	signal(e.household.wake)
	for _, b := range e.wans {
		if b.bond != nil {
			signal(b.bond.wake)
		}
	}
}

// linkChanged is called when a link's state is another one.
func (e *Engine) linkChanged(c link.Change) {
	e.planner.touch()
	text := fmt.Sprintf("Link %s is %s: %s.", c.Name, c.To, c.Reason)
	e.health.Put(!c.To.Usable() && !e.unplugged(c.ID), observe.Warning{Code: "link-down", Subject: c.Name, Severity: observe.Warn, Text: text})
	e.event(observe.Info, "link", c.Name, text)
}

// planLinks is the condition of all links for the plan.
func (e *Engine) planLinks() []plan.Link {
	var out []plan.Link
	for _, w := range e.wans {
		snap := w.monitor.Snapshot()
		w.mu.Lock()
		v4, v6 := w.gatewaysLocked()
		l := plan.Link{
			LinkCondition: steer.LinkCondition{
				ID: w.config.ID, Name: w.config.Name, Role: w.config.Role, Metered: w.config.Metered || w.slot.device.Metered, Weight: w.config.Weight,
				Usable: snap.State.Usable(), Degraded: snap.State == link.Degraded, OverQuota: w.level == link.Spent, Latency: snap.RTT,
			},
			Device: w.device(), Gateway4: v4, Gateway6: v6, Bond: w.bond != nil, AcceptRA: w.config.IPv6.Mode == config.Auto && w.bond == nil,
		}
		if w.config.IPv4.Mode == config.DHCP || w.config.ByHardware() {
			l.MTU = w.lease.MTU
		}
		w.mu.Unlock()
		out = append(out, l)
	}
	return out
}

// setIdle tells the monitors which links the plan leaves unused, so that their probes may be rare.
func (e *Engine) setIdle(s plan.State) {
	used := map[flow.LinkID]bool{}
	for _, c := range s.Choices {
		for _, b := range slices.Concat(c.V4.Buckets, c.V6.Buckets) {
			used[b.Link] = true
		}
	}
	for _, w := range e.wans {
		w.monitor.SetIdle(!used[w.config.ID])
	}
}

func (e *Engine) wanByID(id flow.LinkID) *wan {
	for _, w := range e.wans {
		if w.config.ID == id {
			return w
		}
	}
	return nil
}
