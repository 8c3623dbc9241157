package haltest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// listeners are the watchers of one kind of event. Each has a queue of its own, so that whoever announces never waits.
type listeners[T any] struct{ all []*listener[T] }

type listener[T any] struct {
	wake  chan struct{} // holds one token when the queue is not empty
	queue []notice[T]
}

// notice is an event, or the news that events were lost.
type notice[T any] struct {
	event T
	lost  bool
}

// post queues a notice for every watcher. The caller holds Fake.mu.
func (l *listeners[T]) post(n notice[T]) {
	for _, w := range l.all {
		w.queue = append(w.queue, n)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// listen registers a watcher and hands it its events until the context ends, after those that it begins with.
func listen[T any](ctx context.Context, f *Fake, l *listeners[T], handle func(T), lost func(), first ...notice[T]) error {
	w := &listener[T]{wake: make(chan struct{}, 1), queue: first}
	if len(first) > 0 {
		w.wake <- struct{}{}
	}
	f.mu.Lock()
	l.all = append(l.all, w)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		l.all = slices.DeleteFunc(l.all, func(o *listener[T]) bool { return o == w })
		f.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		f.mu.Lock()
		queue := w.queue
		w.queue = nil
		f.mu.Unlock()
		for _, n := range queue {
			if n.lost {
				lost()
			} else {
				handle(n.event)
			}
		}
	}
}

// Watchers is how many calls of Watch, WatchConnections and WatchPackets are running: a test that announces an event waits
// until the code under test listens.
func (f *Fake) Watchers() (machine, connections, packets int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.machineEvents.all), len(f.flowEvents.all), len(f.packets.all)
}

// LoseEvents tells all watchers that events were lost.
func (f *Fake) LoseEvents() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.machineEvents.post(notice[hal.Event]{lost: true})
	f.flowEvents.post(notice[hal.ConnectionEvent]{lost: true})
}

func (f *Fake) announce(e hal.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.machineEvents.post(notice[hal.Event]{event: e})
}

// Watch hands out the events of all changes, those that the code under test makes included. Like every machine it says lost as soon as it listens.
func (f *Fake) Watch(ctx context.Context, g func(hal.Event), lost func()) error {
	err := f.enter(ctx, "Watch", "")
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return listen(ctx, f, &f.machineEvents, g, lost, notice[hal.Event]{lost: true})
}

// Interfaces lists the devices by their numbers.
func (f *Fake) Interfaces(ctx context.Context) ([]hal.Interface, error) {
	err := f.enter(ctx, "Interfaces", "")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	l := slices.Collect(maps.Values(f.interfaces))
	for i := range l {
		l[i].Addrs = slices.Clone(l[i].Addrs)
	}
	slices.SortFunc(l, func(a, b hal.Interface) int { return cmp.Compare(a.Index, b.Index) })
	return l, nil
}

// Received counts what Receive was told.
func (f *Fake) Received(device string) (uint64, error) {
	err := f.enter(context.Background(), "Received", "")
	defer f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if _, ok := f.interfaces[device]; !ok {
		return 0, fmt.Errorf("read the packet count of %s: %w", device, hal.ErrNotFound)
	}
	return f.received[device], nil
}

// Traffic counts what Carry was told.
func (f *Fake) Traffic(device string) (received, sent uint64, err error) {
	err = f.enter(context.Background(), "Traffic", "")
	defer f.mu.Unlock()
	if err != nil {
		return 0, 0, err
	}
	if _, ok := f.interfaces[device]; !ok {
		return 0, 0, fmt.Errorf("read the byte counts of %s: %w", device, hal.ErrNotFound)
	}
	c := f.carried[device]
	return c[0], c[1], nil
}

// Carry lets bytes arrive at a device, and leave by it.
func (f *Fake) Carry(device string, received, sent uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.carried[device]
	f.carried[device] = [2]uint64{c[0] + received, c[1] + sent}
}

// Receive lets packets arrive on a device.
func (f *Fake) Receive(device string, packets uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.received[device] += packets
}

// SetInterface adds or changes a device and announces it. A device without a number gets the next one, one without an
// Ethernet address gets one made from its number; the connected networks of its addresses are in the main table while it is
// up, as the kernel keeps them.
func (f *Fake) SetInterface(i hal.Interface) {
	f.mu.Lock()
	i = f.putInterface(i)
	f.mu.Unlock()
	f.announce(hal.Event{Kind: hal.InterfaceChanged, Interface: i})
}

// putInterface fills in what i lacks. The caller holds the lock.
func (f *Fake) putInterface(i hal.Interface) hal.Interface {
	if i.Index == 0 {
		i.Index = f.interfaces[i.Name].Index
	}
	if i.Index == 0 {
		f.lastIndex++
		i.Index = f.lastIndex
	}
	f.lastIndex = max(f.lastIndex, i.Index)
	if i.MAC.IsZero() && i.Name != "lo" {
		i.MAC = flow.MAC{2, 0, 0, 0, byte(i.Index >> 8), byte(i.Index)}
	}
	if i.MTU == 0 {
		i.MTU = 1500
	}
	f.interfaces[i.Name] = i
	f.connect(i.Name)
	return i
}

// RemoveInterface takes a device away, its routes too, and announces it.
func (f *Fake) RemoveInterface(name string) {
	f.mu.Lock()
	i := f.takeInterface(name)
	f.mu.Unlock()
	f.announce(hal.Event{Kind: hal.InterfaceChanged, Interface: i, Deleted: true})
}

// takeInterface takes a device away with all that stands on it. The caller holds the lock.
func (f *Fake) takeInterface(name string) hal.Interface {
	i := f.interfaces[name]
	delete(f.interfaces, name)
	delete(f.shapings, name)
	f.connect(name)
	for _, tables := range f.routes {
		for table, l := range tables {
			tables[table] = slices.DeleteFunc(l, func(r hal.Route) bool { return r.Dev == name })
		}
	}
	f.detour.From = slices.DeleteFunc(slices.Clone(f.detour.From), func(from string) bool { return from == name })
	return i
}

// protocolKernel marks the routes that the kernel makes itself (RTPROT_KERNEL).
const protocolKernel = 2

// connect makes the routes of a device's own networks agree with its addresses, and drops the others when it is down.
func (f *Fake) connect(name string) {
	i := f.interfaces[name]
	for _, tables := range f.routes {
		for table, l := range tables {
			tables[table] = slices.DeleteFunc(l, func(r hal.Route) bool {
				return r.Dev == name && (r.Protocol == protocolKernel || !i.Up)
			})
		}
	}
	if !i.Up || name == "lo" {
		return
	}
	for _, p := range i.Addrs {
		r := hal.Route{Table: hal.MainTable, Dst: p.Masked(), Dev: name, Protocol: protocolKernel}
		if p.Addr().Is4() {
			r.Source = p.Addr()
		} else {
			r.Metric = 256
		}
		f.putRoute(r)
	}
}

// Neighbours lists the neighbour table by address.
func (f *Fake) Neighbours(ctx context.Context) ([]hal.Neighbour, error) {
	err := f.enter(ctx, "Neighbours", "")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	l := slices.Collect(maps.Values(f.neighbours))
	slices.SortFunc(l, func(a, b hal.Neighbour) int { return a.Addr.Compare(b.Addr) })
	return l, nil
}

// SetNeighbour adds, changes or (with Deleted) removes an entry and announces it.
func (f *Fake) SetNeighbour(n hal.Neighbour) {
	f.mu.Lock()
	if n.Deleted {
		delete(f.neighbours, n.Addr)
	} else {
		f.neighbours[n.Addr] = n
	}
	f.mu.Unlock()
	f.announce(hal.Event{Kind: hal.NeighbourChanged, Neighbour: n, Deleted: n.Deleted})
}

// Connections calls g for each entry that matches, without the lock.
func (f *Fake) Connections(ctx context.Context, mark, mask flow.Mark, g func(hal.Connection)) error {
	err := f.enter(ctx, "Connections", "")
	all := slices.Clone(f.connections)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Mark&mask == mark {
			g(c)
		}
	}
	return nil
}

// FlushConnections deletes the entries that match and announces their ends.
func (f *Fake) FlushConnections(ctx context.Context, mark, mask flow.Mark) error {
	err := f.enter(ctx, "FlushConnections", "%#x/%#x", uint32(mark), uint32(mask))
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	if mask == 0 {
		return fmt.Errorf("flush connections: a mask of 0 would flush all of them: %w", hal.ErrRefused)
	}
	f.drop(func(c hal.Connection) bool { return c.Mark&mask == mark })
	return nil
}

// DeleteConnection deletes the entry with c's original tuple and announces its end.
func (f *Fake) DeleteConnection(ctx context.Context, c hal.Connection) error {
	err := f.enter(ctx, "DeleteConnection", "%s", c.Orig)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	if f.drop(func(o hal.Connection) bool { return o.Orig == c.Orig }) == 0 {
		return fmt.Errorf("delete connection %s: %w", c.Orig, hal.ErrNotFound)
	}
	return nil
}

// MarkConnections changes the entries with the same original tuples.
func (f *Fake) MarkConnections(ctx context.Context, changes []hal.MarkChange) (found int, err error) {
	err = f.enter(ctx, "MarkConnections", "%d", len(changes))
	defer f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	for _, c := range changes {
		if c.Mask == 0 {
			return found, fmt.Errorf("mark connection %s: a mask of 0 changes nothing: %w", c.Connection.Orig, hal.ErrRefused)
		}
		i := slices.IndexFunc(f.connections, func(o hal.Connection) bool { return o.Orig == c.Connection.Orig })
		if i < 0 {
			continue
		}
		found++
		f.connections[i].Mark = f.connections[i].Mark&^c.Mask | c.Mark&c.Mask
		f.flowEvents.post(notice[hal.ConnectionEvent]{event: hal.ConnectionEvent{Kind: hal.ConnectionUpdated, Connection: f.connections[i]}})
	}
	return found, nil
}

func (f *Fake) drop(which func(hal.Connection) bool) (n int) {
	f.connections = slices.DeleteFunc(f.connections, func(c hal.Connection) bool {
		if !which(c) {
			return false
		}
		n++
		f.flowEvents.post(notice[hal.ConnectionEvent]{event: hal.ConnectionEvent{Kind: hal.ConnectionDestroyed, Connection: c}})
		return true
	})
	return n
}

// SetConnection adds an entry, or changes the one with the same original tuple, and announces it.
func (f *Fake) SetConnection(c hal.Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := hal.ConnectionNew
	if i := slices.IndexFunc(f.connections, func(o hal.Connection) bool { return o.Orig == c.Orig }); i >= 0 {
		f.connections[i], kind = c, hal.ConnectionUpdated
	} else {
		f.connections = append(f.connections, c)
	}
	f.flowEvents.post(notice[hal.ConnectionEvent]{event: hal.ConnectionEvent{Kind: kind, Connection: c}})
}

// EndConnection ends a connection by itself: it announces the last counters.
func (f *Fake) EndConnection(orig flow.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(func(c hal.Connection) bool { return c.Orig == orig })
}

// WatchConnections hands out the events of the connection table, and says lost as soon as it listens.
func (f *Fake) WatchConnections(ctx context.Context, g func(hal.ConnectionEvent), lost func(), kinds ...hal.ConnectionEventKind) error {
	err := f.enter(ctx, "WatchConnections", "")
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return listen(ctx, f, &f.flowEvents, func(e hal.ConnectionEvent) {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			g(e)
		}
	}, lost, notice[hal.ConnectionEvent]{lost: true})
}

type groupPacket struct {
	group uint16
	copy  hal.PacketCopy
}

// LogPacket hands a copy to those who watch the group.
func (f *Fake) LogPacket(group uint16, p hal.PacketCopy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.packets.post(notice[groupPacket]{event: groupPacket{group, p}})
}

// WatchPackets hands out the copies of one group.
func (f *Fake) WatchPackets(ctx context.Context, group uint16, g func(hal.PacketCopy)) error {
	err := f.enter(ctx, "WatchPackets", "")
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return listen(ctx, f, &f.packets, func(p groupPacket) {
		if p.group == group {
			g(p.copy)
		}
	}, func() {})
}

// HoldPacket hands a packet to those who judge the queue, as a `queue` statement does; their verdict goes to Verdicts.
func (f *Fake) HoldPacket(queue uint16, p hal.PacketCopy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held.post(notice[groupPacket]{event: groupPacket{queue, p}})
}

// Verdicts are those that were given so far, in order.
func (f *Fake) Verdicts() []hal.PacketVerdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.verdicts)
}

// JudgePackets hands out the packets of one queue.
func (f *Fake) JudgePackets(ctx context.Context, queue uint16, judge func(hal.PacketCopy) hal.PacketVerdict) error {
	return f.holdPackets(ctx, "JudgePackets", queue, func(c hal.PacketCopy, tell func(hal.PacketVerdict)) { tell(judge(c)) })
}

// HoldPackets hands out the packets of one queue, each with the function that takes its verdict.
func (f *Fake) HoldPackets(ctx context.Context, queue uint16, hold func(hal.PacketCopy, func(hal.PacketVerdict))) error {
	return f.holdPackets(ctx, "HoldPackets", queue, hold)
}

func (f *Fake) holdPackets(ctx context.Context, method string, queue uint16, hold func(hal.PacketCopy, func(hal.PacketVerdict))) error {
	err := f.enter(ctx, method, "")
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return listen(ctx, f, &f.held, func(p groupPacket) {
		if p.group != queue {
			return
		}
		hold(p.copy, func(v hal.PacketVerdict) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.verdicts = append(f.verdicts, v)
		})
	}, func() {})
}

// Addresses are the prefixes of strings, for a device's Addrs.
func Addresses(prefixes ...string) []netip.Prefix {
	l := make([]netip.Prefix, len(prefixes))
	for i, p := range prefixes {
		l[i] = netip.MustParsePrefix(p)
	}
	return l
}
