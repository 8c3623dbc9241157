package tunnel

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/bond"
	"github.com/trenza-router/trenza/router/bond/carrier"
)

// SetPath makes a path, or leads it anew: a link whose device is another one now, also one of the same name, needs a socket of its own. What
// was on its way over the old one is sent again over the others.
func (r *Router) SetPath(ctx context.Context, p Path) error {
	if p.ID >= bond.MaxPaths {
		return fmt.Errorf("path %s has number %d: use 0 to %d", p.Name, p.ID, bond.MaxPaths-1)
	}
	var failed error
	if err := r.loop.Do(ctx, func(now time.Duration) {
		r.cut(p.ID, now)
		failed = r.stretch(p, now)
	}); err != nil {
		return err
	}
	return failed
}

// DropPath forgets a path: its link has no device any more.
func (r *Router) DropPath(ctx context.Context, id bond.PathID) error {
	return r.loop.Do(ctx, func(now time.Duration) { r.cut(id, now) })
}

// ClosePath says that a link is known to be dead: the bond goes on over the others at once.
func (r *Router) ClosePath(ctx context.Context, id bond.PathID) error {
	return r.loop.Do(ctx, func(now time.Duration) { r.line.CloseWay(id, now) })
}

// OpenPath says that a link may be tried again.
func (r *Router) OpenPath(ctx context.Context, id bond.PathID) error {
	return r.loop.Do(ctx, func(now time.Duration) {
		r.line.OpenWay(id, now)
		for _, s := range r.strands {
			if s.ID == id {
				s.proved = now // it has its head start again
			}
		}
		if !r.peer.Ready(now) {
			r.say(now) // nobody waits for the next try now
		}
	})
}

// stretch opens the socket of a path.
func (r *Router) stretch(p Path, now time.Duration) error {
	s, err := carrier.Open(carrier.Options{Device: p.Device, Mark: p.Mark})
	if err != nil {
		return fmt.Errorf("path %s: %w", p.Name, err)
	}
	r.strands = append(r.strands, &strand{Path: p, socket: s, place: r.poller.Watch(s.FD()), proved: now})
	r.line.Use(p.ID, s, r.relay.Addresses[0], p.Metered, now)
	r.line.OpenWay(p.ID, now)
	return nil
}

// cut closes the carriers of a path, if it has some.
func (r *Router) cut(id bond.PathID, now time.Duration) {
	i := slices.IndexFunc(r.strands, func(s *strand) bool { return s.ID == id })
	if i < 0 {
		return
	}
	s := r.strands[i]
	r.line.CloseWay(id, now)
	r.dropStream(s, now)
	r.line.Leave(s.socket)
	r.poller.Unwatch(s.place)
	_ = s.socket.Close() // nothing of ours waits in it
	r.strands = slices.Delete(r.strands, i, i+1)
}
