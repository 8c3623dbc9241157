package linux

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// bearerTime is how long an address stays on a modem's interface: long, but not for ever, which would mark it as a person's.
const bearerTime = 10 * 365 * 24 * time.Hour

// SetBearerAddress switches a modem's interface on and gives it the address that the operator told, in place of an earlier one. It may be
// called again. hal.ErrNotFound when there is no such device.
func (m *Machine) SetBearerAddress(ctx context.Context, device string, p netip.Prefix) error {
	all, err := m.Interfaces(ctx)
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.Name != device {
			continue
		}
		if !i.Up {
			if err := switchOn(ctx, i); err != nil {
				return err
			}
		}
		return setLeasedAddress(ctx, i.Index, grant{Lease: hal.Lease{Addr: p, Expires: time.Now().Add(bearerTime)}})
	}
	return fmt.Errorf("give %s the address %v: %w", device, p, hal.ErrNotFound)
}

// Peers are the other ends of point-to-point devices, by the device's name: what a default route over one can name as its gateway.
func (m *Machine) Peers(ctx context.Context) (map[string]netip.Addr, error) {
	s, v, err := openDevices(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	out := map[string]netip.Addr{}
	request := make([]byte, unix.SizeofIfAddrmsg)
	request[0] = unix.AF_INET
	err = dumpWhole(func() error {
		clear(out)
		return s.ask(ctx, unix.RTM_GETADDR, unix.NLM_F_DUMP, request, func(a message) {
			if device, peer, ok := decodePeer(a.payload); ok && a.kind == unix.RTM_NEWADDR {
				out[v.name(device)] = peer
			}
		})
	})
	return out, kernelError(err, "list the ends of point-to-point devices")
}

// decodePeer reads the other end out of an address message; false when the device has none.
func decodePeer(b []byte) (index int, peer netip.Addr, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return 0, peer, false
	}
	var local netip.Addr
	for kind, data := range attributes(b[unix.SizeofIfAddrmsg:]) {
		switch kind {
		case unix.IFA_ADDRESS:
			peer, _ = netip.AddrFromSlice(data)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(data)
		}
	}
	return int(host32(b[4:])), peer, peer.IsValid() && local.IsValid() && peer != local
}
