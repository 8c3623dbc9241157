package engine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/apply"
	"github.com/trenza-router/trenza/router/blockpage"
	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/classify"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/host"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/resolver"
	"github.com/trenza-router/trenza/router/store"
)

// Options are what an Engine is made of. All fields but Hardware are required.
type Options struct {
	Config   config.Config
	Machine  hal.Machine
	Hardware hal.Hardware // may be nil: links are where the configuration says, and that is all
	Store    *store.Store
	Log      *slog.Logger
	Version  string
	Metrics  prometheus.Registerer
	Now      func() time.Time
	Zone     *time.Location // of the household, for quotas
	Bonds    Bonds          // required where a link is a bond
	// Ports and Addresses are required where the configuration has the router make or serve the LAN.
	Ports     hal.LANPorts
	Addresses hal.AddressServer
	// Radios are required where the configuration has the router run a WiFi network.
	Radios hal.AccessPoints
}

// Engine is the running router.
type Engine struct {
	config   config.Config
	machine  hal.Machine
	hardware hal.Hardware // nil: none
	store    *store.Store
	log      *slog.Logger
	version  string
	now      func() time.Time
	zone     *time.Location
	started  time.Time

	catalog  *catalog.Catalog
	interner *classify.Interner
	names    *classify.Names
	hosts    *host.Registry
	observer *observe.Collector
	health   *observe.Health
	events   *observe.Events
	resolver atomic.Pointer[resolver.Resolver] // nil while none runs
	planner  *planner
	wans     []*wan
	stats    planStats
	watchers eventWatchers

	policy       policyInForce
	policyChange sync.Mutex // one change of the policy at a time

	strangers atomic.Bool // a device became known: its first flows were judged as a stranger's

	shaper *shaper
	tests  *loadTests

	household *household

	bonds        Bonds
	adding       sync.Mutex    // one change of the links at a time; guards forget
	forget       []string      // bonds whose keys are to be destroyed when the run has ended
	reconfigured chan struct{} // capacity 1: the links are others now

	blockPage uint16 // port of the page for refused HTTP flows; 0: none

	capture atomic.Pointer[capturing] // nil while none runs

	queue atomic.Bool // the kernel can hold packets until they are judged

	redirect     bool
	resolverPort uint16

	reading sync.Mutex // from reading the kernel's state, or an event of it, to noting it: nothing older replaces what is newer

	mu  sync.Mutex
	lan map[string]*lanState
}

// lanState is a LAN interface.
type lanState struct {
	present bool
	addrs   []netip.Prefix // as they are, with the lengths of their networks
	nets    []netip.Prefix
	own     []netip.Addr // the router's addresses that its hosts can reach it by
}

// New puts the parts together. Nothing is touched before Run.
func New(ctx context.Context, o Options) (*Engine, error) {
	if err := checkHousehold(o); err != nil {
		return nil, err
	}
	apps, problems, err := Catalog(o.Config)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of applications: %w", err)
	}
	known, err := o.Store.Devices(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the known devices: %w", err)
	}
	e := &Engine{
		config: o.Config, machine: o.Machine, hardware: o.Hardware, store: o.Store, log: o.Log, version: o.Version, now: o.Now, zone: o.Zone, started: o.Now(),
		catalog: apps, interner: classify.NewInterner(apps),
		planner: newPlanner(apply.New(o.Machine, o.Log)),
		lan:     map[string]*lanState{},
		shaper:  newShaper(), tests: newLoadTests(), household: newHousehold(o),
		bonds: o.Bonds, reconfigured: make(chan struct{}, 1),
	}
	e.names = classify.NewNames(apps, e.interner)
	var lan []string
	for _, l := range o.Config.LAN {
		lan = append(lan, l.Device)
		e.lan[l.Device] = &lanState{}
	}
	e.hosts = host.New(host.Options{LAN: lan, Known: known, Keeper: o.Store, Log: o.Log})
	if err := e.newObservers(o.Metrics); err != nil {
		return nil, err
	}
	e.warnCatalog(problems)
	for _, c := range o.Config.Links {
		if c.ByHardware() && o.Hardware == nil {
			return nil, fmt.Errorf("link %s: links by hardware: %w: name its device instead", c.Name, hal.ErrUnsupported)
		}
		if c.ByRelay() && o.Bonds == nil {
			return nil, fmt.Errorf("link %s: bonds: %w", c.Name, hal.ErrUnsupported)
		}
		w, err := e.newWAN(ctx, c)
		if err != nil {
			return nil, err
		}
		e.wans = append(e.wans, w)
	}
	if err := e.newResolver(); err != nil {
		return nil, err
	}
	if at := o.Config.BlockPage; at != "" {
		listen, err := config.ParseListen(at)
		if err != nil {
			return nil, fmt.Errorf("block_page: %w", err)
		}
		e.blockPage = listen.Port()
	}
	if err := e.loadMeters(ctx); err != nil {
		return nil, err
	}
	if err := e.loadDelays(ctx); err != nil {
		return nil, err
	}
	if err := e.loadLoadTests(ctx); err != nil {
		return nil, err
	}
	if err := e.loadPolicy(ctx); err != nil {
		return nil, err
	}
	if err := e.forgetTrial(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// Run runs the router until the context ends. It leaves the kernel's state as it is: traffic goes on by the last plan.
func (e *Engine) Run(ctx context.Context) error {
	if err := cmp.Or(e.examine(ctx), e.examineServices(ctx)); err != nil {
		return err
	}
	// What the first plan follows from: without it the plan before would be taken away.
	if err := e.readMachine(ctx); err != nil {
		return err
	}
	for _, w := range e.health.List() {
		e.log.Warn(w.Text, "fix", w.Fix)
	}
	e.adoptNames(ctx)
	tasks := []task{
		{name: "planning", run: e.runPlans, vital: true},
		{name: "devices", run: func(ctx context.Context) error {
			return e.hosts.Run(ctx, e.machine, leaseFiles(e.config), e.now)
		}},
		{name: "names from packets", run: e.readNames},
		{name: "verdicts", run: e.readVerdicts},
		{name: "content of flows", run: e.inspectFlows},
		{name: "observation", run: e.observer.Run},
		{name: "accounting", run: e.runMeters},
		{name: "link history", run: e.runHistory},
		{name: "shaping", run: e.runShaping},
		{name: "tests of links", run: e.runLoadTests},
		{name: "store", run: e.store.Run},
		{name: "links", run: e.awaitReconfigured, vital: true},
	}
	if e.queue.Load() {
		tasks = append(tasks, task{name: "first packets", run: e.holdOpenings})
	}
	if len(e.config.Resolver.Listen) > 0 {
		tasks = append(tasks, task{name: "resolver", run: e.runResolver})
	}
	if slices.ContainsFunc(e.config.LAN, func(l config.LAN) bool { return l.Managed() || l.Served() }) {
		tasks = append(tasks, task{name: "LAN", run: e.runHousehold})
	}
	if e.blockPage != 0 {
		tasks = append(tasks, task{name: "page for what is blocked", run: func(ctx context.Context) error {
			return blockpage.Serve(ctx, e.config.BlockPage, e.whyNotWeb)
		}})
	}
	stop := e.hosts.OnChange(e.hostsChanged)
	defer stop()
	e.event(observe.Info, "start", "", "The router has started.")
	defer e.forgetRelays()
	return runTasks(ctx, e.log, e.health, slices.Concat(e.linkTasks(), e.accessPointTasks(), tasks))
}

// examine refuses to start where the router could not work or would harm.
func (e *Engine) examine(ctx context.Context) error {
	found, err := e.machine.Capabilities(ctx)
	if err != nil {
		return fmt.Errorf("examining this machine: %w", err)
	}
	e.shaper.examined(found)
	for _, c := range found {
		if c.Name == "nft-queue" {
			e.queue.Store(c.Present)
		}
	}
	var missing []error
	for _, c := range found {
		switch {
		case c.Present:
		case c.Required && strings.Contains(c.Detail, hal.ErrPermission.Error()):
			return fmt.Errorf("examining this machine: %w", hal.ErrPermission)
		case c.Required:
			missing = append(missing, unfit(c))
		default:
			e.log.Info("feature not present", "feature", c.Name, "instead", c.Instead)
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return missing[0]
	}
	// What is missing first is mostly the reason for the rest.
	return fmt.Errorf("%w (and %d more; \"trenza doctor\" lists all)", missing[0], len(missing)-1)
}

// unfit says of one required feature what it is, what was found instead and what a person can do.
func unfit(c hal.Capability) error {
	return fmt.Errorf("this machine cannot run the router. Required: %s. Found: %s. To do: %s",
		c.What, cmp.Or(c.Detail, "no "+c.Name), c.Fix)
}

// hostsChanged asks for a plan when the kernel must tell devices apart anew.
func (e *Engine) hostsChanged(changes []host.Change) {
	for _, c := range changes {
		switch {
		case c.Kind == host.Added:
			e.strangers.Store(true)
			e.event(observe.Info, "device", c.Device.ID, fmt.Sprintf("A new device is on the network: %s.", c.Device.Name))
		case c.Kind == host.Removed:
			e.tell(context.Background(), e.names.Forget(c.Old.Number))
		case slices.Equal(c.Old.MACs, c.Device.MACs) && c.Old.ID == c.Device.ID && c.Old.Number == c.Device.Number:
			continue // only an address or a name: nothing that the kernel looks at
		}
		e.planner.touch()
	}
}

// planDevices lists the devices for the plan.
func (e *Engine) planDevices() []plan.Device {
	named := map[string][]netip.Addr{}
	for _, d := range e.policy.current().Policy().Devices {
		if len(d.MACs) == 0 {
			named[d.ID] = d.Addrs
		}
	}
	var out []plan.Device
	for _, d := range e.hosts.Devices() {
		out = append(out, plan.Device{Number: d.Number, ID: d.ID, MACs: d.MACs, Addrs: named[d.ID]})
	}
	return out
}

func (e *Engine) planLAN() []plan.LAN {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []plan.LAN
	for _, l := range e.config.LAN {
		out = append(out, plan.LAN{Device: l.Device, Nets: slices.Clone(e.lan[l.Device].nets), Absent: !e.lan[l.Device].present, Guest: l.Guest})
	}
	return out
}

func (e *Engine) planForwards() []plan.Forward {
	var out []plan.Forward
	for _, f := range e.config.Forwards {
		proto, err := flow.ParseProto(f.Proto)
		if err != nil {
			continue // refused by config.Check
		}
		out = append(out, plan.Forward{Name: f.Name, Proto: proto, Port: f.Port, To: f.To})
	}
	return out
}
