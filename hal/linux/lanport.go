package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

const (
	bridgeKind = "bridge"
	// bridgeAlias and portAlias mark the bridges of our making, and what we made a port (`ip link` shows it). Access points, containers and
	// virtual machines join by themselves, and are left alone.
	bridgeAlias = "made by trenza"
	portAlias   = "joined by trenza"
)

var _ hal.LANPorts = (*Machine)(nil)

// lanDevice is what is known of a device that is or will be part of the LAN. Index 0: it does not exist.
type lanDevice struct {
	index  int32
	name   string
	kind   string
	alias  string
	up     bool
	bridge int32 // that it is a port of; 0: of none
}

// lanSocket edits devices and addresses.
type lanSocket struct {
	*kernelSocket
	devices map[string]lanDevice
}

func openLAN(ctx context.Context) (*lanSocket, error) {
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return nil, err
	}
	l := &lanSocket{kernelSocket: s}
	if err := l.read(ctx); err != nil {
		s.close()
		return nil, err
	}
	return l, nil
}

func (l *lanSocket) read(ctx context.Context) error {
	return kernelError(l.dump(ctx, unix.RTM_GETLINK, interfaceHeader(0, 0, 0), func() func(message) {
		l.devices = map[string]lanDevice{}
		return func(m message) {
			if m.kind != unix.RTM_NEWLINK || len(m.payload) < unix.SizeofIfInfomsg {
				return
			}
			f := fields(m.payload[unix.SizeofIfInfomsg:])
			d := lanDevice{
				index: int32(binary.NativeEndian.Uint32(m.payload[4:])), name: f.text(unix.IFLA_IFNAME), alias: f.text(unix.IFLA_IFALIAS),
				kind: fields(f.get(unix.IFLA_LINKINFO)).text(unix.IFLA_INFO_KIND), up: binary.NativeEndian.Uint32(m.payload[8:])&unix.IFF_UP != 0,
				bridge: int32(host32(f.get(unix.IFLA_MASTER))),
			}
			l.devices[d.name] = d
		}
	}), "list the devices")
}

// SetLANPort implements hal.LANPorts.
func (m *Machine) SetLANPort(ctx context.Context, p hal.LANPort) error {
	l, err := openLAN(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	if len(p.Ports) > 0 {
		if err := l.makeBridge(ctx, p); err != nil {
			return err
		}
	}
	d, ok := l.devices[p.Device]
	if !ok {
		return fmt.Errorf("set up the LAN's device %s: %w", p.Device, hal.ErrNotFound)
	}
	if err := l.setAddresses(ctx, d, p.Addrs); err != nil {
		return err
	}
	return l.switchOn(ctx, d)
}

func (l *lanSocket) makeBridge(ctx context.Context, p hal.LANPort) error {
	d := l.devices[p.Device]
	switch {
	case d.index == 0:
		if err := l.edit(ctx, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, bridgeMessage(p.Device), "make bridge %s", p.Device); err != nil {
			return err
		}
		if err := l.read(ctx); err != nil {
			return err
		}
		d = l.devices[p.Device]
		alias := appendAttribute(interfaceHeader(d.index, 0, 0), unix.IFLA_IFALIAS, []byte(bridgeAlias))
		if err := l.edit(ctx, unix.RTM_NEWLINK, 0, alias, "mark bridge %s as ours", p.Device); err != nil {
			return errors.Join(err, l.edit(ctx, unix.RTM_DELLINK, 0, linkIndexRequest(d.index), "remove bridge %s", p.Device))
		}
	case d.kind != bridgeKind || d.alias != bridgeAlias:
		return fmt.Errorf("make bridge %s: a device of that name is another program's: leave out bridge: in the configuration to use it as it is: %w", p.Device, hal.ErrExists)
	}
	for name, port := range l.devices {
		wanted := slices.Contains(p.Ports, name)
		switch {
		case !wanted && port.bridge == d.index && port.alias == portAlias:
			if err := l.join(ctx, port, 0, ""); err != nil {
				return err
			}
		case !wanted:
			continue
		case port.bridge != d.index || port.alias != portAlias:
			if err := l.join(ctx, port, d.index, portAlias); err != nil {
				return err
			}
		}
		if !wanted {
			continue
		}
		if err := l.edit(ctx, unix.RTM_SETLINK, 0, isolateMessage(port.index, p.Isolated), "isolate port %s", name); err != nil {
			return err
		}
		if err := l.switchOn(ctx, port); err != nil {
			return err
		}
	}
	return nil
}

// join makes a device a port of a bridge; 0 takes it off.
func (l *lanSocket) join(ctx context.Context, port lanDevice, bridge int32, alias string) error {
	b := appendUint32(interfaceHeader(port.index, 0, 0), unix.IFLA_MASTER, uint32(bridge))
	return l.edit(ctx, unix.RTM_NEWLINK, 0, appendAttribute(b, unix.IFLA_IFALIAS, []byte(alias)), "make %s a port of bridge %d", port.name, bridge)
}

func (l *lanSocket) switchOn(ctx context.Context, d lanDevice) error {
	if d.up {
		return nil
	}
	return l.edit(ctx, unix.RTM_NEWLINK, 0, interfaceHeader(d.index, unix.IFF_UP, unix.IFF_UP), "switch on %s", d.name)
}

// setAddresses adds first: a device is never without an address in between.
func (l *lanSocket) setAddresses(ctx context.Context, d lanDevice, want []netip.Prefix) error {
	have, err := l.addresses(ctx, d)
	if err != nil {
		return err
	}
	for _, p := range want {
		if slices.Contains(have, p) {
			continue
		}
		if err := l.edit(ctx, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, lanAddress(d.index, p), "give %s the address %v", d.name, p); err != nil {
			return err
		}
	}
	for _, p := range have {
		if slices.Contains(want, p) {
			continue
		}
		err := l.edit(ctx, unix.RTM_DELADDR, 0, lanAddress(d.index, p), "take the address %v from %s", p, d.name)
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	// The kernel deletes, with the first address of a network, the others of the same network.
	if have, err = l.addresses(ctx, d); err != nil {
		return err
	}
	for _, p := range want {
		if !slices.Contains(have, p) {
			if err := l.edit(ctx, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, lanAddress(d.index, p), "give %s the address %v", d.name, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// addresses lists a device's addresses of global scope that have no end.
func (l *lanSocket) addresses(ctx context.Context, d lanDevice) ([]netip.Prefix, error) {
	var out []netip.Prefix
	err := l.dump(ctx, unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func() func(message) {
		out = nil
		return func(a message) {
			index, p, _, ok := decodeAddress(a.payload)
			if ok && index == int(d.index) && a.payload[3] == unix.RT_SCOPE_UNIVERSE && a.payload[2]&unix.IFA_F_PERMANENT != 0 {
				out = append(out, p)
			}
		}
	})
	return out, kernelError(err, "list the addresses of %s", d.name)
}

// RemoveLANPorts implements hal.LANPorts.
func (m *Machine) RemoveLANPorts(ctx context.Context) error {
	l, err := openLAN(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	var failed []error
	for name, d := range l.devices {
		if d.kind == bridgeKind && d.alias == bridgeAlias {
			failed = append(failed, l.edit(ctx, unix.RTM_DELLINK, 0, linkIndexRequest(d.index), "remove bridge %s", name))
		}
	}
	return errors.Join(failed...)
}

func (l *lanSocket) edit(ctx context.Context, kind, flags uint16, payload []byte, doing string, args ...any) error {
	return kernelError(l.ask(ctx, kind, flags|unix.NLM_F_ACK, payload, func(message) {}), doing, args...)
}

// bridgeMessage makes a bridge whose ports serve at once: no spanning tree, so nothing to wait for (linux/if_link.h, IFLA_BR_*).
func bridgeMessage(name string) []byte {
	const forwardDelay, spanningTree = 1, 5
	b := appendText(interfaceHeader(0, 0, 0), unix.IFLA_IFNAME, name)
	b, info := beginNested(b, unix.IFLA_LINKINFO)
	b = appendText(b, unix.IFLA_INFO_KIND, bridgeKind)
	b, data := beginNested(b, unix.IFLA_INFO_DATA)
	b = appendUint32(b, spanningTree, 0)
	b = appendUint32(b, forwardDelay, 200) // in 1/100 s; the least that is allowed, and of no meaning without the tree
	return endNested(endNested(b, data), info)
}

// isolateMessage sets IFLA_BRPORT_ISOLATED of a bridge's port, by RTM_SETLINK of family AF_BRIDGE.
func isolateMessage(index int32, isolated bool) []byte {
	const portIsolated = 33
	b := interfaceHeader(index, 0, 0)
	b[0] = unix.AF_BRIDGE
	b, at := beginNested(b, unix.IFLA_PROTINFO)
	v := byte(0)
	if isolated {
		v = 1
	}
	return endNested(appendAttribute(b, portIsolated, []byte{v}), at)
}

// lanAddress is a request about an address. Without duplicate detection: the router's own address serves at once, and must be there when
// advertisements speak of it.
func lanAddress(index int32, p netip.Prefix) []byte {
	b := make([]byte, unix.SizeofIfAddrmsg, 96)
	b[0], b[1], b[3] = unix.AF_INET, byte(p.Bits()), unix.RT_SCOPE_UNIVERSE
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	if p.Addr().Is6() {
		b[0], b[2] = unix.AF_INET6, unix.IFA_F_NODAD
	}
	b = appendAttribute(b, unix.IFA_LOCAL, p.Addr().AsSlice())
	b = appendAttribute(b, unix.IFA_ADDRESS, p.Addr().AsSlice())
	if p.Addr().Is4() && p.Bits() < 31 {
		b = appendAttribute(b, unix.IFA_BROADCAST, broadcastOf(p).AsSlice())
	}
	return b
}
