package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/bond"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/link"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/plan"
)

// Bond is a router's end of a bond: tunnel.Router.
type Bond interface {
	Run(ctx context.Context) error
	SetPath(ctx context.Context, p tunnel.Path) error
	DropPath(ctx context.Context, id bond.PathID) error
	ClosePath(ctx context.Context, id bond.PathID) error
	OpenPath(ctx context.Context, id bond.PathID) error
	Status(ctx context.Context) (tunnel.Status, error)
}

// Bonds makes bonds.
type Bonds func(o tunnel.Options) (Bond, error)

// bondLink is what a link that is a bond is made of. wan.mu guards status and refused.
type bondLink struct {
	wake    chan struct{} // capacity 1: a link that it goes over has changed
	status  tunnel.Status
	refused string // why there is no bond at all, for people
}

func newBondLink() *bondLink { return &bondLink{wake: make(chan struct{}, 1)} }

// carries tells whether the relay is there.
func (b *bondLink) carries() bool {
	if !b.status.Joined {
		return false
	}
	for _, p := range b.status.Paths {
		if p.Up {
			return true
		}
	}
	return false
}

// gateways are those of the families in which the relay gave an address: nobody stands between it and the device.
func (b *bondLink) gateways(c config.Link) (v4, v6 netip.Addr) {
	if b.status.IPv4.IsValid() && c.IPv4.Mode != config.Off {
		v4 = netip.IPv4Unspecified()
	}
	if b.status.IPv6.IsValid() && c.IPv6.Mode != config.Off {
		v6 = netip.IPv6Unspecified()
	}
	return v4, v6
}

// text is why the bond is not in use, when the bond itself is the reason; "" when it is not.
func (b *bondLink) text() string {
	switch {
	case b.refused != "":
		return b.refused
	case b.status.Joined && !b.carries():
		return "none of its links reaches the relay"
	case b.status.Joined:
		return ""
	case b.status.Trouble != "":
		return b.status.Trouble
	}
	return "it is greeting the relay"
}

// lookAtBond is how often a bond is asked how it is; what its links' devices announce is told to it at once.
const lookAtBond = 250 * time.Millisecond

// runBond is the task of a link that is a bond.
func (e *Engine) runBond(ctx context.Context, w *wan) error {
	state, err := tunnel.Enrol(e.config.RelayState(w.config.Name), string(w.config.Relay.Code))
	if err == nil {
		var b Bond
		if b, err = e.bonds(tunnel.Options{State: state, Device: w.config.Device, Log: e.log.With("link", w.config.Name)}); err == nil {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return b.Run(ctx) })
			g.Go(func() error { return e.tendBond(ctx, w, b) })
			err = g.Wait()
		}
	}
	refused := ""
	if err != nil && ctx.Err() == nil {
		refused = err.Error()
	}
	e.bondChanged(w, tunnel.Status{}, refused)
	return err
}

// strand is how a link stands, for a bond that goes over it.
type strand struct {
	path  tunnel.Path
	index int // of the device; 0: there is none
	mtu   int // of the device
	alive bool
}

// strands are those of a bond.
func (e *Engine) strands(w *wan) []strand {
	var out []strand
	for _, c := range e.config.Strands(w.config) {
		o := e.wanByID(c.ID)
		if o == nil {
			continue
		}
		o.mu.Lock()
		v4, v6 := o.gatewaysLocked()
		out = append(out, strand{
			path: tunnel.Path{ID: bond.PathID(c.ID), Name: c.Name, Device: o.device(), Mark: uint32(plan.StrandMark(c.ID)),
				Metered: c.Metered || o.slot.device.Metered},
			index: o.iface.Index, mtu: o.iface.MTU,
			alive: o.iface.Up && o.iface.Carrier && (v4.IsValid() || v6.IsValid()) && o.level != link.Spent,
		})
		o.mu.Unlock()
	}
	return out
}

// tendBond keeps a bond's paths at what its links are, and notes how it is.
func (e *Engine) tendBond(ctx context.Context, w *wan, b Bond) error {
	standing := map[flow.LinkID]strand{}
	tick := time.NewTicker(lookAtBond)
	defer tick.Stop()
	for {
		for _, s := range e.strands(w) {
			id := flow.LinkID(s.path.ID)
			if err := lead(ctx, b, standing[id], s); err == nil {
				standing[id] = s
			} else if ctx.Err() == nil {
				e.log.Debug("a bond's path could not be led anew yet", "link", w.config.Name, "error", err)
				delete(standing, id)
			}
		}
		st, err := b.Status(ctx)
		if err != nil {
			return nil //nolint:nilerr // the bond has ended, and says itself why
		}
		e.bondChanged(w, st, "")
		select {
		case <-ctx.Done():
			return nil
		case <-w.bond.wake:
		case <-tick.C:
		}
	}
}

// lead makes a bond's path what its link is now.
func lead(ctx context.Context, b Bond, was, is strand) error {
	if was.index != is.index || was.mtu != is.mtu || was.path != is.path {
		if is.index == 0 {
			return b.DropPath(ctx, is.path.ID)
		}
		if err := b.SetPath(ctx, is.path); err != nil {
			return err
		}
		was.alive = true
	}
	switch {
	case is.index == 0 || was.alive == is.alive:
		return nil
	case is.alive:
		return b.OpenPath(ctx, is.path.ID)
	}
	return b.ClosePath(ctx, is.path.ID)
}

// bondChanged notes how a bond is, and tells of what matters.
func (e *Engine) bondChanged(w *wan, st tunnel.Status, refused string) {
	w.mu.Lock()
	b := w.bond
	before, carried := b.status, b.carries()
	b.status, b.refused = st, refused
	text, carries := b.text(), b.carries()
	changed := carried != carries || before.IPv4 != st.IPv4 || before.IPv6 != st.IPv6
	w.mu.Unlock()
	trouble := refused != "" || st.Trouble != ""
	e.health.Put(trouble, observe.Warning{Code: "relay", Subject: w.config.Name, Severity: observe.Warn,
		Text: fmt.Sprintf("Link %s: %s.", w.config.Name, text),
		Fix:  "`trenza bond status` tells more. Rules that name this link alone refuse their flows meanwhile; all others go on over the other links."})
	if changed {
		e.physicalChanged(w)
	}
}

// BondView is a link that is a bond, for people.
type BondView struct {
	Link string
	tunnel.Status
}

// Bonds lists the links that are bonds.
func (e *Engine) Bonds() []BondView {
	var out []BondView
	for _, w := range e.wans {
		if w.bond == nil {
			continue
		}
		w.mu.Lock()
		v := BondView{Link: w.config.Name, Status: w.bond.status}
		if v.Trouble == "" {
			v.Trouble = w.bond.refused
		}
		w.mu.Unlock()
		out = append(out, v)
	}
	return out
}

// ErrReconfigured ends a run after which a router with other links is to be started, at once: Options.Config of the next one comes from
// config.Config.Added again.
var ErrReconfigured = errors.New("the router's links are others now")

// RelayRequest asks for a link that is a bond. Code is a secret.
type RelayRequest struct {
	Code string
	Name string    // "": bond
	Role flow.Role // of the link
	Over []string  // the links that it goes over; none: all
}

// AddRelay joins a relay: it keeps the code, adds the link to the configuration and ends the run with ErrReconfigured. Whoever asks
// sees by the link's state whether the relay let the router in.
func (e *Engine) AddRelay(_ context.Context, r RelayRequest) (name string, err error) {
	if r.Name == "" {
		r.Name = "bond"
	}
	if _, err := tunnel.ParseInvite(r.Code); err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadQuestion, err)
	}
	e.adding.Lock()
	defer e.adding.Unlock()
	id := e.config.FreeLinkID()
	if id == 0 {
		return "", fmt.Errorf("%w: there are %d links, and no room for another one", ErrBadQuestion, flow.MaxLink)
	}
	added, err := e.config.Added()
	if err != nil {
		return "", err
	}
	a := config.AddedLink{Name: r.Name, ID: id, Role: r.Role, Over: r.Over}
	if _, err := e.config.WithAdded([]config.AddedLink{a}); err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadQuestion, err)
	}
	dir := e.config.RelayState(r.Name)
	if _, err := tunnel.Enrol(dir, r.Code); err != nil {
		return "", err
	}
	if err := e.config.SaveAdded(append(added, a)); err != nil {
		return "", errors.Join(err, tunnel.Forget(dir))
	}
	e.event(observe.Info, "relay", r.Name, fmt.Sprintf("Link %s, a bond to a relay, was added.", r.Name))
	signal(e.reconfigured)
	return r.Name, nil
}

// RemoveRelay takes away a link that AddRelay added, and its key with it.
func (e *Engine) RemoveRelay(_ context.Context, name string) error {
	e.adding.Lock()
	defer e.adding.Unlock()
	added, err := e.config.Added()
	if err != nil {
		return err
	}
	var rest []config.AddedLink
	for _, a := range added {
		if a.Name != name {
			rest = append(rest, a)
		}
	}
	if len(rest) == len(added) {
		if w := e.wanByName(name); w != nil && w.bond != nil {
			return fmt.Errorf("%w: link %s stands in the configuration file: take it out there", ErrBadQuestion, name)
		}
		return fmt.Errorf("link %q, added with a relay's code: %w", name, hal.ErrNotFound)
	}
	if err := e.config.SaveAdded(rest); err != nil {
		return err
	}
	e.event(observe.Info, "relay", name, fmt.Sprintf("Link %s, a bond to a relay, was removed.", name))
	e.forget = append(e.forget, name)
	signal(e.reconfigured)
	return nil
}

// Reconfigure ends the run with ErrReconfigured: what the next one reads at its start is to become other.
func (e *Engine) Reconfigure() { signal(e.reconfigured) }

// awaitReconfigured is the task that ends the run when the links are others now.
func (e *Engine) awaitReconfigured(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-e.reconfigured:
		return ErrReconfigured
	}
}

// forgetRelays destroys the keys of the bonds that were removed, when they have ended.
func (e *Engine) forgetRelays() {
	e.adding.Lock()
	defer e.adding.Unlock()
	for _, name := range e.forget {
		if err := tunnel.Forget(e.config.RelayState(name)); err != nil {
			e.log.Error("the key of a bond that was removed could not be destroyed", "link", name, "error", err)
		}
	}
	e.forget = nil
}
