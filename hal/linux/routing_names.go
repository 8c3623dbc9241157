package linux

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// deviceNames translates between device names and interface indexes with the two ioctls made for it (netdevice(7)); a
// listing remembers what it asked.
type deviceNames struct {
	socket int
	known  map[int]string
}

func openNames() (*deviceNames, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		s, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return nil, kernelError(err, "open a socket to ask for device names")
	}
	return &deviceNames{socket: s, known: make(map[int]string)}, nil
}

func (n *deviceNames) Close() { _ = unix.Close(n.socket) }

// index is the number of the named device, or hal.ErrNotFound.
func (n *deviceNames) index(name string) (int, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("device %q: a device name has 1 to 15 bytes: %w", name, hal.ErrNotFound)
	}
	if err := unix.IoctlIfreq(n.socket, unix.SIOCGIFINDEX, r); err != nil {
		return 0, kernelError(err, "device %q", name)
	}
	return int(r.Uint32()), nil
}

// name is the name of the numbered device, or hal.ErrNotFound.
func (n *deviceNames) name(index int) (string, error) {
	if name, ok := n.known[index]; ok {
		return name, nil
	}
	r, err := unix.NewIfreq("")
	if err != nil {
		return "", fmt.Errorf("device number %d: %w", index, err)
	}
	r.SetUint32(uint32(index))
	if err := unix.IoctlIfreq(n.socket, unix.SIOCGIFNAME, r); err != nil {
		return "", kernelError(err, "device number %d", index)
	}
	n.known[index] = r.Name()
	return r.Name(), nil
}
