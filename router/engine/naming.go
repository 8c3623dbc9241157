package engine

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/resolver"
	"github.com/trenza-router/trenza/router/resolver/upstream"
)

// publicDNS serves links of which no name server is known: Quad9 and Cloudflare, which answer everyone.
func publicDNS() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("1.1.1.1")}
}

// newResolver checks that a name server can be made as configured; runResolver makes it.
func (e *Engine) newResolver() error {
	if len(e.config.Resolver.Listen) == 0 {
		return nil
	}
	at, err := config.ParseListen(e.config.Resolver.Listen[0])
	if err != nil {
		return err
	}
	e.redirect, e.resolverPort = e.config.Resolver.Redirected(), at.Port()
	_, err = resolver.New(e.resolverConfig())
	return err
}

func (e *Engine) resolverConfig() resolver.Config {
	c := e.config.Resolver
	var refuse resolver.Refuse
	if c.RefuseBlocked {
		refuse = e.refuseName
	}
	return resolver.Config{
		Refuse: refuse,
		Listen: c.Listen, Sockets: e.machine, Upstreams: e.upstreams, Local: localNames{e}, Log: e.log,
		Observer:    e.learnDNS,
		AllowRebind: c.AllowRebind, RebindNames: c.RebindNames,
		NoBrowserDoH: c.NoBrowserDoH, NoRelay: c.NoPrivateRelay, StripECH: c.StripECH,
	}
}

// runResolver is the task of the name server.
func (e *Engine) runResolver(ctx context.Context) error {
	r, err := resolver.New(e.resolverConfig())
	if err != nil {
		return err
	}
	e.resolver.Store(r)
	defer e.resolver.Store(nil)
	return r.Run(ctx)
}

// upstreams lists the name servers of the links, those of the best usable link first.
func (e *Engine) upstreams() []resolver.Upstream {
	links := e.planLinks()
	order := slices.Clone(e.wans)
	at := func(w *wan) int { return slices.Index(e.wans, w) }
	rank := func(w *wan) int {
		l := links[at(w)]
		r := int(l.Role)
		if l.Degraded {
			r += 10
		}
		return r
	}
	order = slices.DeleteFunc(order, func(w *wan) bool {
		l := links[at(w)]
		return !l.Usable || l.OverQuota || l.Role == flow.Never
	})
	slices.SortStableFunc(order, func(a, b *wan) int { return cmp.Compare(rank(a), rank(b)) })
	var out []resolver.Upstream
	for _, w := range order {
		for _, s := range w.nameServers(e.config.Resolver.Upstreams) {
			out = append(out, resolver.Upstream{Server: s, Via: w.via(), Link: w.config.Name})
		}
	}
	return out
}

// nameServers are those stated for the link, else those stated for all links, else those of its lease. Stated ones are never mixed
// with others: who states encrypted ones does not want to be asked elsewhere.
func (w *wan) nameServers(ofAll []upstream.Server) []upstream.Server {
	if len(w.config.DNS) > 0 {
		return w.config.DNS
	}
	if len(ofAll) > 0 {
		return ofAll
	}
	addrs := publicDNS()
	w.mu.Lock()
	switch {
	case len(w.lease.DNS) > 0:
		addrs = w.lease.DNS
	case len(w.slot.device.DNS) > 0:
		addrs = w.slot.device.DNS
	}
	w.mu.Unlock()
	out := make([]upstream.Server, len(addrs))
	for i, a := range addrs {
		out[i] = upstream.PlainAt(a)
	}
	return out
}

// localNames answers for the house's own devices.
type localNames struct{ e *Engine }

// Addrs are the addresses of a device by host name or id; "router" is the router itself.
func (l localNames) Addrs(name string) []netip.Addr {
	if name == "router" {
		return l.e.ownAddrs()
	}
	for _, d := range l.e.hosts.Devices() {
		if strings.EqualFold(d.Hostname, name) || d.ID == name {
			return d.Addrs
		}
	}
	return nil
}

// Name is the name of the device with an address.
func (l localNames) Name(addr netip.Addr) string {
	if slices.Contains(l.e.ownAddrs(), addr) {
		return "router"
	}
	d, _ := l.e.hosts.ByAddr(addr)
	return cmp.Or(strings.ToLower(d.Hostname), d.ID)
}

// ownAddrs are the router's addresses on the LAN.
func (e *Engine) ownAddrs() []netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []netip.Addr
	for _, l := range e.config.LAN {
		out = append(out, e.lan[l.Device].own...)
	}
	return out
}

// lookup asks our own name server in nobody's name; nil when it is off or has no answer.
func (e *Engine) lookup(ctx context.Context, name string) []netip.Addr {
	r := e.resolver.Load()
	if r == nil {
		return nil
	}
	var out []netip.Addr
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		q := new(dns.Msg)
		q.SetQuestion(dns.Fqdn(name), qtype)
		answer := r.Answer(ctx, netip.AddrPort{}, q)
		if answer == nil {
			continue
		}
		for _, rr := range answer.Answer {
			switch rr := rr.(type) {
			case *dns.A:
				if a, ok := netip.AddrFromSlice(rr.A.To4()); ok {
					out = append(out, a)
				}
			case *dns.AAAA:
				if a, ok := netip.AddrFromSlice(rr.AAAA); ok {
					out = append(out, a)
				}
			}
		}
	}
	return out
}
