package carrier

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// Device is a TUN device: IP packets that the machine sends into it are read, and what is written comes out of it. It lasts as long as it is
// open. The kernel hands over and takes segments of one flow together where it can.
type Device struct {
	name  string
	tun   tun.Device
	fd    int
	reads [][]byte
	sizes []int

	writes  [][]byte // memory, of packets to write
	pending [][]byte // those of them that wait
}

const (
	tunFile = "/dev/net/tun"
	// headroom is what stands before a packet, for the kernel's own header about it.
	headroom = 16
	// coalesced is the memory of a packet that others may be joined to.
	coalesced = headroom + 1<<16
	// packetSize holds the largest packet: our MTU is smaller than Ethernet's.
	packetSize = headroom + 2048
)

// OpenDevice is the Opener of TUN devices.
func OpenDevice(name string) (Interface, error) {
	fd, err := unix.Open(tunFile, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("opening %s: %w: the kernel has no TUN driver here; try `modprobe tun`", tunFile, err)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", tunFile, err)
	}
	d := &Device{fd: fd}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making the device %s: %w", name, err)
	}
	if d.tun, d.name, err = tun.CreateUnmonitoredTUNFromFD(fd); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making the device %s: %w", name, err)
	}
	n := d.tun.BatchSize()
	memory := make([]byte, n*packetSize)
	for i := range n {
		d.reads = append(d.reads, memory[i*packetSize:(i+1)*packetSize:(i+1)*packetSize])
		d.writes = append(d.writes, make([]byte, 0, coalesced))
	}
	d.sizes = make([]int, n)
	return d, nil
}

// Name is the device's name.
func (d *Device) Name() string { return d.name }

// FD is the descriptor for a Poller.
func (d *Device) FD() int { return d.fd }

// Configure gives the device exactly these addresses and this MTU, and brings it up.
func (d *Device) Configure(mtu int, addrs []netip.Prefix) error {
	doing := "configuring the device " + d.name
	l, err := netlink.LinkByName(d.name)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := netlink.LinkSetMTU(l, mtu); err != nil {
		return fmt.Errorf("%s: MTU %d: %w", doing, mtu, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("%s: bringing it up: %w", doing, err)
	}
	have, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("%s: listing its addresses: %w", doing, err)
	}
	want := map[string]*netlink.Addr{}
	for _, p := range addrs {
		a, err := netlink.ParseAddr(p.String())
		if err != nil {
			return fmt.Errorf("%s: address %v: %w", doing, p, err)
		}
		if p.Addr().Is6() {
			a.Flags |= unix.IFA_F_NODAD // nobody else is there to have it
		}
		want[a.IPNet.String()] = a
	}
	for _, a := range have {
		if _, keep := want[a.IPNet.String()]; keep {
			delete(want, a.IPNet.String())
		} else if a.Scope == int(netlink.SCOPE_UNIVERSE) {
			if err := netlink.AddrDel(l, &a); err != nil {
				return fmt.Errorf("%s: removing address %v: %w", doing, a.IPNet, err)
			}
		}
	}
	for _, a := range want {
		if err := netlink.AddrReplace(l, a); err != nil {
			return fmt.Errorf("%s: address %v: %w", doing, a.IPNet, err)
		}
	}
	return nil
}

// SetMTU changes the MTU alone.
func (d *Device) SetMTU(mtu int) error {
	l, err := netlink.LinkByName(d.name)
	if err == nil {
		err = netlink.LinkSetMTU(l, mtu)
	}
	if err != nil {
		return fmt.Errorf("configuring the device %s: MTU %d: %w", d.name, mtu, err)
	}
	return nil
}

// Read takes packets that the machine sent, after a Poller said that there are some: one that the kernel holds whole comes in segments. The
// slices are valid during the call.
func (d *Device) Read(f func(packet []byte)) error {
	n, err := d.tun.Read(d.reads, d.sizes, headroom)
	switch {
	case errors.Is(err, tun.ErrTooManySegments): // of segments shorter than any that we asked for: those that fit come
	case err != nil:
		return fmt.Errorf("reading from the device %s: %w", d.name, err)
	}
	for i := range n {
		if d.sizes[i] > 0 {
			f(d.reads[i][headroom:][:d.sizes[i]])
		}
	}
	return nil
}

// Write queues a packet for the machine.
func (d *Device) Write(packet []byte) error {
	if len(packet) > packetSize-headroom {
		return fmt.Errorf("a packet of %d bytes is too long for the device %s", len(packet), d.name)
	}
	b := d.writes[len(d.pending)][:headroom]
	d.pending = append(d.pending, append(b, packet...))
	if len(d.pending) == len(d.writes) {
		return d.Flush()
	}
	return nil
}

// Flush hands the queued packets to the machine, segments of one flow together.
func (d *Device) Flush() error {
	if len(d.pending) == 0 {
		return nil
	}
	_, err := d.tun.Write(d.pending, headroom)
	d.pending = d.pending[:0]
	if errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("writing to the device %s: %w", d.name, err)
	}
	return nil // a packet that the kernel finds broken, or cannot hold, is lost as on any device
}

// Close removes the device.
func (d *Device) Close() error {
	if err := d.tun.Close(); err != nil {
		return fmt.Errorf("closing the device %s: %w", d.name, err)
	}
	return nil
}
