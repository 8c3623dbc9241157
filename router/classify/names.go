package classify

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/lru"
)

// Bounds of the knowledge. The kernel's maps hold 65,536 elements each; both families share ours.
const (
	maxNames    = 60_000
	maxServices = 16_384
	maxAddrs    = 32_768
	maxFlows    = 8_192
	maxAsked    = 16_384
	maxSeers    = 512 // of one address: all devices of a house
)

// How long knowledge lives. Programs use an address for longer than its DNS record says: a browser keeps its
// own cache, an app resolves once at start.
const (
	minNameLife = 15 * time.Minute
	maxNameLife = 24 * time.Hour
	seenLife    = time.Hour
	learnedLife = time.Hour
	sharedLife  = 6 * time.Hour
	flowLife    = 10 * time.Minute
	nextLife    = time.Minute
)

// Names is what the router has learned about names and addresses.
type Names struct {
	catalog  *catalog.Catalog
	interner *Interner

	mu       sync.Mutex
	names    *lru.Map[nameKey, name]
	services *lru.Map[serviceKey, name]
	addrs    *lru.Map[netip.Addr, use]
	flows    *lru.Map[flow.Key, wire]
	asked    *lru.Map[question, time.Time] // until when it counts

	alone     bool // nobody wants Changes
	readable  map[spoken]bool
	resolvers hostSet
}

// name is what an address stands for: a host, or without one an application that alone speaks what was spoken there.
type name struct {
	host    string
	app     string
	label   flow.Label
	seen    bool // from the wire; else from DNS
	mixed   bool // from DNS, and before it expires another application's name stood here
	expires time.Time
}

// question is a name that a device asked for.
type question struct {
	device flow.DeviceID
	host   string
}

// use is what an address was seen to serve, for all devices together.
type use struct {
	host     string // one of them
	class    flow.NameClass
	shared   bool // hosts of different classes
	expires  time.Time
	services []serviceKey    // learned at this address
	seers    []flow.DeviceID // that were taught a name here by sight
}

// wire is what a flow said of itself.
type wire struct {
	said    dpi.Finding
	expires time.Time
}

// NewNames makes an empty memory.
func NewNames(c *catalog.Catalog, in *Interner) *Names {
	return &Names{
		catalog: c, interner: in,
		names:    lru.New[nameKey, name](maxNames),
		services: lru.New[serviceKey, name](maxServices),
		addrs:    lru.New[netip.Addr, use](maxAddrs),
		flows:    lru.New[flow.Key, wire](maxFlows),
		asked:    lru.New[question, time.Time](maxAsked),
		readable: readableProtocols(), resolvers: newHostSet(publicResolvers()),
	}
}

// NewNamesAlone is NewNames for knowledge that no kernel is told of and that is asked with Recall and Judge only: Changes stay empty, and
// Identify does not know what flows said themselves.
func NewNamesAlone(c *catalog.Catalog, in *Interner) *Names {
	n := NewNames(c, in)
	n.alone = true
	return n
}

// LearnDNS notes that a device was given addresses for a host, and returns what the kernel must be told before the answer is
// released. Nothing is returned for what the kernel knows already.
func (n *Names) LearnDNS(device flow.DeviceID, host string, addrs []netip.Addr, ttl time.Duration, now time.Time) Changes {
	var c Changes
	host, ok := flow.CleanHost(host)
	if !ok {
		return c
	}
	label := n.interner.Label(host)
	life := min(max(ttl, minNameLife), maxNameLife)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked.Put(question{device, host}, now.Add(life))
	for _, addr := range addrs {
		if addr = addr.Unmap().WithZone(""); !routable(addr) {
			continue
		}
		n.note(&c, addr, host, label.NameClass(), now)
		key := nameKey{device, addr}
		e := n.names.Get(key)
		if e != nil && e.host == host && e.label == label && !e.seen && e.expires.Sub(now) > life/2 {
			continue
		}
		mixed := e != nil && !e.seen && now.Before(e.expires) && (e.label.NameClass() != label.NameClass() || e.mixed && e.host == host)
		n.putName(&c, key, name{host: host, label: label, mixed: mixed, expires: now.Add(life)}, now)
	}
	return c
}

// LearnWire notes what a flow said of itself. A name teaches the kernel what the address is for the device, unless DNS told this
// device another name for it: the latest answer holds. And it teaches it for everyone, unless the hello was an encrypted one, whose outer
// name may be that of a front. Where different applications share an address neither is taught.
func (n *Names) LearnWire(device flow.DeviceID, f dpi.Finding, now time.Time) Changes {
	var c Changes
	host, named := flow.CleanHost(f.Host)
	f.Host = host
	addr := f.Key.Dst.Addr().Unmap().WithZone("")
	if !named && f.Protocol == dpi.Unknown || !routable(addr) {
		return c
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.alone {
		n.flows.Put(f.Key, wire{said: f, expires: now.Add(flowLife)})
	}
	if !f.NamesServer() {
		n.learnProtocol(&c, f, now)
		return c
	}
	label := n.interner.Label(host)
	if n.note(&c, addr, host, label.NameClass(), now) {
		return c
	}
	key := nameKey{device, addr}
	e := n.names.Get(key)
	if e == nil || e.seen || !now.Before(e.expires) {
		if e == nil || e.host != host || e.label != label || e.expires.Sub(now) < seenLife/2 {
			if u := n.addrs.Peek(addr); slices.Contains(u.seers, device) || len(u.seers) < maxSeers {
				n.putName(&c, key, name{host: host, label: label, seen: true, expires: now.Add(seenLife)}, now)
				if !slices.Contains(u.seers, device) {
					u.seers = append(u.seers, device)
				}
			}
		}
	}
	if !f.ECH && !f.Front && label.NameClass() != 0 {
		n.putService(&c, serviceKey{addr, f.Key.Proto, f.Key.Dst.Port()}, name{host: host, label: label, seen: true, expires: now.Add(learnedLife)}, now)
	}
	return c
}

// LearnNext notes what the next flow of the device to the address of this one is: the one that follows a flow which was ended because it named itself too
// late, or this one itself while its first packets are held. Unlike what LearnWire teaches this holds for a shared address, too, and against what DNS said,
// but not for long.
func (n *Names) LearnNext(device flow.DeviceID, f dpi.Finding, now time.Time) Changes {
	var c Changes
	host, named := flow.CleanHost(f.Host)
	addr := f.Key.Dst.Addr().Unmap().WithZone("")
	if !named || !f.NamesServer() || !routable(addr) {
		return c
	}
	label := n.interner.Label(host)
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.names.Get(nameKey{device, addr}); e == nil || e.host != host || e.label != label || e.expires.Sub(now) < nextLife {
		n.putName(&c, nameKey{device, addr}, name{host: host, label: label, seen: true, expires: now.Add(nextLife)}, now)
	}
	return c
}

// sureEnough is the confidence of a finding that others are taught by.
const sureEnough = 80

// learnProtocol teaches everyone that an application is at an address, protocol and port, when the flow speaks what only that application
// does. What a host's name told of it prevails.
func (n *Names) learnProtocol(c *Changes, f dpi.Finding, now time.Time) {
	app, ok := n.catalog.Protocol(f.Protocol.String())
	if !ok || f.Confidence < sureEnough {
		return
	}
	key := serviceKey{f.Key.Dst.Addr().Unmap().WithZone(""), f.Key.Proto, f.Key.Dst.Port()}
	if e := n.services.Peek(key); e != nil && e.host != "" && now.Before(e.expires) {
		return
	}
	v := name{app: app.ID, seen: true, expires: now.Add(learnedLife)}
	v.label = n.labelOf(v)
	if v.label.NameClass() != 0 {
		n.putService(c, key, v, now)
	}
}

// labelOf is what the kernel is told about a name.
func (n *Names) labelOf(v name) flow.Label {
	if v.host == "" {
		return flow.MakeLabel(n.interner.AppClass(v.app), 0)
	}
	return n.interner.Label(v.host)
}

// wasAsked tells that a device was given addresses for that very name not long ago: then a name in a hello is no cover for another.
func (n *Names) wasAsked(device flow.DeviceID, host string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	until := n.asked.Peek(question{device, host})
	return until != nil && now.Before(*until)
}

// routable tells whether an address can be the far end of a flow that is steered.
func routable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// note records that an address serves a host and tells whether it is shared: by hosts of different classes, or by those of a content
// network. When it becomes so, what was concluded from the address is dropped. The caller holds the lock.
func (n *Names) note(c *Changes, addr netip.Addr, host string, class flow.NameClass, now time.Time) (shared bool) {
	u := n.addrs.Get(addr)
	if u == nil {
		if n.addrs.Full() {
			old, v, _ := n.addrs.Oldest()
			n.dropTaught(c, old, v)
			n.addrs.Delete(old)
		}
		shared = n.isInfrastructure(host)
		n.addrs.Put(addr, use{host: host, class: class, shared: shared, expires: now.Add(sharedLife)})
		return shared
	}
	if !now.Before(u.expires) { // what was long ago may have moved
		u.host, u.class, u.shared = host, class, n.isInfrastructure(host)
	}
	if u.shared {
		if u.class != class || u.host == host {
			u.expires = now.Add(sharedLife)
		}
		return true
	}
	u.expires = now.Add(sharedLife)
	if u.class == class { // so it is no content network's either
		return false
	}
	u.shared = true
	n.dropTaught(c, addr, u)
	return true
}

func (n *Names) isInfrastructure(host string) bool {
	app, ok := n.catalog.Lookup(host)
	return ok && app.Shared()
}

// dropTaught takes back what was concluded from the address alone.
func (n *Names) dropTaught(c *Changes, addr netip.Addr, u *use) {
	for _, k := range u.services {
		if n.services.Delete(k) {
			tellDelete(n, c, k)
		}
	}
	for _, device := range u.seers {
		k := nameKey{device, addr}
		if e := n.names.Peek(k); e != nil && e.seen {
			n.names.Delete(k)
			tellDelete(n, c, k)
		}
	}
	u.services, u.seers = nil, nil
}

// putName and putService store an entry and tell the kernel; the entry that had to leave is deleted there too.
func (n *Names) putName(c *Changes, k nameKey, v name, now time.Time) {
	if n.names.Full() && n.names.Peek(k) == nil {
		old, _, _ := n.names.Oldest()
		n.names.Delete(old)
		tellDelete(n, c, old)
	}
	n.names.Put(k, v)
	tellSet(n, c, k, &v, now)
}

func (n *Names) putService(c *Changes, k serviceKey, v name, now time.Time) {
	if e := n.services.Get(k); e != nil && e.label == v.label && e.expires.Sub(now) > learnedLife/2 {
		return
	}
	if n.services.Full() && n.services.Peek(k) == nil {
		old, _, _ := n.services.Oldest()
		n.services.Delete(old)
		tellDelete(n, c, old)
	}
	n.services.Put(k, v)
	if u := n.addrs.Peek(k.addr); u != nil && v.host != "" && !slices.Contains(u.services, k) {
		u.services = append(u.services, k)
	}
	tellSet(n, c, k, &v, now)
}

// Adopt takes over what the kernel's map of that name holds, at start: traffic was judged by it while nobody was there. It
// returns the elements whose label is another one now, and deletes those that cannot be read.
func (n *Names) Adopt(set string, elements []hal.Element, now time.Time) Changes {
	var c Changes
	for _, e := range elements {
		host, ok := flow.CleanHost(e.Comment)
		app, isApp := strings.CutPrefix(e.Comment, appComment)
		if !isApp {
			app = ""
		}
		left := e.Expires
		if left <= 0 {
			left = e.Timeout
		}
		left = min(left, maxNameLife)
		if !ok && !isApp || left <= 0 {
			c.delete(set, e.Key)
			continue
		}
		v := name{host: host, app: app, expires: now.Add(left)}
		v.label = n.labelOf(v)
		if !n.adopt(&c, set, e, v, now) {
			c.delete(set, e.Key)
		} else if flow.Label(e.Value) != v.label {
			c.set(set, hal.Element{Key: e.Key, Value: uint32(v.label), Timeout: left, Comment: e.Comment})
		}
	}
	return c
}

func (n *Names) adopt(c *Changes, set string, e hal.Element, v name, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch set {
	case Names4, Names6:
		k, ok := nameKeyOf(e)
		if !ok || k.set() != set || n.names.Full() || v.host == "" {
			return false
		}
		n.note(c, k.addr, v.host, v.label.NameClass(), now)
		n.names.Put(k, v)
	case Learned4, Learned6:
		k, ok := serviceKeyOf(e)
		if !ok || k.set() != set || n.services.Full() || v.label.NameClass() == 0 {
			return false
		}
		if v.host != "" && n.note(c, k.addr, v.host, v.label.NameClass(), now) {
			return false
		}
		v.seen = true
		n.services.Put(k, v)
		if u := n.addrs.Peek(k.addr); u != nil && v.host != "" {
			u.services = append(u.services, k)
		}
	default:
		return false
	}
	return true
}

// Relabel brings all labels up to date after Interner.SetSelectors and returns the elements that changed.
func (n *Names) Relabel(now time.Time) Changes { return n.refresh(now, false) }

// Elements returns all that the kernel's maps should hold: after another program deleted them.
func (n *Names) Elements(now time.Time) Changes { return n.refresh(now, true) }

func (n *Names) refresh(now time.Time, all bool) Changes {
	var c Changes
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs.All(func(_ netip.Addr, u *use) bool {
		u.class, _ = n.interner.Intern(u.host)
		return true
	})
	n.names.All(func(k nameKey, v *name) bool {
		if !now.Before(v.expires) {
			n.names.Delete(k)
		} else if label := n.labelOf(*v); all || label != v.label {
			v.label = label
			c.set(k.set(), v.element(k.key(), now))
		}
		return true
	})
	n.services.All(func(k serviceKey, v *name) bool {
		switch label := n.labelOf(*v); {
		case !now.Before(v.expires):
			n.services.Delete(k)
		case label.NameClass() == 0:
			n.services.Delete(k)
			c.delete(k.set(), k.key())
		case all || label != v.label:
			v.label = label
			c.set(k.set(), v.element(k.key(), now))
		}
		return true
	})
	return c
}

// Forget drops what is known of a device's names: its number goes to another one.
func (n *Names) Forget(device flow.DeviceID) Changes {
	var c Changes
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names.All(func(k nameKey, _ *name) bool {
		if k.device == device {
			n.names.Delete(k)
			c.delete(k.set(), k.key())
		}
		return true
	})
	return c
}

// Len is the number of names known for devices and for everyone.
func (n *Names) Len() (names, services int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.names.Len(), n.services.Len()
}
