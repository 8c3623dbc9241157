package classify

import (
	"net/netip"
	"slices"
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
}

// name is a host that an address stands for.
type name struct {
	host    string
	label   flow.Label
	seen    bool // from the wire; else from DNS
	expires time.Time
}

// use is what an address was seen to serve, for all devices together.
type use struct {
	host     string // one of them
	class    flow.NameClass
	shared   bool // hosts of different classes
	expires  time.Time
	services []serviceKey // learned at this address
}

// wire is what a flow said of itself.
type wire struct {
	host    string
	source  dpi.Source
	ech     bool
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
	}
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
	for _, addr := range addrs {
		if addr = addr.Unmap().WithZone(""); !routable(addr) {
			continue
		}
		n.note(&c, addr, host, label.NameClass(), now)
		key := nameKey{device, addr}
		if e := n.names.Get(key); e != nil && e.host == host && e.label == label && !e.seen && e.expires.Sub(now) > life/2 {
			continue
		}
		n.putName(&c, key, name{host: host, label: label, expires: now.Add(life)}, now)
	}
	return c
}

// LearnWire notes what a flow said of itself. It teaches the kernel the name for the device, unless DNS told this
// device another name for the address: the latest answer holds. And it teaches it for everyone, unless the address is
// shared by different applications or the hello was an encrypted one, whose outer name may be that of a front.
func (n *Names) LearnWire(device flow.DeviceID, f dpi.Finding, now time.Time) Changes {
	var c Changes
	host, ok := flow.CleanHost(f.Host)
	addr := f.Key.Dst.Addr().Unmap().WithZone("")
	if !ok || !routable(addr) {
		return c
	}
	label := n.interner.Label(host)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flows.Put(f.Key, wire{host: host, source: f.Source, ech: f.ECH, expires: now.Add(flowLife)})
	key := nameKey{device, addr}
	e := n.names.Get(key)
	if e == nil || e.seen || !now.Before(e.expires) {
		if e == nil || e.host != host || e.label != label || e.expires.Sub(now) < seenLife/2 {
			n.putName(&c, key, name{host: host, label: label, seen: true, expires: now.Add(seenLife)}, now)
		}
	}
	if f.ECH {
		return c
	}
	if shared := n.note(&c, addr, host, label.NameClass(), now); shared || label.NameClass() == 0 {
		return c
	}
	n.putService(&c, serviceKey{addr, f.Key.Proto, f.Key.Dst.Port()}, name{host: host, label: label, seen: true, expires: now.Add(learnedLife)}, now)
	return c
}

// routable tells whether an address can be the far end of a flow that is steered.
func routable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// note records that an address serves a host and tells whether it is shared by different classes. When it becomes so,
// what was learned for everyone there is dropped. The caller holds the lock.
func (n *Names) note(c *Changes, addr netip.Addr, host string, class flow.NameClass, now time.Time) (shared bool) {
	u := n.addrs.Get(addr)
	if u == nil {
		if n.addrs.Full() {
			old, v, _ := n.addrs.Oldest()
			n.dropServices(c, v)
			n.addrs.Delete(old)
		}
		n.addrs.Put(addr, use{host: host, class: class, expires: now.Add(sharedLife)})
		return false
	}
	if !now.Before(u.expires) { // what was long ago may have moved
		u.host, u.class, u.shared = host, class, false
	}
	if u.shared {
		if u.class != class {
			u.expires = now.Add(sharedLife)
		}
		return true
	}
	u.expires = now.Add(sharedLife)
	if u.class == class {
		return false
	}
	u.shared = true
	n.dropServices(c, u)
	return true
}

func (n *Names) dropServices(c *Changes, u *use) {
	for _, k := range u.services {
		if n.services.Delete(k) {
			c.delete(k.set(), k.element("", 0, 0))
		}
	}
	u.services = nil
}

// putName and putService store an entry and tell the kernel; the entry that had to leave is deleted there too.
func (n *Names) putName(c *Changes, k nameKey, v name, now time.Time) {
	if n.names.Full() && n.names.Peek(k) == nil {
		old, _, _ := n.names.Oldest()
		n.names.Delete(old)
		c.delete(old.set(), old.element("", 0, 0))
	}
	n.names.Put(k, v)
	c.set(k.set(), k.element(v.host, v.label, v.expires.Sub(now)))
}

func (n *Names) putService(c *Changes, k serviceKey, v name, now time.Time) {
	if e := n.services.Get(k); e != nil && e.label == v.label && e.expires.Sub(now) > learnedLife/2 {
		return
	}
	if n.services.Full() && n.services.Peek(k) == nil {
		old, _, _ := n.services.Oldest()
		n.services.Delete(old)
		c.delete(old.set(), old.element("", 0, 0))
	}
	n.services.Put(k, v)
	if u := n.addrs.Peek(k.addr); u != nil && !slices.Contains(u.services, k) {
		u.services = append(u.services, k)
	}
	c.set(k.set(), k.element(v.host, v.label, v.expires.Sub(now)))
}

// Adopt takes over what the kernel's map of that name holds, at start: traffic was judged by it while nobody was there. It
// returns the elements whose label is another one now, and deletes those that cannot be read.
func (n *Names) Adopt(set string, elements []hal.Element, now time.Time) Changes {
	var c Changes
	for _, e := range elements {
		host, ok := flow.CleanHost(e.Comment)
		left := e.Expires
		if left <= 0 {
			left = e.Timeout
		}
		left = min(left, maxNameLife)
		if !ok || left <= 0 {
			c.delete(set, e)
			continue
		}
		label := n.interner.Label(host)
		v := name{host: host, label: label, expires: now.Add(left)}
		if !n.adopt(&c, set, e, v, now) {
			c.delete(set, e)
		} else if flow.Label(e.Value) != label {
			c.set(set, hal.Element{Key: e.Key, Value: uint32(label), Timeout: left, Comment: e.Comment})
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
		if !ok || k.set() != set || n.names.Full() {
			return false
		}
		n.note(c, k.addr, v.host, v.label.NameClass(), now)
		n.names.Put(k, v)
	case Learned4, Learned6:
		k, ok := serviceKeyOf(e)
		if !ok || k.set() != set || n.services.Full() || v.label.NameClass() == 0 {
			return false
		}
		if n.note(c, k.addr, v.host, v.label.NameClass(), now) {
			return false
		}
		v.seen = true
		n.services.Put(k, v)
		if u := n.addrs.Peek(k.addr); u != nil {
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
		} else if label := n.interner.Label(v.host); all || label != v.label {
			v.label = label
			c.set(k.set(), k.element(v.host, label, v.expires.Sub(now)))
		}
		return true
	})
	n.services.All(func(k serviceKey, v *name) bool {
		switch label := n.interner.Label(v.host); {
		case !now.Before(v.expires):
			n.services.Delete(k)
		case label.NameClass() == 0:
			n.services.Delete(k)
			c.delete(k.set(), k.element("", 0, 0))
		case all || label != v.label:
			v.label = label
			c.set(k.set(), k.element(v.host, label, v.expires.Sub(now)))
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
			c.delete(k.set(), k.element("", 0, 0))
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
