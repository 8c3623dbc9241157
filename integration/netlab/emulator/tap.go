package emulator

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// tunDevice is the kernel's door to TUN and TAP devices
// (Documentation/networking/tuntap.rst).
const tunDevice = "/dev/net/tun"

// TAP is a TAP device: the kernel's end is an Ethernet interface in one network
// namespace, this end is a file descriptor that reads what the interface sends
// and writes what it receives. The interface lives as long as the descriptor,
// so a killed process leaves none behind.
type TAP struct {
	name string
	fd   int
}

// OpenTAP creates the TAP interface name in the network namespace of the
// calling thread, down and with carrier. The caller must have the capability
// CAP_NET_ADMIN over that namespace.
func OpenTAP(name string) (*TAP, error) {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("open %s: %w: the kernel has no TUN/TAP driver here; try `modprobe tun`", tunDevice, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("open %s: %w: run as root, or open the device to this user (chmod 0666 %s)", tunDevice, err, tunDevice)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", tunDevice, err)
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("TAP device name %q: %w", name, err)
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("create TAP device %s: %w", name, err)
	}
	return &TAP{name: ifr.Name(), fd: fd}, nil
}

// Name returns the interface's name.
func (t *TAP) Name() string { return t.name }

// SetCarrier plugs the cable in or pulls it out: without carrier the interface
// shows NO-CARRIER to the system that owns it.
func (t *TAP) SetCarrier(on bool) error {
	v := 0
	if on {
		v = 1
	}
	if err := unix.IoctlSetPointerInt(t.fd, unix.TUNSETCARRIER, v); err != nil {
		return fmt.Errorf("set carrier of %s to %v: %w", t.name, on, err)
	}
	return nil
}

// Close removes the interface. It must not be called while a [Link] runs on it.
func (t *TAP) Close() error {
	if err := unix.Close(t.fd); err != nil {
		return fmt.Errorf("close TAP device %s: %w", t.name, err)
	}
	return nil
}
