package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/webui/api"
)

type bondCommand struct {
	Bond   bondRunCommand    `cmd:"" name:"run" default:"withargs" help:"Run a bond and nothing else in this network namespace (the default)."`
	Status bondStatusCommand `cmd:"" help:"Paths, rates, delays, loss, shares, order and copies of a running bond."`
}

type bondRunCommand struct {
	Config string `help:"Configuration file; the shortest one is in docs/BOND.md." required:"" type:"path"`
	Check  bool   `help:"Check the configuration file and stop."`
}

func (c *bondRunCommand) Run(s *session) error {
	cfg, log, err := begin(s, c.Config, tunnel.Load, func(c tunnel.Config) string { return c.LogLevel })
	if err != nil {
		return err
	}
	if c.Check {
		return s.print(cfg.Paths, func(w io.Writer) { fmt.Fprintf(w, "%s is good: %d paths.\n", c.Config, len(cfg.Paths)) })
	}
	if err := os.MkdirAll(cfg.Run, 0o700); err != nil {
		return asRoot(fmt.Errorf("making the directory of the control socket: %w", err))
	}
	state, err := tunnel.Enrol(cfg.State, cfg.Code)
	if err != nil {
		return asRoot(err)
	}
	machine, err := linux.New(linux.Options{Nft: "nft", Log: log})
	if err != nil {
		return err
	}
	r, err := tunnel.NewRouter(tunnel.Options{
		State: state, Device: cfg.Device, Paths: cfg.Links(), MTU: cfg.MTU, Log: log,
		Settled: func(got tunnel.Settings) error { return bondRoutes(s.ctx, machine, &cfg, got) },
	})
	if err != nil {
		return asRoot(err)
	}
	g, ctx := errgroup.WithContext(s.ctx)
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return r.Serve(ctx, cfg.Run) })
	g.Go(func() error { return watchCarriers(ctx, machine, r, cfg.Links()) })
	return g.Wait()
}

// watchCarriers tells the bond at once when a path's device is gone, goes down or loses its carrier, and when it is back.
func watchCarriers(ctx context.Context, machine hal.Interfaces, r *tunnel.Router, paths []tunnel.Path) error {
	tell := func(device string, alive bool) {
		for _, p := range paths {
			if p.Device != device {
				continue
			}
			change := r.ClosePath
			if alive {
				change = r.OpenPath
			}
			_ = change(ctx, p.ID) // the bond has ended, and says so itself
		}
	}
	all := func() {
		have, err := machine.Interfaces(ctx)
		if err != nil {
			return // the next change tries again
		}
		alive := map[string]bool{}
		for _, i := range have {
			alive[i.Name] = i.Up && i.Carrier
		}
		for _, p := range paths {
			tell(p.Device, alive[p.Device])
		}
	}
	err := machine.Watch(ctx, func(e hal.Event) {
		if e.Kind == hal.InterfaceChanged {
			tell(e.Interface.Name, !e.Deleted && e.Interface.Up && e.Interface.Carrier)
		}
	}, all)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// bondMetric is below that of any route that another program sets for a link.
const bondMetric = 1

// bondRoutes leads into the bond what the configuration says, as far as the relay gave addresses. The routes go with the device.
func bondRoutes(ctx context.Context, routing hal.Routing, cfg *tunnel.Config, got tunnel.Settings) error {
	for _, dst := range cfg.Routes {
		source := got.IPv4
		if dst.Addr().Is6() {
			source = got.IPv6
		}
		if source == (netip.Addr{}) {
			continue
		}
		r := hal.Route{Table: hal.MainTable, Dst: dst, Dev: cfg.Device, Source: source, Metric: bondMetric, Protocol: hal.RouteProtocol}
		if err := routing.ReplaceRoute(ctx, r); err != nil {
			return fmt.Errorf("leading %v into the bond: %w", dst, err)
		}
	}
	return nil
}

type bondStatusCommand struct {
	Config string        `help:"Configuration file of a bond that runs by itself; default: the links of the running router that are bonds." type:"path"`
	Watch  time.Duration `help:"Look again each time so long after, until Ctrl-C."`
}

func (c *bondStatusCommand) Run(s *session) error {
	look := c.ofRouter
	if c.Config != "" {
		look = c.ofItself
	}
	for {
		if err := look(s); err != nil || c.Watch <= 0 {
			return err
		}
		select {
		case <-s.ctx.Done():
			return nil
		case <-time.After(c.Watch):
		}
	}
}

// ofItself asks a bond that runs by itself.
func (c *bondStatusCommand) ofItself(s *session) error {
	cfg, err := tunnel.Load(c.Config)
	if err != nil {
		return usageError(err)
	}
	st, err := tunnel.AskStatus(s.ctx, cfg.Run)
	if err != nil {
		return exitError{exitNoRouter, err}
	}
	return s.print(st, func(w io.Writer) { printBond(w, st) })
}

// ofRouter asks the running router for its links that are bonds.
func (c *bondStatusCommand) ofRouter(s *session) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	r, err := client.ListRelaysWithResponse(s.ctx)
	if err != nil {
		r = &api.ListRelaysResponse{}
	}
	bonds, err := answered(r.JSON200, r.JSONDefault, r.StatusCode(), err)
	if err != nil {
		return err
	}
	states := make([]tunnel.Status, len(bonds))
	for i, b := range bonds {
		text, err := json.Marshal(b) // the interface has the names of tunnel.Status
		if err == nil {
			err = json.Unmarshal(text, &states[i])
		}
		if err != nil {
			return fmt.Errorf("reading the router's answer: %w", err)
		}
	}
	return s.print(bonds, func(w io.Writer) {
		for i, b := range bonds {
			fmt.Fprintf(w, "Link %s: ", b.Link)
			printBond(w, states[i])
		}
		if len(bonds) == 0 {
			fmt.Fprintln(w, "No link is a bond; \"trenza link add relay CODE\" adds one.")
		}
	})
}

func printBond(w io.Writer, s tunnel.Status) {
	switch {
	case s.Joined:
		fmt.Fprintf(w, "Joined to relay %s (%s), address %v %v\n", s.Relay, s.Cipher, s.IPv4, s.IPv6)
	case s.Trouble != "":
		fmt.Fprintf(w, "Not joined to relay %s: %s\n", s.Relay, s.Trouble)
	default:
		fmt.Fprintf(w, "Joining relay %s…\n", s.Relay)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "path\tstate\tcarrier\tMbit/s up\trtt ms\tqueue ms\tjitter ms\tmtu\tsent MB\treceived MB\tloss up %\tloss down %\tshare up %\tshare down %\t")
	for _, p := range s.Paths {
		state := "up"
		if p.Closed {
			state = "link down"
		} else if !p.Up {
			state = "silent"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%.1f\t%.1f\t%.2f\t%.2f\t%.0f\t%.0f\t\n", p.Name, state, cmp.Or(p.Carrier, "-"), p.Rate/1e6, p.Round, p.Queue, p.Jitter, p.MTU,
			float64(p.Sent)/1e6, float64(p.Received)/1e6, 100*p.LossOut, 100*p.LossIn, 100*p.ShareOut, 100*p.ShareIn)
	}
	_ = t.Flush() // w tells its own errors
	for _, p := range s.Paths {
		if p.Trouble != "" {
			fmt.Fprintf(w, "%s, web server of the relay: %s\n", p.Name, p.Trouble)
		}
	}
	fmt.Fprintf(w, "queue %d kB, dropped %d, sent again %d; waiting for order %d, late %d, copies %d\n", s.Queued/1000, s.Dropped, s.Resent, s.Held, s.Late, s.Copies)
	for _, by := range []struct {
		what    string
		packets map[string]uint64
	}{{"delivery", s.Deliveries}, {"class", s.Classes}} {
		if len(by.packets) == 0 {
			continue
		}
		fmt.Fprintf(w, "packets sent by %s:", by.what)
		for _, name := range slices.Sorted(maps.Keys(by.packets)) {
			fmt.Fprintf(w, " %s %d", name, by.packets[name])
		}
		fmt.Fprintln(w)
	}
}
