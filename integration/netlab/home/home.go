package home

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/integration/netlab/traffic"
	"github.com/trenza-router/trenza/webui/api"
)

//go:embed policy.yaml
var policy string

// Policy is the rules of a family that lives in the default home.
func Policy() string { return policy }

// Options say what house to build.
type Options struct {
	Lab    netlab.Options
	Binary string // the trenza program; required
	Policy string // path of the first policy; empty for none
	// Config is appended to the daemon's configuration, to add keys that the lab does not set.
	Config string
	Log    *slog.Logger
}

// House is a running house.
type House struct {
	Lab      *netlab.Lab
	Observer *internet.Observer // what the internet's servers saw

	binary string
	config string // path of the daemon's configuration
	ca     string

	mu     sync.Mutex
	router *netlab.Process
	agents map[string]*client.Agent
}

// Start builds the house and returns when the router answers and every host has its agent.
func Start(ctx context.Context, o Options) (*House, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Lab.Log = o.Log
	lab, err := netlab.New(ctx, o.Lab)
	if err != nil {
		return nil, err
	}
	h := &House{Lab: lab, binary: o.Binary, agents: map[string]*client.Agent{},
		config: filepath.Join(lab.Dir(), "trenza.yaml"), ca: filepath.Join(lab.Dir(), "ca.pem")}
	if err := h.start(ctx, o); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *House) start(ctx context.Context, o Options) error {
	socket := filepath.Join(h.Lab.Dir(), "internet.sock")
	config, err := json.Marshal(internet.Config{CA: h.ca, Socket: socket})
	if err != nil {
		return fmt.Errorf("writing the internet's configuration: %w", err)
	}
	path := filepath.Join(h.Lab.Dir(), "internet.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return fmt.Errorf("writing the internet's configuration: %w", err)
	}
	world, err := h.Lab.Spawn(h.Lab.Internet(), "internet", o.Binary, "lab-internet", path)
	if err != nil {
		return err
	}
	h.Observer = internet.NewObserver(socket)
	if err := ready(ctx, world, h.Observer.WaitReady); err != nil {
		return fmt.Errorf("starting the lab's internet: %w", err)
	}
	if err := os.WriteFile(h.config, []byte(h.Lab.RouterConfig(o.Policy)+o.Config), 0o600); err != nil {
		return fmt.Errorf("writing the router's configuration: %w", err)
	}
	if err := h.StartRouter(ctx); err != nil {
		return err
	}
	for _, host := range h.Lab.Hosts() {
		cmd := host.Command(context.WithoutCancel(ctx), o.Binary, "lab-client")
		cmd.Stderr = os.Stderr
		a, err := client.Start(context.WithoutCancel(ctx), cmd, client.Env{Resolv: "/etc/resolv.conf", CA: h.ca})
		if err != nil {
			return fmt.Errorf("starting the client of %s: %w", host.Spec().Name, err)
		}
		h.agents[host.Spec().Name] = a
	}
	return nil
}

// ready waits for a program to be ready, or to end.
func ready(ctx context.Context, p *netlab.Process, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	err := wait(ctx)
	select {
	case <-p.Done():
		return errors.Join(p.Err(), err)
	default:
		return err
	}
}

// Agent is the client in a host.
func (h *House) Agent(host string) *client.Agent { return h.agents[host] }

// Hosts are the clients as the household's traffic wants them.
func (h *House) Hosts() []traffic.Host {
	var out []traffic.Host
	for _, host := range h.Lab.Hosts() {
		name := host.Spec().Name
		out = append(out, traffic.Host{Role: traffic.Role(name), Agent: h.agents[name]})
	}
	return out
}

// CA is the path of the certificate that the lab's servers are trusted by.
func (h *House) CA() string { return h.ca }

// StartRouter starts the daemon, which must not be running, and waits until it has a plan and usable links.
func (h *House) StartRouter(ctx context.Context) error {
	p, err := h.Lab.Spawn(h.Lab.Router(), "router", h.binary, "router", "--config", h.config)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.router = p
	h.mu.Unlock()
	if err := ready(ctx, p, h.waitRouter); err != nil {
		return fmt.Errorf("starting the router: %w", err)
	}
	return nil
}

// waitRouter returns when the daemon has applied a plan in which every link is usable.
func (h *House) waitRouter(ctx context.Context) error {
	c, err := h.API()
	if err != nil {
		return err
	}
	var last error
	for {
		r, err := c.GetStatusWithResponse(ctx)
		switch {
		case err != nil:
			last = err
		case r.JSON200 == nil:
			last = fmt.Errorf("status %d", r.StatusCode())
		default:
			last = nil
			if r.JSON200.Plan.Applied == 0 {
				last = errors.New("it has made no plan yet")
			}
			for _, l := range r.JSON200.Links {
				switch {
				case !l.Usable:
					last = fmt.Errorf("link %s is %s: %s", l.Name, l.State, l.Reason)
				case !slices.Contains(r.JSON200.Plan.Links, l.Name):
					last = fmt.Errorf("link %s is usable, but not in the plan yet", l.Name)
				}
			}
			if last == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Router is the daemon's process.
func (h *House) Router() *netlab.Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.router
}

// RouterLog is the end of what the daemon's processes have logged, or why it cannot be read.
func (h *House) RouterLog() string {
	text, err := os.ReadFile(filepath.Join(h.Lab.Dir(), "log", "router.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-8000):])
}

// Socket is the daemon's control socket.
func (h *House) Socket() string { return filepath.Join(h.Lab.RouterRun(), "trenza.sock") }

// API is a client of the daemon's interface.
func (h *House) API() (*api.ClientWithResponses, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", h.Socket())
	}}
	return api.NewClientWithResponses("http://localhost/api/v1", api.WithHTTPClient(&http.Client{Transport: transport}))
}

// Close ends everything and leaves no trace.
func (h *House) Close() error {
	var errs []error
	for _, a := range h.agents {
		errs = append(errs, a.Close())
	}
	if p := h.Router(); p != nil {
		p.Stop()
	}
	if h.Observer != nil {
		h.Observer.Close()
	}
	return errors.Join(append(errs, h.Lab.Close())...)
}
