package netlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// controlSocket is the lab's socket below its folder. One connection carries one
// request and one answer, both a line of JSON.
const controlSocket = "control.sock"

// controlTimeout bounds a request and its answer.
const controlTimeout = 10 * time.Second

// request is what another process asks of a lab.
type request struct {
	Op     string   `json:"op"` // cut, heal, set, status
	Link   string   `json:"link,omitempty"`
	Silent bool     `json:"silent,omitempty"`
	Way    string   `json:"way,omitempty"` // up or down: cut one way only, silently
	Change []string `json:"change,omitempty"`
}

// answer is what the lab says.
type answer struct {
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
}

// Status is a lab at one moment.
type Status struct {
	ID    string       `json:"id"`
	PID   int          `json:"pid"`
	Dir   string       `json:"dir"`
	Links []LinkStatus `json:"links"`
	Nodes []NodeStatus `json:"nodes"`
}

// LinkStatus is one WAN link.
type LinkStatus struct {
	Name   string            `json:"name"`
	Device string            `json:"device"`
	State  emulator.State    `json:"state"`
	Params emulator.Params   `json:"params"`
	Up     emulator.Counters `json:"up"`
	Down   emulator.Counters `json:"down"`
}

// NodeStatus is one namespace that a person may want to look into.
type NodeStatus struct {
	Name      string       `json:"name"` // laptop, router, internet, isp-lte
	Namespace string       `json:"namespace"`
	MAC       string       `json:"mac,omitempty"`
	IPv4      netip.Addr   `json:"ipv4,omitzero"`
	IPv6      []netip.Addr `json:"ipv6,omitempty"`
}

// serve opens the control socket and answers until the lab ends.
func (l *Lab) serve() error {
	path := filepath.Join(l.dir, controlSocket)
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("open the lab's control socket: %w", err)
	}
	l.goRun("control socket", func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		for {
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			l.wg.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				l.converse(ctx, c)
			})
		}
	})
	return nil
}

// converse answers one request.
func (l *Lab) converse(ctx context.Context, c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(controlTimeout))
	var q request
	var a answer
	err := json.NewDecoder(io.LimitReader(c, 1<<16)).Decode(&q)
	if err == nil {
		a.Status, err = l.carryOut(ctx, q)
	}
	if err != nil {
		a.Error = err.Error()
	}
	if err := json.NewEncoder(c).Encode(a); err != nil {
		l.log.Debug("nobody took the answer", "op", q.Op, "err", err)
	}
}

// carryOut does what is asked.
func (l *Lab) carryOut(ctx context.Context, q request) (*Status, error) {
	if q.Op == "status" {
		return l.Status(ctx)
	}
	link := l.links[q.Link]
	if link == nil {
		return nil, fmt.Errorf("no link %q: there are %s", q.Link, strings.Join(l.linkNames(), ", "))
	}
	l.log.Info("link changed by hand", "op", q.Op, "link", q.Link, "silent", q.Silent, "way", q.Way, "change", q.Change)
	switch q.Op {
	case "cut":
		switch q.Way {
		case "":
			return nil, link.Cut(q.Silent)
		case emulator.Up.String():
			return nil, link.Blackhole(emulator.Up, true)
		case emulator.Down.String():
			return nil, link.Blackhole(emulator.Down, true)
		}
		return nil, fmt.Errorf("no way %q: want up or down", q.Way)
	case "heal":
		return nil, link.Heal()
	case "set":
		p, err := link.Params().Apply(q.Change)
		if err != nil {
			return nil, err
		}
		return nil, link.Set(p)
	}
	return nil, fmt.Errorf("unknown request %q: want cut, heal, set or status", q.Op)
}

func (l *Lab) linkNames() (names []string) {
	for _, s := range l.specs {
		names = append(names, s.Name)
	}
	return names
}

// Status returns what there is to see.
func (l *Lab) Status(ctx context.Context) (*Status, error) {
	s := &Status{ID: l.state.ID, PID: os.Getpid(), Dir: l.dir}
	for _, spec := range l.specs {
		link := l.links[spec.Name]
		s.Links = append(s.Links, LinkStatus{
			Name: spec.Name, Device: spec.Device, State: link.State(), Params: link.Params(),
			Up: link.Counters(emulator.Up), Down: link.Counters(emulator.Down),
		})
	}
	for _, h := range l.hosts {
		addrs, err := h.Addresses6(ctx)
		if err != nil {
			return nil, err
		}
		s.Nodes = append(s.Nodes, NodeStatus{
			Name: h.spec.Name, Namespace: h.name, MAC: h.spec.MAC, IPv4: h.Lease().Address.Addr(), IPv6: addrs,
		})
	}
	s.Nodes = append(s.Nodes, NodeStatus{Name: "router", Namespace: l.router.name}, NodeStatus{Name: "internet", Namespace: l.internet.name})
	for _, spec := range l.specs {
		s.Nodes = append(s.Nodes, NodeStatus{Name: "isp-" + spec.Name, Namespace: l.isps[spec.Name].name})
	}
	return s, nil
}

// ErrNoLab says that there is no lab to talk to.
var ErrNoLab = errors.New("no lab is running here")

// Remote is a lab in another process.
type Remote struct {
	id, dir string
	pid     int
}

// Connect finds a running lab. root is the folder of the labs' folders; empty
// means the default. id chooses among several; empty means the only one. The
// error is ErrNoLab if there is none.
func Connect(root, id string) (*Remote, error) {
	if root == "" {
		root = defaultRoot()
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for a lab: %w", err)
	}
	var found []*Remote
	var ids []string
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if s, err := load(dir); err == nil && s.alive() && (id == "" || s.ID == id) {
			found = append(found, &Remote{id: s.ID, dir: dir, pid: s.Owner.PID})
			ids = append(ids, s.ID)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("several labs are running: choose one of %s", strings.Join(ids, ", "))
	case id != "":
		return nil, fmt.Errorf("lab %s: %w", id, ErrNoLab)
	}
	return nil, ErrNoLab
}

// RouterRun returns the folder in which the lab's router has its control socket.
func (r *Remote) RouterRun() string { return filepath.Join(r.dir, routerRunDir) }

// Cut breaks a link, silently or with loss of carrier.
func (r *Remote) Cut(ctx context.Context, link string, silent bool) error {
	_, err := r.ask(ctx, request{Op: "cut", Link: link, Silent: silent})
	return err
}

// CutOneWay silently breaks one direction of a link.
func (r *Remote) CutOneWay(ctx context.Context, link string, d emulator.Direction) error {
	_, err := r.ask(ctx, request{Op: "cut", Link: link, Silent: true, Way: d.String()})
	return err
}

// Heal undoes every cut of a link.
func (r *Remote) Heal(ctx context.Context, link string) error {
	_, err := r.ask(ctx, request{Op: "heal", Link: link})
	return err
}

// Set changes a link's settings, in the words of [emulator.Params.Apply].
func (r *Remote) Set(ctx context.Context, link string, change []string) error {
	_, err := r.ask(ctx, request{Op: "set", Link: link, Change: change})
	return err
}

// Status returns what there is to see.
func (r *Remote) Status(ctx context.Context) (*Status, error) {
	s, err := r.ask(ctx, request{Op: "status"})
	if err == nil && s == nil {
		err = fmt.Errorf("the lab %s gave no status", r.id)
	}
	return s, err
}

// Shell returns the command line that opens a shell, or runs a command, in a
// node of the lab ("laptop", "router", "isp-lte"): for execve(2).
func (r *Remote) Shell(ctx context.Context, node string, command ...string) ([]string, error) {
	s, err := r.Status(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range s.Nodes {
		if n.Name == node {
			return r.shell(n.Namespace, command), nil
		}
		names = append(names, n.Name)
	}
	return nil, fmt.Errorf("no node %q in the lab: there are %s", node, strings.Join(names, ", "))
}

// shell returns the command line for a namespace of the lab.
func (r *Remote) shell(namespace string, command []string) []string {
	if len(command) == 0 {
		sh := os.Getenv("SHELL")
		if sh == "" {
			sh = "/bin/sh"
		}
		command = []string{sh}
	}
	line := append([]string{tool("ip"), "netns", "exec", namespace}, command...)
	// A lab without root has its names in a mount namespace, and its rights in a
	// user namespace, of its own: the user is its root already, the machine's root
	// has to become it.
	if there, here := fmt.Sprintf("/proc/%d/ns/user", r.pid), "/proc/self/ns/user"; !sameFile(there, here) {
		line = append([]string{tool("nsenter"), fmt.Sprintf("--target=%d", r.pid), "--user", "--mount", "--preserve-credentials", "--setuid=0", "--"}, line...)
	}
	return line
}

func sameFile(a, b string) bool {
	dev1, ino1, err1 := inodeOf(a)
	dev2, ino2, err2 := inodeOf(b)
	return err1 == nil && err2 == nil && dev1 == dev2 && ino1 == ino2
}

// ask sends a request and reads the answer.
func (r *Remote) ask(ctx context.Context, q request) (*Status, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", filepath.Join(r.dir, controlSocket))
	if err != nil {
		return nil, fmt.Errorf("talk to the lab %s (pid %d; is it still starting?): %w", r.id, r.pid, err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	_ = c.SetDeadline(time.Now().Add(controlTimeout))
	if err := json.NewEncoder(c).Encode(q); err != nil {
		return nil, fmt.Errorf("ask the lab %s: %w", r.id, err)
	}
	var a answer
	if err := json.NewDecoder(c).Decode(&a); err != nil {
		return nil, fmt.Errorf("read the answer of the lab %s: %w", r.id, err)
	}
	if a.Error != "" {
		return nil, errors.New(a.Error)
	}
	return a.Status, nil
}
