package classify

import (
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/flow"
)

// Identity is what a flow is, as far as is known.
type Identity struct {
	Host       string
	App        string // catalogue id; "" when no application is known
	Category   string // catalogue id
	Class      flow.NameClass
	Confidence int    // 0 to 100; 0: nothing is known
	Reason     string // one plain sentence
}

// Confidence of each kind of knowledge, see the package's documentation.
const (
	sureWire    = 95
	sureDNS     = 90
	sureSeen    = 80
	sureLearned = 65
	sureECH     = 60
	surePrefix  = 40
	surePort    = 20
)

// PortOnly is the confidence of an answer that only a port suggests: good enough to show, not to decide by. The kernel's maps
// do not know it.
const PortOnly = surePort

// Identify says what a device's flow is, by the best knowledge there is at that time.
func (n *Names) Identify(device flow.DeviceID, key flow.Key, now time.Time) Identity {
	host, confidence, reason := n.hostOf(device, key, now)
	if confidence > 0 {
		id := Identity{Host: host, Confidence: confidence, Reason: reason}
		id.Class, _ = n.interner.Intern(host)
		if app, ok := n.catalog.Lookup(host); ok {
			id.App, id.Category = app.ID, app.Category
		}
		return id
	}
	if app, ok := n.catalog.Prefix(key.Dst.Addr()); ok {
		return n.byApp(app, surePrefix, fmt.Sprintf("the address %s belongs to %s", key.Dst.Addr(), app.Names.EN))
	}
	if app, ok := n.catalog.Port(key.Proto, key.Dst.Port()); ok {
		return n.byApp(app, surePort, fmt.Sprintf("%s port %d is usual for %s", key.Proto, key.Dst.Port(), app.Names.EN))
	}
	return Identity{Reason: fmt.Sprintf("nothing is known about %s", key.Dst)}
}

func (n *Names) byApp(a catalog.App, confidence int, reason string) Identity {
	return Identity{App: a.ID, Category: a.Category, Class: n.interner.AppClass(a.ID), Confidence: confidence, Reason: reason}
}

// hostOf goes through what is known of host names, in the order of trust; confidence 0 is nothing.
func (n *Names) hostOf(device flow.DeviceID, key flow.Key, now time.Time) (host string, confidence int, reason string) {
	addr := key.Dst.Addr().Unmap().WithZone("")
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.flows.Peek(key)
	if w != nil && !now.Before(w.expires) {
		w = nil
	}
	e := n.names.Peek(nameKey{device, addr})
	if e != nil && !now.Before(e.expires) {
		e = nil
	}
	switch {
	case w != nil && !w.ech:
		return w.host, sureWire, fmt.Sprintf("the flow itself named %s (%s)", w.host, w.source)
	case w != nil && e != nil && !e.seen && e.host == w.host:
		return w.host, sureWire, fmt.Sprintf("the flow itself named %s (%s), and so did the DNS answer", w.host, w.source)
	case w != nil && (e == nil || e.seen):
		return w.host, sureECH, fmt.Sprintf("the flow named %s (%s), but its hello may hide another name", w.host, w.source)
	case e != nil && !e.seen:
		return e.host, sureDNS, fmt.Sprintf("this device was given %s for %s", addr, e.host)
	case e != nil:
		return e.host, sureSeen, fmt.Sprintf("this device named %s at %s before", e.host, addr)
	}
	s := n.services.Peek(serviceKey{addr, key.Proto, key.Dst.Port()})
	if s != nil && now.Before(s.expires) {
		return s.host, sureLearned, fmt.Sprintf("other flows to %s %s named %s", key.Proto, key.Dst, s.host)
	}
	return "", 0, ""
}
