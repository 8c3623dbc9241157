package cli

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	"rsc.io/qr"

	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/relay"
)

type relayCommand struct {
	Server relayRunCommand    `cmd:"" name:"run" default:"withargs" help:"Run the far end of bonds in this network namespace (the default)."`
	Invite relayInviteCommand `cmd:"" help:"Print a code, as text and QR, with which one router can join."`
	Revoke relayRevokeCommand `cmd:"" help:"Shut a router, or an open invite, out at once."`
	Status relayStatusCommand `cmd:"" help:"Routers, their paths and traffic, and open invites."`
}

type relayRunCommand struct {
	Config string `help:"Configuration file; the shortest one is in docs/BOND.md." required:"" type:"path"`
	Check  bool   `help:"Check the configuration file and stop."`
}

func (c *relayRunCommand) Run(s *session) error {
	cfg, log, err := begin(s, c.Config, relay.Load, func(c relay.Config) string { return c.LogLevel })
	if err != nil {
		return err
	}
	if c.Check {
		return s.print(cfg.Pool, func(w io.Writer) { fmt.Fprintf(w, "%s is good: pool %v.\n", c.Config, cfg.Pool) })
	}
	state, err := relay.OpenState(cfg.State)
	if err != nil {
		return asRoot(err)
	}
	defer func() {
		if err := state.Close(); err != nil {
			log.Error("the relay's state did not close cleanly", "error", err)
		}
	}()
	machine, err := linux.New(linux.Options{Nft: cfg.Nft, Log: log})
	if err != nil {
		return err
	}
	r, err := relay.New(relay.Options{Config: cfg, State: state, Machine: machine, Log: log})
	if err != nil {
		return asRoot(err)
	}
	g, ctx := errgroup.WithContext(s.ctx)
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return r.Serve(ctx) })
	return g.Wait()
}

type relayInviteCommand struct {
	Config  string        `help:"The relay's configuration file." required:"" type:"path"`
	Name    string        `help:"What the router is called here." default:"home"`
	Address []string      `help:"Address of the relay for the code, with its port; default: the configuration's."`
	For     time.Duration `help:"How long the code is good." default:"24h"`
	Down    uint64        `help:"Most that the router may have towards it, in Mbit/s; 0: no limit."`
	Up      uint64        `help:"Most that the router may send, in Mbit/s; 0: no limit."`
	NoQR    bool          `name:"no-qr" help:"The text alone."`
}

func (c *relayInviteCommand) Run(s *session) error {
	cfg, err := relay.Load(c.Config)
	if err != nil {
		return usageError(err)
	}
	ask := relay.InviteRequest{Name: c.Name, Life: c.For, Limit: relay.Limit{Down: c.Down * 1e6, Up: c.Up * 1e6}}
	for _, a := range c.Address {
		p, err := netip.ParseAddrPort(a)
		if err != nil {
			return usageError(fmt.Errorf("--address %s: write an address with its port, as in 198.51.100.7:%d", a, relay.DefaultPort))
		}
		ask.Addresses = append(ask.Addresses, p)
	}
	var a relay.InviteAnswer
	if err := relay.Ask(s.ctx, &cfg, "/invite", ask, &a); errors.Is(err, relay.ErrStopped) {
		a, err = inviteAlone(&cfg, ask)
		if err != nil {
			return asRoot(err)
		}
	} else if err != nil {
		return err
	}
	return s.print(a, func(w io.Writer) {
		fmt.Fprintf(w, "%s\n\n", a.Code)
		if !c.NoQR {
			printQR(w, a.Code)
		}
		fmt.Fprintf(w, "Good once, until %s. On the router: \"trenza link add relay CODE\", or \"code: ...\" in the configuration of a bond that runs by itself.\n", a.Expires.Format("2006-01-02 15:04 MST"))
	})
}

// inviteAlone makes an invite while no relay runs.
func inviteAlone(cfg *relay.Config, ask relay.InviteRequest) (relay.InviteAnswer, error) {
	state, err := relay.OpenState(cfg.State)
	if err != nil {
		return relay.InviteAnswer{}, err
	}
	defer state.Close()
	return relay.MakeInvite(cfg, state, ask, time.Now())
}

// printQR draws the code with half blocks, dark on light whatever the terminal's colours are.
func printQR(w io.Writer, text string) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return // too long for a QR code: the text is there
	}
	const margin = 2
	for y := -margin; y < code.Size+margin; y += 2 {
		fmt.Fprint(w, "\x1b[30;47m")
		for x := -margin; x < code.Size+margin; x++ {
			fmt.Fprint(w, [4]string{" ", "▄", "▀", "█"}[2*dark(code, x, y)+dark(code, x, y+1)])
		}
		fmt.Fprintln(w, "\x1b[0m")
	}
}

func dark(c *qr.Code, x, y int) int {
	if x >= 0 && y >= 0 && x < c.Size && y < c.Size && c.Black(x, y) {
		return 1
	}
	return 0
}

type relayRevokeCommand struct {
	Config string `help:"The relay's configuration file." required:"" type:"path"`
	Name   string `arg:"" help:"The router's name."`
}

func (c *relayRevokeCommand) Run(s *session) error {
	cfg, err := relay.Load(c.Config)
	if err != nil {
		return usageError(err)
	}
	var out map[string]string
	err = relay.Ask(s.ctx, &cfg, "/revoke", relay.InviteRequest{Name: c.Name}, &out)
	if errors.Is(err, relay.ErrStopped) {
		state, e := relay.OpenState(cfg.State)
		if e != nil {
			return asRoot(e)
		}
		defer state.Close()
		_, err = state.Revoke(c.Name)
	}
	if err != nil {
		return err
	}
	return s.print(map[string]string{"revoked": c.Name}, func(w io.Writer) { fmt.Fprintf(w, "%s cannot come in any more.\n", c.Name) })
}

type relayStatusCommand struct {
	Config string `help:"The relay's configuration file." required:"" type:"path"`
}

func (c *relayStatusCommand) Run(s *session) error {
	cfg, err := relay.Load(c.Config)
	if err != nil {
		return usageError(err)
	}
	var st relay.Status
	if err := relay.Ask(s.ctx, &cfg, "/status", nil, &st); err != nil {
		return exitError{exitNoRouter, err}
	}
	return s.print(st, func(w io.Writer) { printRelay(w, st) })
}

func printRelay(w io.Writer, s relay.Status) {
	fmt.Fprintf(w, "Relay %s\n", s.Key)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "router\tstate\taddress\tdown MB\tup MB\tpaths\t")
	for _, r := range s.Routers {
		state, paths := "away", 0
		if r.Bond.Joined {
			state = "connected"
		}
		for _, p := range r.Bond.Paths {
			if p.Up {
				paths++
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%v\t%.1f\t%.1f\t%d of %d\t\n", r.Name, state, r.Bond.IPv4, float64(r.Traffic.DownBytes)/1e6, float64(r.Traffic.UpBytes)/1e6, paths, len(r.Bond.Paths))
	}
	_ = t.Flush() // w tells its own errors
	for _, i := range s.Invites {
		fmt.Fprintf(w, "open invite: %s, until %s\n", i.Name, i.Expires.Format("2006-01-02 15:04 MST"))
	}
}
