package host

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

const (
	leaseEvery = time.Second      // a look at the lease files' size and time of change
	scanEvery  = time.Minute      // a look at the whole neighbour table
	retryEvery = 30 * time.Second // to save what could not be saved
	seenEvery  = 10 * time.Minute // to note when devices were last seen
)

// Keeper keeps devices over restarts; *store.Store is one.
type Keeper interface {
	PutDevices(ctx context.Context, list []store.Device) error
	DeleteDevices(ctx context.Context, numbers []flow.DeviceID) error
	RenameDevice(ctx context.Context, from, to string) error
	SeenDevice(number flow.DeviceID, at time.Time)
}

// rename is a change of a device's id, for the usage that is kept under it.
type rename struct{ from, to string }

// Run learns from lease files and the neighbour table, and saves, until the context ends. Whoever watches the machine tells
// Announced and Rescan meanwhile.
func (r *Registry) Run(ctx context.Context, machine hal.Interfaces, leaseFiles []string, now func() time.Time) error {
	var wg sync.WaitGroup
	wg.Go(func() { r.scanMachine(ctx, machine, now) })
	for _, path := range leaseFiles {
		wg.Go(func() { r.watchLeases(ctx, path, now) })
	}
	if r.keeper != nil {
		wg.Go(func() { r.save(ctx, now) })
	}
	wg.Wait()
	return nil
}

// Rescan has Run read interfaces and neighbours anew soon: after an interface changed, or announcements were lost.
func (r *Registry) Rescan() {
	select {
	case r.rescan <- struct{}{}:
	default:
	}
}

// scanMachine reads the interfaces' networks and the neighbour table: now, once a minute, and when Rescan asks for it.
func (r *Registry) scanMachine(ctx context.Context, machine hal.Interfaces, now func() time.Time) {
	tick := time.NewTicker(scanEvery)
	defer tick.Stop()
	for {
		r.scan(ctx, machine, now)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.rescan:
			sleep(ctx, 100*time.Millisecond) // several changes come together
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// scan reads interfaces and neighbours anew.
func (r *Registry) scan(ctx context.Context, machine hal.Interfaces, now func() time.Time) {
	list, err := machine.Interfaces(ctx)
	if err == nil {
		r.SetInterfaces(list)
		var neighbours []hal.Neighbour
		if neighbours, err = machine.Neighbours(ctx); err == nil {
			for _, n := range neighbours {
				r.neighbour(n, now())
			}
		}
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("interfaces and neighbours cannot be read; it is tried again in a minute", "error", err)
	}
}

// SetInterfaces tells the registry the machine's interfaces: the networks of the LAN, and what is the router's own.
func (r *Registry) SetInterfaces(list []hal.Interface) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.own)
	clear(r.ownMACs)
	for name := range r.lan {
		r.lan[name] = nil
	}
	for _, i := range list {
		_, onLAN := r.lan[i.Name]
		if !i.MAC.IsZero() {
			r.ownMACs[i.MAC] = true
		}
		for _, p := range i.Addrs {
			a := p.Addr().Unmap().WithZone("")
			r.own[a] = true
			if onLAN && !a.IsLinkLocalUnicast() {
				if masked, err := a.Prefix(p.Bits()); err == nil {
					r.lan[i.Name] = append(r.lan[i.Name], masked)
				}
			}
		}
	}
}

// Announced notes a change of the neighbour table that the kernel has just told. An entry that is not confirmed yet and has an Ethernet address that
// nobody knows was made by that device's own request for our address: it has just spoken, seconds before the kernel gets round to
// asking back. In a reading of the whole table such an entry may be old.
func (r *Registry) Announced(n hal.Neighbour, now time.Time) {
	if !n.Deleted && n.State == hal.NeighbourStale && !n.MAC.IsZero() && !r.knows(n.MAC) {
		r.see(n.MAC, n.Addr, n.Interface, byPacket, now)
		return
	}
	r.neighbour(n, now)
}

func (r *Registry) knows(mac flow.MAC) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mac[mac] != nil
}

// neighbour notes an entry of the neighbour table. Only a confirmed one tells that the device is here now.
func (r *Registry) neighbour(n hal.Neighbour, now time.Time) {
	if n.Deleted || n.MAC.IsZero() {
		return
	}
	switch n.State {
	case hal.NeighbourReachable:
		r.see(n.MAC, n.Addr, n.Interface, byNeighbour, now)
	case hal.NeighbourStale:
		r.remember(n.MAC, n.Addr, n.Interface, now)
	}
}

// remember notes the address of a known device without saying that it is here.
func (r *Registry) remember(mac flow.MAC, addr netip.Addr, iface string, now time.Time) {
	defer r.tell()
	r.mu.Lock()
	defer r.mu.Unlock()
	addr = addr.Unmap().WithZone("")
	networks, onLAN := r.lan[iface]
	if e := r.mac[mac]; e != nil && onLAN && r.addr[addr] == nil && r.countable(addr, networks) {
		r.giveAddr(e, addr, byPacket, now)
	}
}

// watchLeases reads a lease file whenever it changes. A file that does not exist yet is waited for.
func (r *Registry) watchLeases(ctx context.Context, path string, now func() time.Time) {
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	var last fs.FileInfo
	known := map[Lease]bool(nil) // nil before the first reading
	complained := false
	for {
		fi, err := os.Stat(path)
		if err == nil && (last == nil || fi.Size() != last.Size() || !fi.ModTime().Equal(last.ModTime()) || !os.SameFile(fi, last)) {
			var file []byte
			if file, err = readBounded(path); err == nil {
				last, known, complained = fi, r.takeLeases(ParseLeases(file), known, now()), false
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !complained {
			complained = true
			r.log.Warn("a lease file cannot be read; names of its devices are missing until it can", "file", path, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxLeaseFile))
}

// takeLeases notes the leases that are not among those known, and returns all of them for the next time.
func (r *Registry) takeLeases(list []Lease, known map[Lease]bool, now time.Time) map[Lease]bool {
	next := make(map[Lease]bool, len(list))
	for _, l := range list {
		if !known[l] {
			r.lease(l, now, known != nil)
		}
		next[l] = true
	}
	return next
}

// save writes what changed at once, and tries again what failed.
func (r *Registry) save(ctx context.Context, now func() time.Time) {
	retry, seen := time.NewTicker(retryEvery), time.NewTicker(seenEvery)
	defer retry.Stop()
	defer seen.Stop()
	failed := false
	for {
		err := r.Save(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			r.log.Warn("devices cannot be saved; it is tried again every 30 s", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			r.noteSeen()
			if err := r.Save(context.WithoutCancel(ctx)); err != nil {
				r.log.Warn("devices could not be saved at the end", "error", err)
			}
			return
		case <-r.wakeSave:
		case <-retry.C:
		case <-seen.C:
			r.noteSeen()
		}
	}
}

// Save writes what changed since the last time. Run does it by itself.
func (r *Registry) Save(ctx context.Context) error {
	if r.keeper == nil {
		return nil
	}
	r.mu.Lock()
	unsaved, renamed := r.unsaved, r.renamed
	r.unsaved, r.renamed = map[flow.DeviceID]bool{}, nil
	var put []store.Device
	var gone []flow.DeviceID
	for n := range unsaved {
		if e := r.number[n]; e != nil {
			put = append(put, record(e.device(r.vendors)))
		} else {
			gone = append(gone, n)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(put, func(a, b store.Device) int { return int(a.Number) - int(b.Number) })
	err := errors.Join(r.keeper.DeleteDevices(ctx, gone), r.keeper.PutDevices(ctx, put))
	for len(renamed) > 0 && err == nil {
		if err = r.keeper.RenameDevice(ctx, renamed[0].from, renamed[0].to); err == nil {
			renamed = renamed[1:]
		}
	}
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := range unsaved {
		r.unsaved[n] = true
	}
	r.renamed = append(renamed, r.renamed...)
	r.renamed = r.renamed[max(0, len(r.renamed)-1000):]
	return err
}

func (r *Registry) noteSeen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.number {
		if !e.last.Equal(e.saved) {
			r.keeper.SeenDevice(e.number, e.last)
			e.saved = e.last
		}
	}
}

// record is what the store keeps of a device.
func record(d Device) store.Device {
	s := store.Device{Number: d.Number, ID: d.ID, Hostname: d.Hostname, Vendor: d.Vendor, Interface: d.Interface, MACs: d.MACs, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen}
	if d.Named {
		s.Name = d.Name // also tells that the policy named it
	}
	return s
}
