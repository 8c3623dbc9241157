package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/trenza-router/trenza/hal/dnsmasq"
	"github.com/trenza-router/trenza/hal/hardware"
	"github.com/trenza-router/trenza/hal/hostapd"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/apply"
	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/router/support"
	"github.com/trenza-router/trenza/webui/auth"
	"github.com/trenza-router/trenza/webui/localca"
	"github.com/trenza-router/trenza/webui/server"
)

type routerCommand struct {
	Config   string   `help:"Configuration file." default:"${config}" type:"path"`
	Check    bool     `help:"Check the configuration file and stop."`
	Cleanup  bool     `help:"Take everything that is ours out of the kernel, and stop."`
	State    string   `help:"Directory of the database; prevails over the file." type:"path"`
	RunDir   string   `name:"run" help:"Directory of the control socket; prevails over the file." type:"path"`
	Policy   string   `help:"First policy; prevails over the file." type:"path"`
	Web      *string  `help:"Where page, API and /metrics are served; prevails over the file."`
	Resolver []string `help:"Where the name server listens; prevails over the file."`
	Nft      string   `help:"The nft program; prevails over the file."`
	LogLevel string   `help:"debug, info, warn or error; prevails over the file."`
}

func (c *routerCommand) Run(s *session) error {
	if c.Cleanup {
		return c.cleanup(s)
	}
	cfg, err := config.Load(c.Config)
	if err != nil {
		return usageError(err)
	}
	c.override(&cfg)
	if err := cfg.Check(); err != nil {
		return usageError(err)
	}
	if c.Check {
		return s.print(cfg, func(w io.Writer) { fmt.Fprintf(w, "%s is good: %d links.\n", c.Config, len(cfg.Links)) })
	}
	recent := support.NewRecent(recentLog)
	log, err := logger(io.MultiWriter(s.errOut, recent), cfg.LogLevel)
	if err != nil {
		return usageError(err)
	}
	return serve(s.ctx, c.Config, cfg, log, recent)
}

// recentLog is how many bytes of the log are kept in memory, for the support bundle.
const recentLog = 128 << 10

func (c *routerCommand) override(cfg *config.Config) {
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	set(&cfg.State, c.State)
	set(&cfg.Run, c.RunDir)
	set(&cfg.Policy, c.Policy)
	set(&cfg.Nft, c.Nft)
	set(&cfg.LogLevel, c.LogLevel)
	if c.Web != nil {
		cfg.Web.Listen = *c.Web
	}
	if c.Resolver != nil {
		cfg.Resolver.Listen = c.Resolver
	}
}

func logger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log_level %q: use debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}

// begin reads a program's configuration and makes its log.
func begin[T any](s *session, file string, load func(string) (T, error), level func(T) string) (cfg T, log *slog.Logger, err error) {
	if cfg, err = load(file); err == nil {
		log, err = logger(s.errOut, level(cfg))
	}
	if err != nil {
		return cfg, nil, usageError(err)
	}
	return cfg, log, nil
}

// serve puts the router together and runs it. file is where the configuration was read.
func serve(ctx context.Context, file string, cfg config.Config, log *slog.Logger, recent *support.Recent) error {
	// Small routers have little memory: the heap, some megabytes at rest, may grow by half before it is swept, not by as much
	// again. Whoever sets GOGC knows better.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	machine, err := linux.New(linux.Options{Nft: cfg.Nft, Log: log})
	if err != nil {
		return err
	}
	for dir, what := range map[string]string{cfg.State: "the database", cfg.Run: "the control socket"} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return asRoot(fmt.Errorf("making the directory of %s: %w", what, err))
		}
	}
	zone := time.Local
	if cfg.TimeZone != "" {
		if zone, err = time.LoadLocation(cfg.TimeZone); err != nil {
			return usageError(fmt.Errorf("time_zone: %w", err))
		}
	}
	var running atomic.Pointer[engine.Engine] // the store is older than the engine that tells of its troubles
	db, err := store.Open(ctx, store.Options{
		Path: filepath.Join(cfg.State, "trenza.db"), Log: log, Location: zone,
		OnStatus: func(st store.Status) {
			if e := running.Load(); e != nil {
				e.StoreChanged(st)
			}
		},
	})
	if err != nil {
		return asRoot(fmt.Errorf("opening the database: %w", err))
	}
	defer func() {
		if err := db.Close(); err != nil {
			log.Error("the database did not close cleanly", "error", err)
		}
	}()
	keeper := backup.New(backup.Options{
		Store: db, State: cfg.State, Config: file, Version: version, Log: log, Now: time.Now, Restart: func() { running.Load().Reconfigure() },
	})
	if back, err := keeper.Recover(ctx); err != nil {
		return fmt.Errorf("going back to how it was before a backup was restored: %w", err)
	} else if back {
		log.Warn("the router was started again while a restored backup was being tried; it was not kept, everything is as before")
	}
	devices := hardware.New(hardware.Options{Kernel: machine, Log: log})
	defer devices.Close()
	g, ctx := errgroup.WithContext(ctx)
	p := parts{log: log, machine: machine, devices: devices, db: db, zone: zone, running: &running, keeper: keeper, recent: recent}
	// The service manager sees one router, however often its links change.
	p.started = sync.OnceFunc(func() {
		g.Go(func() error { return supervise(ctx, log, func() { running.Load().Status() }) })
	})
	g.Go(func() error {
		for {
			if err := p.run(ctx, p.withAdded(cfg)); !errors.Is(err, engine.ErrReconfigured) {
				return cmp.Or(err, context.Canceled) // ends what supervises, too
			}
			p.keeper.Settle(ctx)
			log.Info("links or household are others now; the router goes on with them")
		}
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// withAdded is a configuration with the links that were added while the router ran. One that does not fit any more, because the file
// is another one now, is left out: the lines of the house are worth more.
func (p *parts) withAdded(cfg config.Config) config.Config {
	links, err := cfg.Added()
	if err != nil {
		p.log.Error("the links that were added to the configuration are left out", "error", err)
	}
	for _, l := range links {
		with, err := cfg.WithAdded([]config.AddedLink{l})
		if err != nil {
			p.log.Error("a link that was added to the configuration is left out; correct the configuration, or remove it with \"trenza link remove\"", "link", l.Name, "error", err)
			continue
		}
		cfg = with
	}
	return cfg
}

// parts are what outlives a change of the links.
type parts struct {
	log     *slog.Logger
	machine *linux.Machine
	devices *hardware.Hardware
	db      *store.Store
	zone    *time.Location
	running *atomic.Pointer[engine.Engine]
	keeper  *backup.Keeper
	recent  *support.Recent
	started func() // called for each set of links
}

// run is the router with one set of links.
func (p *parts) run(ctx context.Context, cfg config.Config) error {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	e, err := engine.New(ctx, engine.Options{
		Config: cfg, Machine: p.machine, Hardware: p.devices, Store: p.db, Log: p.log, Version: version, Metrics: metrics, Now: time.Now, Zone: p.zone,
		Ports: p.machine, Addresses: dnsmasq.New(dnsmasq.Options{Dir: cfg.Run, Log: p.log}),
		Radios: hostapd.New(hostapd.Options{Dir: cfg.Run, Log: p.log}),
		Bonds:  func(o tunnel.Options) (engine.Bond, error) { return tunnel.NewRouter(o) },
	})
	if err != nil {
		return err
	}
	p.running.Store(e)
	e.StoreChanged(p.db.Status())
	users, err := auth.New(ctx, auth.Options{Store: p.db, Log: p.log})
	if err != nil {
		return fmt.Errorf("reading who may sign in: %w", err)
	}
	o := server.Options{
		Engine: e, Store: p.db, Auth: users, Backups: p.keeper, Recent: p.recent, Metrics: metrics, Log: p.log, Listen: cfg.Web.Listen, TLS: cfg.Web.TLSListen(),
		Socket: filepath.Join(cfg.Run, "trenza.sock"),
	}
	if o.TLS != "" {
		if o.Authority, err = localca.Open(cfg.State, time.Now, store.Floor()); err != nil {
			return asRoot(err)
		}
	}
	if o.Listen != "" && !users.HasUsers() {
		p.log.Warn("nobody has set up this router yet: whoever opens its page first becomes its admin", "page", o.Listen)
	}
	web, err := server.New(o)
	if err != nil {
		return asRoot(err)
	}
	p.started()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.Run(ctx) })
	g.Go(func() error { return web.Run(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// asRoot adds to an error of missing rights what to do.
func asRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; run it as root", err)
	}
	return err
}

func (c *routerCommand) cleanup(s *session) error {
	nft := c.Nft
	if nft == "" {
		nft = "nft"
	}
	log, err := logger(s.errOut, "warn")
	if err != nil {
		return err
	}
	machine, err := linux.New(linux.Options{Nft: nft, Log: log})
	if err != nil {
		return err
	}
	if err := errors.Join(apply.New(machine, log).Cleanup(s.ctx), machine.RemoveLANPorts(s.ctx)); err != nil {
		return fmt.Errorf("cleaning up: %w", err)
	}
	return s.print(map[string]bool{"clean": true}, func(w io.Writer) { fmt.Fprintln(w, "Everything of Trenza's is out of the kernel.") })
}
