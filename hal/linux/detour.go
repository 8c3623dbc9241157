package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// detourSocket reads and edits the detour. Its filters stand at the egress hook of clsact, which is apart from a device's root queue:
// whatever queues there stay. They are of kind u32, the one classifier that every kernel with HTB has.
type detourSocket struct {
	*kernelSocket
	device  linkState
	filters map[int32]bool // devices with our filter, and whether it leads to our device
	qdiscs  map[int32]bool // devices with clsact
}

// linkState is what is known of DownloadDevice. Index 0: it does not exist.
type linkState struct {
	index int32
	kind  string
	up    bool
}

func (sh shapers) openDetour(ctx context.Context) (*detourSocket, error) {
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return nil, err
	}
	sh.own.add(s)
	d := &detourSocket{kernelSocket: s}
	if err := d.read(ctx); err != nil {
		s.close()
		return nil, err
	}
	return d, nil
}

// read finds the device and the filters.
func (d *detourSocket) read(ctx context.Context) error {
	d.device = linkState{}
	err := d.ask(ctx, unix.RTM_GETLINK, unix.NLM_F_ACK, linkRequest(hal.DownloadDevice), func(m message) {
		d.device = readLink(m)
	})
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return kernelError(err, "find device %s", hal.DownloadDevice)
	}
	if err := d.dump(ctx, unix.RTM_GETQDISC, queueRequest(0, 0, 0), func() func(message) {
		d.qdiscs = map[int32]bool{}
		return d.addQdisc
	}); err != nil {
		return kernelError(err, "list the queues of all devices")
	}
	all := map[int32]bool{}
	for index := range d.qdiscs {
		if err := d.dump(ctx, unix.RTM_GETTFILTER, queueRequest(index, 0, egressHook), func() func(message) {
			delete(all, index)
			return func(m message) {
				if target, ok := readFilter(m, index); ok {
					all[index] = target == d.device.index && d.device.usable()
				}
			}
		}); err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) { // the device, or its clsact, went meanwhile
			return kernelError(err, "list the filters of device %d", index)
		}
	}
	d.filters = all
	return nil
}

func (l linkState) usable() bool { return l.index != 0 && l.kind == ifbKind && l.up }

// detour is what was read.
func (d *detourSocket) detour() hal.Detour {
	var out hal.Detour
	if d.device.kind == ifbKind {
		out.Device = hal.DownloadDevice
		out.Broken = !d.device.up
	}
	for index, good := range d.filters {
		i, err := net.InterfaceByIndex(int(index))
		if err != nil {
			continue // it went meanwhile, its filters too
		}
		out.From = append(out.From, i.Name)
		out.Broken = out.Broken || !good
	}
	slices.Sort(out.From)
	return out
}

// Detour reads what is led through hal.DownloadDevice.
func (sh shapers) Detour(ctx context.Context) (hal.Detour, error) {
	s, err := sh.openDetour(ctx)
	if err != nil {
		return hal.Detour{}, err
	}
	defer s.close()
	return s.detour(), nil
}

// SetDetour makes the detour equal to want.
func (sh shapers) SetDetour(ctx context.Context, want hal.Detour) error {
	if err := want.Validate(); err != nil {
		return err
	}
	s, err := sh.openDetour(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if kind := s.device.kind; s.device.index != 0 && kind != ifbKind {
		if want.Device == "" {
			return nil // its name alone is like ours
		}
		return fmt.Errorf("a device called %s of kind %q: %w; rename it", hal.DownloadDevice, kind, hal.ErrExists)
	}
	before := s.detour()
	err = s.change(ctx, want)
	if err == nil {
		return nil
	}
	// Also when the caller has no more time, on another socket: as SetShaping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if lost := sh.restoreDetour(ctx, before); lost != nil {
		return fmt.Errorf("lead packets by %s: %w; %w: %w", hal.DownloadDevice, err, hal.ErrUnshaped, lost)
	}
	return fmt.Errorf("lead packets by %s: %w", hal.DownloadDevice, err)
}

// errWasBroken: there is nothing to bring back.
var errWasBroken = errors.New("what stood before was broken")

// restoreDetour brings back what stood before a change failed; when it cannot, packets go their direct way.
func (sh shapers) restoreDetour(ctx context.Context, before hal.Detour) error {
	s, err := sh.openDetour(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if before.Broken {
		err = errWasBroken
	} else {
		err = s.change(ctx, before)
	}
	if err != nil && s.read(ctx) == nil {
		_ = s.change(ctx, hal.Detour{}) // the error is told already
	}
	return err
}

// change makes the device first and leads packets to it then; it takes them off it before the device goes.
func (d *detourSocket) change(ctx context.Context, want hal.Detour) error {
	wanted := map[int32]bool{}
	for _, name := range want.From {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return fmt.Errorf("find device %s: %w", name, hal.ErrNotFound)
		}
		wanted[int32(i.Index)] = true
	}
	if want.Device != "" && !d.device.usable() {
		if err := d.makeDevice(ctx); err != nil {
			return err
		}
	}
	for index := range wanted {
		if d.filters[index] {
			continue
		}
		if err := d.lead(ctx, index); err != nil {
			return err
		}
	}
	for index := range d.filters {
		if wanted[index] {
			continue
		}
		if err := d.release(ctx, index); err != nil {
			return err
		}
	}
	if want.Device == "" && d.device.index != 0 {
		return d.edit(ctx, unix.RTM_DELLINK, 0, linkIndexRequest(d.device.index), "remove device %s", hal.DownloadDevice)
	}
	return nil
}

// makeDevice adds the device, or sets up the one that is there. Filters that led elsewhere, or whose packets were lost, are judged anew.
func (d *detourSocket) makeDevice(ctx context.Context) error {
	var flags uint16
	if d.device.index == 0 {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	if err := d.edit(ctx, unix.RTM_NEWLINK, flags, detourDeviceMessage(hal.DownloadDevice, d.device.index), "make device %s", hal.DownloadDevice); err != nil {
		return err
	}
	return d.read(ctx)
}

// lead adds our filter to a device.
func (d *detourSocket) lead(ctx context.Context, index int32) error {
	if _, stale := d.filters[index]; stale {
		if err := d.removeFilter(ctx, index); err != nil {
			return err
		}
	}
	if !d.qdiscs[index] {
		if err := d.edit(ctx, unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, clsactMessage(index),
			"add clsact to device %d (an ingress queue of another program is in its place)", index); err != nil {
			return err
		}
	}
	return d.edit(ctx, unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL, filterMessage(index, d.device.index),
		"add filter %d to device %d", hal.DetourPreference, index)
}

// release takes our filter off a device, and clsact with it when nobody else has a filter there.
func (d *detourSocket) release(ctx context.Context, index int32) error {
	if err := d.removeFilter(ctx, index); err != nil {
		return err
	}
	others := false
	for _, hook := range []uint32{egressHook, ingressHook} {
		if err := d.dump(ctx, unix.RTM_GETTFILTER, queueRequest(index, 0, hook), func() func(message) {
			return func(m message) { others = others || m.kind == unix.RTM_NEWTFILTER }
		}); err != nil {
			return kernelError(err, "list the filters of device %d", index)
		}
	}
	if others {
		return nil
	}
	return d.edit(ctx, unix.RTM_DELQDISC, 0, queueRequest(index, clsactHandle, clsactParent), "remove clsact of device %d", index)
}

func (d *detourSocket) removeFilter(ctx context.Context, index int32) error {
	return d.edit(ctx, unix.RTM_DELTFILTER, 0, filterRequest(index), "remove filter %d of device %d", hal.DetourPreference, index)
}

func (d *detourSocket) edit(ctx context.Context, kind, flags uint16, payload []byte, doing string, args ...any) error {
	err := d.ask(ctx, kind, flags|unix.NLM_F_ACK, payload, func(message) {})
	if (kind == unix.RTM_NEWQDISC || kind == unix.RTM_NEWTFILTER) && errors.Is(err, unix.ENOENT) {
		// The kernel's word for a discipline, classifier or action that it does not have.
		return fmt.Errorf(doing+": %w (%w)", append(args, hal.ErrUnsupported, err)...)
	}
	return kernelError(err, doing, args...)
}
