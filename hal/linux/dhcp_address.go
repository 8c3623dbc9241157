package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// leasedAddresses lists a device's IPv4 addresses that have an end: those that a DHCP client configured. What a person
// configured stays for ever, and is left alone.
func leasedAddresses(ctx context.Context, s *kernelSocket, device int) ([]netip.Prefix, error) {
	var out []netip.Prefix
	request := make([]byte, unix.SizeofIfAddrmsg)
	request[0] = unix.AF_INET
	err := dumpWhole(func() error {
		out = nil
		return s.ask(ctx, unix.RTM_GETADDR, unix.NLM_F_DUMP, request, func(a message) {
			index, p, _, ok := decodeAddress(a.payload)
			if ok && index == device && p.Addr().Is4() && a.payload[2]&unix.IFA_F_PERMANENT == 0 {
				out = append(out, p)
			}
		})
	})
	return out, kernelError(err, "list the addresses of device %d", device)
}

// setLeasedAddress gives a device the address until the lease ends, and takes every other leased address from it first:
// the kernel deletes, with the first address of a network, the others of the same network.
func setLeasedAddress(ctx context.Context, device int, g grant) error {
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return err
	}
	defer s.close()
	old, err := leasedAddresses(ctx, s, device)
	if err != nil {
		return err
	}
	for _, p := range old {
		if p != g.Addr {
			if err := deleteAddress(ctx, s, device, p); err != nil {
				return err
			}
		}
	}
	request := addressMessage(device, g.Addr)
	if g.Addr.Bits() < 31 {
		request = appendAttribute(request, unix.IFA_BROADCAST, broadcastOf(g.Addr).AsSlice())
	}
	// struct ifa_cacheinfo: preferred and valid for so many seconds, and two times that the kernel fills in. The kernel
	// removes the address itself when the lease ends and no client is there to renew it.
	left := uint32(max(time.Until(g.Expires)/time.Second, 1))
	cache := binary.NativeEndian.AppendUint32(nil, left)
	cache = binary.NativeEndian.AppendUint32(cache, left)
	request = appendAttribute(request, unix.IFA_CACHEINFO, append(cache, make([]byte, 8)...))
	const flags = unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	err = s.ask(ctx, unix.RTM_NEWADDR, flags, request, func(message) {})
	return kernelError(err, "give device %d the address %s", device, g.Addr)
}

// removeLeasedAddress takes the address from the device; that it is gone already is no error.
func removeLeasedAddress(ctx context.Context, device int, p netip.Prefix) error {
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return err
	}
	defer s.close()
	return deleteAddress(ctx, s, device, p)
}

func deleteAddress(ctx context.Context, s *kernelSocket, device int, p netip.Prefix) error {
	err := s.ask(ctx, unix.RTM_DELADDR, unix.NLM_F_ACK, addressMessage(device, p), func(message) {})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return kernelError(err, "take the address %s from device %d", p, device)
}

// addressMessage is the start of a request about one IPv4 address: struct ifaddrmsg and the address.
func addressMessage(device int, p netip.Prefix) []byte {
	b := make([]byte, unix.SizeofIfAddrmsg, 96)
	b[0], b[1] = unix.AF_INET, byte(p.Bits())
	binary.NativeEndian.PutUint32(b[4:], uint32(device))
	b = appendAttribute(b, unix.IFA_LOCAL, p.Addr().AsSlice())
	return appendAttribute(b, unix.IFA_ADDRESS, p.Addr().AsSlice())
}

// switchOn sets a device administratively up.
func switchOn(ctx context.Context, device hal.Interface) error {
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return err
	}
	defer s.close()
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(device.Index))
	binary.NativeEndian.PutUint32(b[8:], unix.IFF_UP)
	binary.NativeEndian.PutUint32(b[12:], unix.IFF_UP) // which flags to change
	err = s.ask(ctx, unix.RTM_NEWLINK, unix.NLM_F_ACK, b, func(message) {})
	return kernelError(err, "switch on %s", device.Name)
}
