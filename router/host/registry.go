package host

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

const (
	newDevices   = 32              // strangers that become devices at once ...
	newDeviceGap = 2 * time.Second // ... and then one per
	newAddrs     = MaxAddrs        // addresses of one device at once ...
	newAddrGap   = 5 * time.Second // ... and then one per
	proofLasts   = 5 * time.Minute // a packet cannot take away an address proved this recently
	restless     = time.Hour       // a device unseen for less keeps its number from strangers
	restlessMin  = 2 * time.Minute // ... and from devices that a lease or the policy vouches for
	forgetAddr   = 48 * time.Hour  // an address unseen for longer is dropped
)

// Options say what a registry works with.
type Options struct {
	LAN    []string       // names of the LAN interfaces
	Known  []store.Device // from the store, at start
	Keeper Keeper         // nil: nothing is kept
	Log    *slog.Logger   // nil: silent
}

// ChangeKind says what became of a device.
type ChangeKind uint8

const (
	Added   ChangeKind = iota
	Changed            // an id, name, MAC, address or owner
	Removed            // its number was taken back or it was joined with another
)

// Change is told to OnChange. Old is set for Changed and Removed.
type Change struct {
	Kind        ChangeKind
	Device, Old Device
}

// Registry holds the devices. Its methods are safe for concurrent use.
type Registry struct {
	log     *slog.Logger
	keeper  Keeper
	vendors vendors

	mu       sync.Mutex
	lan      map[string][]netip.Prefix // interface -> networks; none known: every address counts
	own      map[netip.Addr]bool       // the router's own addresses
	ownMACs  map[flow.MAC]bool
	number   map[flow.DeviceID]*entry
	mac      map[flow.MAC]*entry
	addr     map[netip.Addr]*entry
	id       map[string]*entry
	fresh    bucket
	changes  []Change // made under mu, told after it
	unsaved  map[flow.DeviceID]bool
	renamed  []rename
	wakeSave chan struct{}
	rescan   chan struct{}

	callbackMu sync.Mutex
	callbacks  map[int]func([]Change)
	callbackID int
}

// New returns a registry with the devices that are known from earlier runs.
func New(o Options) *Registry {
	r := &Registry{log: o.Log, keeper: o.Keeper, vendors: newVendors(),
		lan: map[string][]netip.Prefix{}, own: map[netip.Addr]bool{}, ownMACs: map[flow.MAC]bool{},
		number: map[flow.DeviceID]*entry{}, mac: map[flow.MAC]*entry{}, addr: map[netip.Addr]*entry{}, id: map[string]*entry{},
		unsaved: map[flow.DeviceID]bool{}, wakeSave: make(chan struct{}, 1), rescan: make(chan struct{}, 1), callbacks: map[int]func([]Change){}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	for _, name := range o.LAN {
		r.lan[name] = nil
	}
	for _, d := range o.Known {
		if d.Number < 1 || d.Number > flow.MaxDevice || d.ID == "" || r.number[d.Number] != nil || r.id[d.ID] != nil {
			continue
		}
		e := &entry{number: d.Number, id: d.ID, hostname: cleanHostname(d.Hostname), iface: d.Interface, first: d.FirstSeen, last: d.LastSeen,
			saved: d.LastSeen, confirmed: d.Hostname != "" || d.Name != "", wasNamed: d.Name != "", addrs: map[netip.Addr]*address{}}
		for _, m := range d.MACs {
			if r.mac[m] == nil {
				e.macs = append(e.macs, m)
				r.mac[m] = e
			}
		}
		r.number[e.number], r.id[e.id] = e, e
	}
	return r
}

// Observe notes that a packet with this source came in over an interface. It returns the device, or false when the source is
// not on the LAN, not a device's, or a stranger among too many.
func (r *Registry) Observe(mac flow.MAC, addr netip.Addr, iface string, now time.Time) (Device, bool) {
	return r.see(mac, addr, iface, byPacket, now)
}

// see is Observe for any evidence; the neighbour table also calls it.
func (r *Registry) see(mac flow.MAC, addr netip.Addr, iface string, ev evidence, now time.Time) (Device, bool) {
	defer r.tell()
	r.mu.Lock()
	defer r.mu.Unlock()
	networks, onLAN := r.lan[iface]
	if !onLAN {
		return Device{}, false
	}
	addr = addr.Unmap().WithZone("")
	if e := r.addr[addr]; e != nil && slices.Contains(e.pinned, addr) {
		e.seen(iface, now)
		return e.device(r.vendors), true
	}
	e := r.byMAC(mac, ev > byNeighbour, now)
	if e == nil {
		return Device{}, false
	}
	e.seen(iface, now)
	if r.countable(addr, networks) {
		r.giveAddr(e, addr, ev, now)
	}
	return e.device(r.vendors), true
}

func (e *entry) seen(iface string, now time.Time) {
	if e.iface != iface {
		e.iface, e.view = iface, nil
	}
	if e.first.IsZero() {
		e.first, e.view = now, nil
	}
	if now.After(e.last) {
		e.last = now
	}
}

// countable tells whether an address can be a LAN device's own. One that no network of the interface covers belongs to
// something behind that device, which is not told apart from it.
func (r *Registry) countable(a netip.Addr, networks []netip.Prefix) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || r.own[a] {
		return false
	}
	return len(networks) == 0 || a.IsLinkLocalUnicast() || slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// byMAC finds the device of a MAC or makes one; nil when that is not possible. The caller holds mu.
func (r *Registry) byMAC(mac flow.MAC, vouched bool, now time.Time) *entry {
	if mac.IsZero() || mac[0]&1 != 0 || r.ownMACs[mac] { // unknown, a group address, or the router itself
		return nil
	}
	if e := r.mac[mac]; e != nil {
		return e
	}
	if !vouched && !r.fresh.take(now, newDevices, newDeviceGap) {
		return nil
	}
	e := r.newEntry(vouched, now)
	if e == nil {
		return nil
	}
	e.macs = []flow.MAC{mac}
	r.mac[mac] = e
	r.giveID(e, e.wish())
	r.changes = append(r.changes, Change{Kind: Added, Device: e.device(r.vendors)})
	return e
}

// newEntry takes a free number, or the number of a device that can be forgotten; nil when there is none.
func (r *Registry) newEntry(vouched bool, now time.Time) *entry {
	e := &entry{first: now, last: now, confirmed: vouched, addrs: map[netip.Addr]*address{}}
	for n := flow.DeviceID(1); n <= flow.MaxDevice; n++ {
		if r.number[n] == nil {
			e.number = n
			r.number[n] = e
			return e
		}
	}
	rest := restless
	if vouched {
		rest = restlessMin
	}
	var oldest *entry
	for _, o := range r.number {
		if o.named || now.Sub(o.last) < rest {
			continue
		}
		if oldest == nil || cmp.Or(compareBool(o.confirmed, oldest.confirmed), o.last.Compare(oldest.last), cmp.Compare(o.number, oldest.number)) < 0 {
			oldest = o
		}
	}
	if oldest == nil {
		return nil
	}
	r.forget(oldest)
	e.number = oldest.number
	r.number[e.number] = e
	return e
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// forget removes a device.
func (r *Registry) forget(e *entry) {
	r.changes = append(r.changes, Change{Kind: Removed, Old: e.device(r.vendors)})
	for _, m := range e.macs {
		delete(r.mac, m)
	}
	for a := range e.addrs {
		delete(r.addr, a)
	}
	delete(r.id, e.id)
	delete(r.number, e.number)
	r.unsaved[e.number] = true
}

// giveID names a device: the id wished for, or with a number behind it when somebody else has it.
func (r *Registry) giveID(e *entry, wish string) {
	id := wish
	for i := 2; r.id[id] != nil && r.id[id] != e; i++ {
		id = fmt.Sprintf("%s-%d", wish, i)
	}
	if id == e.id {
		return
	}
	if e.id != "" {
		delete(r.id, e.id)
		r.renamed = append(r.renamed, rename{e.id, id})
	}
	e.id, e.view = id, nil
	r.id[id] = e
}

// giveAddr notes that an address is a device's.
func (r *Registry) giveAddr(e *entry, a netip.Addr, ev evidence, now time.Time) {
	if have := e.addrs[a]; have != nil {
		have.seen = now
		if ev > byPacket {
			have.evidence, have.proved = max(have.evidence, ev), now
		}
		return
	}
	if other := r.addr[a]; other != nil {
		if slices.Contains(other.pinned, a) || ev == byPacket && now.Sub(other.addrs[a].proved) < proofLasts {
			return
		}
	}
	if ev < byLease && !e.fresh.take(now, newAddrs, newAddrGap) {
		return
	}
	old := e.device(r.vendors)
	if other := r.addr[a]; other != nil {
		was := other.device(r.vendors)
		delete(other.addrs, a)
		r.changed(other, was)
	}
	n := &address{seen: now, evidence: ev}
	if ev > byPacket {
		n.proved = now
	}
	e.addrs[a], r.addr[a] = n, e
	r.trimAddrs(e, now)
	r.changed(e, old)
}

// trimAddrs drops addresses long unseen, and the longest unseen above the limit. The policy's stay.
func (r *Registry) trimAddrs(e *entry, now time.Time) {
	drop := func(a netip.Addr) { delete(e.addrs, a); delete(r.addr, a) }
	for a, v := range e.addrs {
		if v.evidence != byPolicy && now.Sub(v.seen) > forgetAddr {
			drop(a)
		}
	}
	for len(e.addrs) > MaxAddrs+len(e.pinned) {
		drop(slices.MinFunc(slices.Collect(maps.Keys(e.addrs)), func(a, b netip.Addr) int {
			x, y := e.addrs[a], e.addrs[b]
			return cmp.Or(compareBool(x.evidence == byPolicy, y.evidence == byPolicy), x.seen.Compare(y.seen), cmp.Compare(x.evidence, y.evidence), a.Compare(b))
		}))
	}
}

// changed notes a change of e, which was old before.
func (r *Registry) changed(e *entry, old Device) {
	e.view = nil
	r.changes = append(r.changes, Change{Kind: Changed, Device: e.device(r.vendors), Old: old})
}

// Devices lists all devices by number.
func (r *Registry) Devices() []Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Device, 0, len(r.number))
	for _, n := range slices.Sorted(maps.Keys(r.number)) {
		list = append(list, r.number[n].device(r.vendors))
	}
	return list
}

// ByMAC finds a device by one of its MACs.
func (r *Registry) ByMAC(mac flow.MAC) (Device, bool) {
	return find(r, func() *entry { return r.mac[mac] })
}

// ByAddr finds a device by one of its addresses; a zone is ignored.
func (r *Registry) ByAddr(a netip.Addr) (Device, bool) {
	return find(r, func() *entry { return r.addr[a.Unmap().WithZone("")] })
}

// ByID finds a device by its id.
func (r *Registry) ByID(id string) (Device, bool) { return find(r, func() *entry { return r.id[id] }) }

// ByNumber finds a device by the number in a mark.
func (r *Registry) ByNumber(n flow.DeviceID) (Device, bool) {
	return find(r, func() *entry { return r.number[n] })
}

func find(r *Registry, f func() *entry) (Device, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := f()
	if e == nil {
		return Device{}, false
	}
	return e.device(r.vendors), true
}

// Find finds a device by what a person may type: an id, a MAC, an address, a host name or a name.
func (r *Registry) Find(text string) (Device, bool) {
	text = strings.TrimSpace(text)
	if d, ok := r.ByID(text); ok {
		return d, true
	}
	if mac, err := flow.ParseMAC(text); err == nil {
		return r.ByMAC(mac)
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return r.ByAddr(a)
	}
	for _, d := range r.Devices() {
		if text != "" && (strings.EqualFold(d.Hostname, text) || strings.EqualFold(d.Name, text) || strings.EqualFold(d.ID, text)) {
			return d, true
		}
	}
	return Device{}, false
}

// OnChange calls f with each batch of changes until cancel is called. f must not block and must not call a method that learns
// (Observe, Lease, SetNamed).
func (r *Registry) OnChange(f func([]Change)) (cancel func()) {
	r.callbackMu.Lock()
	defer r.callbackMu.Unlock()
	n := r.callbackID
	r.callbackID++
	r.callbacks[n] = f
	return func() {
		r.callbackMu.Lock()
		defer r.callbackMu.Unlock()
		delete(r.callbacks, n)
	}
}

// tell hands the changes made under mu to the callbacks, in order, and has them saved.
func (r *Registry) tell() {
	r.mu.Lock()
	idle := len(r.changes) == 0 && len(r.renamed) == 0
	r.mu.Unlock()
	if idle {
		return
	}
	r.callbackMu.Lock()
	defer r.callbackMu.Unlock()
	r.mu.Lock()
	changes := r.changes
	r.changes = nil
	for _, c := range changes {
		if c.Kind == Added || c.Kind == Changed && kept(c.Device, c.Old) {
			r.unsaved[c.Device.Number] = true
		}
	}
	r.mu.Unlock()
	select {
	case r.wakeSave <- struct{}{}:
	default:
	}
	if len(changes) == 0 {
		return
	}
	for _, n := range slices.Sorted(maps.Keys(r.callbacks)) {
		r.callbacks[n](changes)
	}
}

// kept tells whether a change touches what the store keeps, except the time of being seen, which is noted rarely.
func kept(is, was Device) bool {
	is.LastSeen, was.LastSeen = time.Time{}, time.Time{}
	return !reflect.DeepEqual(record(is), record(was))
}
