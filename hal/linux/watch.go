package linux

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// withoutCounters is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h.
const withoutCounters = 1 << 3

// Interfaces implements hal.Interfaces: every device of the namespace, in the order of their numbers.
func (m *Machine) Interfaces(ctx context.Context) ([]hal.Interface, error) {
	s, v, err := openDevices(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return v.list(), nil
}

// openDevices opens a socket for requests and reads the devices that there are.
func openDevices(ctx context.Context) (*kernelSocket, *deviceView, error) {
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return nil, nil, err
	}
	v := newDeviceView()
	if err := v.read(ctx, s); err != nil {
		s.close()
		return nil, nil, err
	}
	return s, v, nil
}

// Neighbours implements hal.Interfaces: the entries of both families, without multicast and broadcast.
func (m *Machine) Neighbours(ctx context.Context) ([]hal.Neighbour, error) {
	s, v, err := openDevices(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var out []hal.Neighbour
	err = dumpWhole(func() error {
		out = nil
		return s.ask(ctx, unix.RTM_GETNEIGH, unix.NLM_F_DUMP, make([]byte, unix.SizeofNdMsg), func(a message) {
			if index, n, ok := decodeNeighbour(a.payload); ok && a.kind == unix.RTM_NEWNEIGH {
				if n.Interface = v.name(index); n.Interface != "" {
					out = append(out, n)
				}
			}
		})
	})
	return out, kernelError(err, "list the neighbours")
}

// Received implements hal.Interfaces.
func (m *Machine) Received(device string) (uint64, error) {
	count, err := m.counters.of(device)
	return count.packets, kernelError(err, "read the packet count of %s", device)
}

// Traffic implements hal.Shapers.
func (m *Machine) Traffic(device string) (received, sent uint64, err error) {
	count, err := m.counters.of(device)
	return count.received, count.sent, kernelError(err, "read the byte counts of %s", device)
}

// deviceCount is what a device has counted: packets and bytes that it received, bytes that it sent.
type deviceCount struct{ packets, received, sent uint64 }

// counters asks the kernel for devices' counts over one socket that stays open: every link's probes ask each second.
type counters struct {
	mu     sync.Mutex
	socket *kernelSocket // nil before the first question and after a failure
}

func (c *counters) of(device string) (count deviceCount, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket == nil {
		if c.socket, err = openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{}); err != nil {
			return deviceCount{}, err
		}
	}
	// The kernel finds a device by name when the number is 0 (rtnetlink(7)).
	request := appendAttribute(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_IFNAME, append([]byte(device), 0))
	told := false
	err = c.socket.ask(context.Background(), unix.RTM_GETLINK, unix.NLM_F_ACK, request, func(a message) {
		if n, found := decodeCounts(a.payload); found && a.kind == unix.RTM_NEWLINK {
			count, told = n, true
		}
	})
	switch {
	case err != nil && !errors.Is(err, unix.ENODEV):
		c.socket.close()
		c.socket = nil
	case err == nil && !told:
		err = errors.New("the kernel told no counters")
	}
	return count, err
}

// dumpWhole repeats a dump that was disturbed by changes; after some tries it takes what there is.
func dumpWhole(dump func() error) error {
	for range 5 {
		if err := dump(); !errors.Is(err, errChangedMeanwhile) {
			return err
		}
	}
	return nil
}

// deviceView is what is known of the namespace's devices, kept up to date by messages of the kernel.
type deviceView struct {
	devices map[int]hal.Interface // by index
}

func newDeviceView() *deviceView { return &deviceView{devices: map[int]hal.Interface{}} }

// name of a device; "" when there is none of that number.
func (v *deviceView) name(index int) string { return v.devices[index].Name }

// list copies out all devices in the order of their numbers.
func (v *deviceView) list() []hal.Interface {
	out := make([]hal.Interface, 0, len(v.devices))
	for _, index := range slices.Sorted(maps.Keys(v.devices)) {
		out = append(out, v.get(index))
	}
	return out
}

// get copies out one device, so that its addresses do not change under the receiver.
func (v *deviceView) get(index int) hal.Interface {
	i := v.devices[index]
	i.Addrs = slices.Clone(i.Addrs)
	return i
}

// read replaces everything that is known by what the kernel lists.
func (v *deviceView) read(ctx context.Context, s *kernelSocket) error {
	err := dumpWhole(func() error {
		clear(v.devices)
		links := v.readLinks(ctx, s, func(i hal.Interface) { v.devices[i.Index] = i })
		if links != nil && !errors.Is(links, errChangedMeanwhile) {
			return links
		}
		// Also of what may have holes: the last try is taken as it is, and devices without addresses would be worse.
		err := s.ask(ctx, unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg), func(a message) {
			if a.kind == unix.RTM_NEWADDR {
				v.applyAddress(a)
			}
		})
		return cmp.Or(err, links)
	})
	return kernelError(err, "list the network interfaces")
}

// readLinks dumps the devices without their counters, which cost more than all the rest.
func (v *deviceView) readLinks(ctx context.Context, s *kernelSocket, f func(hal.Interface)) error {
	request := appendUint32(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_EXT_MASK, withoutCounters)
	return s.ask(ctx, unix.RTM_GETLINK, unix.NLM_F_DUMP, request, func(a message) {
		if i, ok := decodeLink(a.payload); ok && a.kind == unix.RTM_NEWLINK {
			f(i)
		}
	})
}

// applyLink takes in the state of a device and tells whether it is news. The addresses stay.
func (v *deviceView) applyLink(i hal.Interface) (before hal.Interface, changed bool) {
	before, known := v.devices[i.Index]
	i.Addrs = before.Addrs
	v.devices[i.Index] = i
	return before, !known || i.Name != before.Name || i.MAC != before.MAC || i.Kind != before.Kind ||
		i.Up != before.Up || i.Carrier != before.Carrier || i.MTU != before.MTU
}

// applyAddress takes in an RTM_NEWADDR or RTM_DELADDR and tells whether it changed the addresses of a known device.
func (v *deviceView) applyAddress(a message) (index int, changed bool) {
	index, p, usable, ok := decodeAddress(a.payload)
	i, known := v.devices[index]
	if !ok || !known {
		return index, false
	}
	at, there := slices.BinarySearchFunc(i.Addrs, p, comparePrefixes)
	switch want := usable && a.kind == unix.RTM_NEWADDR; {
	case want == there:
		return index, false
	case want:
		i.Addrs = slices.Insert(i.Addrs, at, p)
	default:
		i.Addrs = slices.Delete(i.Addrs, at, at+1)
	}
	v.devices[index] = i
	return index, true
}

// comparePrefixes orders addresses: IPv4 first, then by number, then by the size of the network.
func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}
