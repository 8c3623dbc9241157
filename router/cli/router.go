package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/apply"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/server"
)

type routerCommand struct {
	Config   string   `help:"Configuration file." default:"/etc/trenza/trenza.yaml" type:"path"`
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
	log, err := logger(s.errOut, cfg.LogLevel)
	if err != nil {
		return usageError(err)
	}
	return serve(s.ctx, cfg, log)
}

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

// serve puts the router together and runs it.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger) error {
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
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	e, err := engine.New(ctx, engine.Options{
		Config: cfg, Machine: machine, Store: db, Log: log, Version: version, Metrics: metrics, Now: time.Now, Zone: zone,
	})
	if err != nil {
		return err
	}
	running.Store(e)
	e.StoreChanged(db.Status())
	web, err := server.New(server.Options{
		Engine: e, Metrics: metrics, Log: log, Listen: cfg.Web.Listen, Socket: filepath.Join(cfg.Run, "trenza.sock"),
	})
	if err != nil {
		return asRoot(err)
	}
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
	if err := apply.New(machine, log).Cleanup(s.ctx); err != nil {
		return fmt.Errorf("cleaning up: %w", err)
	}
	return s.print(map[string]bool{"clean": true}, func(w io.Writer) { fmt.Fprintln(w, "Everything of Trenza's is out of the kernel.") })
}
