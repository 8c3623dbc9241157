package relay

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/bond/tunnel"
)

const (
	fitEvery = time.Second
	// pushTimes is how often settings that changed are told unasked: any message may be lost.
	pushTimes = 3
)

// fit keeps the routes to all routers at what their tunnels carry. The machine does the rest: it cuts what is longer, or refuses it and tells
// the sender, in both families.
func (r *Relay) fit(ctx context.Context, now time.Duration) error {
	if now-r.fitted < fitEvery {
		return nil
	}
	r.fitted = now
	for _, route := range r.stale {
		if err := r.o.Machine.DeleteRoute(ctx, route); err != nil {
			r.o.Log.Warn("a route to a router that was shut out stays", "route", route, "error", err)
		}
	}
	r.stale = nil
	for _, m := range r.members {
		if !m.joined {
			continue
		}
		if own := tunnel.MTU(r.c.MTU, m.line.Largest()); own != m.settings.MTU {
			m.settings.MTU, m.pushes = own, pushTimes
		}
		if m.pushes > 0 {
			m.pushes--
			r.replies = append(r.replies, m)
		}
		mtu := m.settings.MTU
		if m.theirs > 0 {
			mtu = min(mtu, m.theirs)
		}
		if mtu == m.mtu {
			continue
		}
		m.mtu = mtu
		for _, route := range m.routes() {
			if err := r.o.Machine.ReplaceRoute(ctx, route); err != nil {
				return fmt.Errorf("leading packets to router %s: %w", m.record.Name, err)
			}
		}
	}
	return nil
}

// routes are those to a router, as they stand.
func (m *member) routes() (out []hal.Route) {
	if m.mtu == 0 {
		return nil
	}
	for _, a := range []netip.Addr{m.record.IPv4, m.record.IPv6} {
		if a.IsValid() {
			out = append(out, hal.Route{Table: hal.MainTable, Dst: netip.PrefixFrom(a, a.BitLen()), Dev: m.relay.c.Device, MTU: m.mtu, Protocol: hal.RouteProtocol})
		}
	}
	return out
}
