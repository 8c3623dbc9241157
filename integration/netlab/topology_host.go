package netlab

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Host is a host on the LAN: a namespace with one device that is a DHCP and
// SLAAC client.
type Host struct {
	*Namespace
	spec HostSpec

	mu    sync.Mutex
	lease Lease
}

// Spec returns the host's description.
func (h *Host) Spec() HostSpec { return h.spec }

// Lease returns the IPv4 address that the host has from the router.
func (h *Host) Lease() Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease
}

// Addresses6 returns the host's IPv6 addresses of global scope that can be used:
// one made of its MAC, and with privacy a temporary one.
func (h *Host) Addresses6(ctx context.Context) ([]netip.Addr, error) {
	return h.addresses6(ctx, hostDevice)
}

// start switches the host's device on and returns when it has its addresses.
func (h *Host) start(ctx context.Context) error {
	if err := h.sysctl(sysctlHost(h.spec)...); err != nil {
		return err
	}
	if err := h.ip(ctx, "link set "+hostDevice+" up"); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.refresh(gctx) })
	g.Go(func() error { return h.awaitIPv6(gctx, hostDevice, lanPrefix6.Masked()) })
	return g.Wait()
}

// refresh gets a lease and configures it.
func (h *Host) refresh(ctx context.Context) error {
	lease, err := h.RequestLease(ctx, hostDevice, h.spec.Name, h.Lease().Address.Addr())
	if err != nil {
		return err
	}
	if err := lease.configure(ctx, h.Namespace, hostDevice, 0); err != nil {
		return err
	}
	var dns []string
	for _, a := range lease.DNS {
		dns = append(dns, a.String())
	}
	if err := h.setResolver(dns...); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease = lease
	return nil
}

// renew keeps the lease until ctx ends: at half of its time (RFC 2131, section
// 4.4.5).
func (h *Host) renew(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(h.Lease().Expires / 2):
		}
		if err := h.refresh(ctx); err != nil {
			return err
		}
	}
}
