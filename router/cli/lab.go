//go:build !shipped

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/integration/netlab/traffic"
)

// labCommands are the test house's. Packages are built with the tag "shipped" and do without it, its servers and its clients.
type labCommands struct {
	Lab labCommand `cmd:"" help:"A house with three links in network namespaces, to try and to test."`

	// The lab starts itself again inside its namespaces.
	LabInternet labInternetCommand `cmd:"" name:"lab-internet" hidden:""`
	LabClient   labClientCommand   `cmd:"" name:"lab-client" hidden:""`
}

// labSocket is the control socket of a running lab's router, or "".
func labSocket() string {
	lab, err := netlab.Connect("", "")
	if err != nil {
		return ""
	}
	return filepath.Join(lab.RouterRun(), "trenza.sock")
}

type labCommand struct {
	Run    labRunCommand    `cmd:"" default:"withargs" help:"Build the house and live in it until Ctrl-C (the default)."`
	Cut    labCutCommand    `cmd:"" help:"Cut a link: with loss of carrier, or silently."`
	Heal   labHealCommand   `cmd:"" help:"Undo every cut of a link."`
	Set    labSetCommand    `cmd:"" help:"Change a link: rate=5mbit delay=80ms jitter=5ms loss=1% queue=100ms, up.rate=..., down.loss=..."`
	Status labStatusCommand `cmd:"" help:"The lab's links and hosts."`
	Shell  labShellCommand  `cmd:"" help:"A shell, or one command, on a host: laptop, phone, tv, console, camera, router, internet, isp-lte."`
	Clean  labCleanCommand  `cmd:"" help:"Remove what killed labs left behind."`
}

type labRunCommand struct {
	Web    string `help:"Where this machine serves the page." default:"127.0.0.1:8080"`
	Policy string `help:"Policy file to begin with; default: a family's." type:"existingfile"`
	Quiet  bool   `help:"No traffic of the household's own."`
	Seed   uint64 `help:"Seed of the traffic, for runs that repeat." default:"1"`
	Netem  bool   `help:"Make the links of the kernel's netem instead of the lab's own emulator."`
}

func (c *labRunCommand) Run(s *session) error {
	if done, code, err := netlab.Enter(); err != nil {
		return err
	} else if done {
		return exitError{code, nil}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program's file: %w", err)
	}
	log := slog.New(slog.NewTextHandler(s.errOut, &slog.HandlerOptions{Level: slog.LevelWarn}))
	policy := c.Policy
	if policy == "" {
		if policy, err = writeTemporary("trenza-lab-*.yaml", home.Policy()); err != nil {
			return err
		}
		defer os.Remove(policy)
	}
	fmt.Fprintln(s.out, "Building a house with three links…")
	h, err := home.Start(s.ctx, home.Options{Lab: netlab.Options{Netem: c.Netem}, Binary: self, Policy: policy, Log: log})
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(s.out, "Removing the lab…")
		if err := h.Close(); err != nil {
			fmt.Fprintln(s.errOut, "trenza:", err)
		}
	}()
	if _, err := h.Lab.Expose(s.ctx, c.Web, h.Lab.Router(), netlab.RouterWeb); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "The router works. Its page: http://%s\nIt is new: the page asks for the name and password of its first admin. Nothing is kept when the lab ends.\nCtrl-C ends the lab and removes every trace.\n", c.Web)
	if !c.Quiet {
		go func() {
			if err := traffic.Run(s.ctx, traffic.Config{Seed: c.Seed, Hosts: h.Hosts(), Log: log}); err != nil && s.ctx.Err() == nil {
				log.Error("the household's traffic ended", "error", err)
			}
		}()
	}
	select {
	case <-s.ctx.Done():
	case <-h.Lab.Done():
		err = fmt.Errorf("the lab ended: %w", h.Lab.Err())
	case <-h.Router().Done():
		err = fmt.Errorf("the router ended: %w", h.Router().Err())
	}
	if s.ctx.Err() != nil {
		return nil // a Ctrl-C at the terminal reaches the programs in the lab, too
	}
	return err
}

func writeTemporary(pattern, text string) (string, error) {
	f, err := os.CreateTemp("", pattern)
	if err != nil {
		return "", fmt.Errorf("writing the lab's policy: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("writing the lab's policy: %w", err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func (s *session) lab() (*netlab.Remote, error) {
	l, err := netlab.Connect("", "")
	if errors.Is(err, netlab.ErrNoLab) {
		return nil, exitError{exitNoRouter, fmt.Errorf("%w; start one with \"trenza lab\"", err)}
	}
	return l, err
}

type labCutCommand struct {
	Link   string `arg:"" help:"fiber, wifi or lte."`
	Silent bool   `help:"The cable stays plugged; nothing passes."`
}

func (c *labCutCommand) Run(s *session) error {
	l, err := s.lab()
	if err != nil {
		return err
	}
	return l.Cut(s.ctx, c.Link, c.Silent)
}

type labHealCommand struct {
	Link string `arg:""`
}

func (c *labHealCommand) Run(s *session) error {
	l, err := s.lab()
	if err != nil {
		return err
	}
	return l.Heal(s.ctx, c.Link)
}

type labSetCommand struct {
	Link   string   `arg:""`
	Change []string `arg:"" name:"key=value"`
}

func (c *labSetCommand) Run(s *session) error {
	l, err := s.lab()
	if err != nil {
		return err
	}
	return l.Set(s.ctx, c.Link, c.Change)
}

type labStatusCommand struct{}

func (labStatusCommand) Run(s *session) error {
	l, err := s.lab()
	if err != nil {
		return err
	}
	status, err := l.Status(s.ctx)
	if err != nil {
		return err
	}
	return s.print(status, func(w io.Writer) {
		table(w, func(t io.Writer) {
			fmt.Fprintln(t, "LINK\tDEVICE\tSTATE\tUP\tDOWN")
			for _, l := range status.Links {
				fmt.Fprintf(t, "%s\t%s\t%v\t%v\t%v\n", l.Name, l.Device, l.State, l.Params.Up, l.Params.Down)
			}
			fmt.Fprintln(t, "\t\t\t\t\nHOST\tADDRESS\tETHERNET\tIPV6\t")
			for _, n := range status.Nodes {
				fmt.Fprintf(t, "%s\t%v\t%s\t%v\t\n", n.Name, n.IPv4, n.MAC, n.IPv6)
			}
		})
	})
}

type labShellCommand struct {
	Host    string   `arg:""`
	Command []string `arg:"" optional:"" passthrough:""`
}

func (c *labShellCommand) Run(s *session) error {
	l, err := s.lab()
	if err != nil {
		return err
	}
	line, err := l.Shell(s.ctx, c.Host, c.Command...)
	if err != nil {
		return err
	}
	if err := syscall.Exec(line[0], line, os.Environ()); err != nil {
		return fmt.Errorf("opening a shell on %s: %w", c.Host, err)
	}
	return nil
}

type labCleanCommand struct{}

func (labCleanCommand) Run(s *session) error {
	return netlab.Clean(s.ctx, "", slog.New(slog.NewTextHandler(s.errOut, nil)))
}

// labInternetCommand serves the lab's internet inside its namespace.
type labInternetCommand struct {
	Config string `arg:""`
}

func (c *labInternetCommand) Run(s *session) error {
	data, err := os.ReadFile(c.Config)
	if err != nil {
		return fmt.Errorf("reading the internet's configuration: %w", err)
	}
	var config internet.Config
	if err := json.Unmarshal(data, &config); err != nil {
		return fmt.Errorf("reading the internet's configuration: %w", err)
	}
	config.Log = slog.New(slog.NewTextHandler(s.errOut, nil))
	return internet.Run(s.ctx, config)
}

// labClientCommand is the agent in a host.
type labClientCommand struct{}

func (labClientCommand) Run(s *session) error {
	// The lab ends its agents by closing their input; a Ctrl-C at the lab's terminal is not theirs.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(s.ctx), syscall.SIGTERM)
	defer stop()
	return client.Serve(ctx, os.Stdin, os.Stdout)
}
