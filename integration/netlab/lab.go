package netlab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what lab to build. The zero value is the default home.
type Options struct {
	// ID tells labs on one machine apart: at most 8 letters and digits. Empty
	// draws one.
	ID string
	// Root is the folder below which the lab keeps its own; empty for
	// /run/trenza-lab, or trenza-lab in $XDG_RUNTIME_DIR without root.
	Root string
	// Links and Hosts are those of the home; nil for Home() and Hosts().
	Links []LinkSpec
	Hosts []HostSpec
	// Server rents a server in the internet, with nothing on it: see [Lab.Server].
	Server bool
	// Netem makes the links of the kernel's netem, where it has that, instead of
	// package emulator.
	Netem bool
	// Seed decides the random losses and jitter of package emulator; 0 is a seed
	// too.
	Seed uint64
	// State is the folder where the router keeps its state, for one that lives
	// longer than the lab; empty for one in the lab's own folder.
	State string
	// Log takes what an operator may want to know; nil discards it.
	Log *slog.Logger
}

// Lab is a running home with its internet.
type Lab struct {
	dir      string
	kept     string // Options.State
	log      *slog.Logger
	specs    []LinkSpec
	router   *Namespace
	internet *Namespace
	server   *Namespace
	isps     map[string]*Namespace
	links    map[string]cable
	hosts    []*Host

	ctx  context.Context // ends when Close begins or a part fails
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	mu    sync.Mutex
	state state

	closing  sync.Once
	closeErr error
}

// New builds a lab and returns when it works: every host has its IPv4 and IPv6
// addresses and the router its IPv6 ones. Before that it removes what killed labs
// left in the same Root. ctx bounds the building alone; the lab lives until
// Close. It needs what [Check] checks.
func New(ctx context.Context, o Options) (*Lab, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Root == "" {
		o.Root = defaultRoot()
	}
	if o.Links == nil {
		o.Links = Home()
	}
	if o.Hosts == nil {
		o.Hosts = Hosts()
	}
	if o.ID == "" {
		o.ID = strings.ToLower(rand.Text()[:8])
	}
	if err := checkID(o.ID); err != nil {
		return nil, err
	}
	if err := Check(); err != nil {
		return nil, err
	}
	l, err := register(ctx, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// What fails in the lab ends the wait for the rest of it.
	defer context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })()
	defer time.AfterFunc(startTimeout, func() { cancel(fmt.Errorf("the lab did not work within %v", startTimeout)) }).Stop()
	if err := l.build(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("build the lab: %w", err), l.Close())
	}
	return l, nil
}

// startTimeout bounds the building of a lab; it takes seconds on an idle machine.
const startTimeout = 2 * time.Minute

// maxSocketPath is the longest path of a unix socket (unix(7)).
const maxSocketPath = 107

// register cleans up after others, and claims the names of a new lab.
func register(ctx context.Context, o Options) (*Lab, error) {
	if path := filepath.Join(o.Root, o.ID, controlSocket); len(path) > maxSocketPath {
		return nil, fmt.Errorf("the lab's control socket %s: a path of %d bytes is too long (%d): choose a shorter Root", path, len(path), maxSocketPath)
	}
	unlock, err := lock(o.Root)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := clean(ctx, o.Root, o.Log); err != nil {
		return nil, fmt.Errorf("remove what an earlier lab left behind: %w", err)
	}
	owner, err := processOf("self")
	if err != nil {
		return nil, fmt.Errorf("read this process's start time: %w", err)
	}
	l := &Lab{
		dir:   filepath.Join(o.Root, o.ID),
		kept:  o.State,
		log:   o.Log,
		specs: o.Links,
		isps:  make(map[string]*Namespace),
		links: make(map[string]cable),
		state: state{ID: o.ID, Boot: bootID(), Owner: owner},
	}
	for _, name := range roles(o) {
		r := netnsRecord{Name: "tzl" + o.ID + "-" + name}
		if _, _, err := inodeOf((&Namespace{name: r.Name}).path()); err == nil {
			return nil, fmt.Errorf("the network namespace %s exists already: choose another ID, or remove it with `ip netns del %s`", r.Name, r.Name)
		}
		l.state.Namespaces = append(l.state.Namespaces, r)
	}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the lab's folder (is a lab %s running?): %w", o.ID, err)
	}
	l.ctx, l.stop = context.WithCancelCause(context.Background())
	if err := l.state.save(l.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(l.dir))
	}
	return l, nil
}

// roles lists the namespaces of a lab, without its prefix.
func roles(o Options) []string {
	all := []string{"internet", "router", "switch"}
	if o.Netem {
		all = append(all, wires)
	}
	if o.Server {
		all = append(all, serverRole)
	}
	for _, s := range o.Links {
		all = append(all, "isp-"+s.Name)
	}
	for _, h := range o.Hosts {
		all = append(all, h.Name)
	}
	return all
}

// checkID says whether an ID can be part of a namespace's name.
func checkID(id string) error {
	if len(id) > 8 || strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}) {
		return fmt.Errorf("lab ID %q: want at most 8 lower-case letters and digits", id)
	}
	return nil
}

// Router returns the namespace of the home's router: wan1 to wan3 and lan0.
func (l *Lab) Router() *Namespace { return l.router }

// Internet returns the namespace in which the servers run.
func (l *Lab) Internet() *Namespace { return l.internet }

// Provider returns the namespace of a link's provider; nil if there is none.
func (l *Lab) Provider(link string) *Namespace { return l.isps[link] }

// Link returns a WAN link by name; nil if there is none.
func (l *Lab) Link(name string) Link {
	if c := l.links[name]; c != nil {
		return c
	}
	return nil
}

// Links returns the links' descriptions, in the order of their devices.
func (l *Lab) Links() []LinkSpec { return slices.Clone(l.specs) }

// Hosts returns the hosts on the LAN.
func (l *Lab) Hosts() []*Host { return slices.Clone(l.hosts) }

// Host returns a host on the LAN by name; nil if there is none.
func (l *Lab) Host(name string) *Host {
	for _, h := range l.hosts {
		if h.spec.Name == name {
			return h
		}
	}
	return nil
}

// SeenAs returns the addresses under which a server sees the traffic of a link,
// and false if there is no such link.
func (l *Lab) SeenAs(link string) (Seen, bool) {
	for _, s := range l.specs {
		if s.Name == link {
			return s.seen(), true
		}
	}
	return Seen{}, false
}

// ID returns the lab's name among those on the machine.
func (l *Lab) ID() string { return l.state.ID }

// Dir returns the lab's folder. What is written below it goes with the lab.
func (l *Lab) Dir() string { return l.dir }

// Done is closed when the lab has ended, because Close was called or a part of it
// failed; Err says which.
func (l *Lab) Done() <-chan struct{} { return l.ctx.Done() }

// errClosed is the cause of the end of a lab that was closed.
var errClosed = errors.New("the lab was closed")

// Err returns nil while the lab runs and after Close, else what failed.
func (l *Lab) Err() error {
	if err := context.Cause(l.ctx); !errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// Close ends everything in the lab, processes of others in its namespaces
// included, and removes every trace of it. Later calls return what the first
// did.
func (l *Lab) Close() error {
	l.closing.Do(func() {
		l.stop(errClosed)
		l.wg.Wait()
		var errs []error
		for _, link := range l.links {
			errs = append(errs, link.Close())
		}
		l.mu.Lock()
		s := l.state
		s.Processes = slices.Clone(s.Processes)
		l.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		errs = append(errs, s.teardown(ctx, l.dir))
		l.closeErr = errors.Join(errs...)
	})
	return l.closeErr
}

// goRun runs a part of the lab until the lab ends; its failure ends the lab.
func (l *Lab) goRun(what string, f func(context.Context) error) {
	l.wg.Go(func() {
		if err := f(l.ctx); err != nil && l.ctx.Err() == nil {
			l.log.Error("a part of the lab failed", "part", what, "err", err)
			l.stop(fmt.Errorf("%s: %w", what, err))
		}
	})
}
