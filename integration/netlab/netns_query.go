package netlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

// awaitIPv6 waits until a device has a usable address in a prefix and the
// namespace a default route over it.
func (n *Namespace) awaitIPv6(ctx context.Context, device string, prefix netip.Prefix) error {
	for {
		addrs, err := n.addresses6(ctx, device)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if !prefix.Contains(a) {
				continue
			}
			var route []json.RawMessage
			if err := n.query(ctx, &route, "-6", "route", "show", "default", "dev", device); err != nil {
				return err
			}
			if len(route) > 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no IPv6 address of %v and default route on %s in %s by router advertisement: %w",
				prefix, device, n.name, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// addresses6 returns a device's global addresses that are not tentative.
func (n *Namespace) addresses6(ctx context.Context, device string) ([]netip.Addr, error) {
	var devices []struct {
		Addresses []struct {
			Local     netip.Addr `json:"local"`
			Tentative bool       `json:"tentative"`
		} `json:"addr_info"`
	}
	if err := n.query(ctx, &devices, "-6", "address", "show", "dev", device, "scope", "global"); err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, d := range devices {
		for _, a := range d.Addresses {
			if a.Local.IsValid() && !a.Tentative {
				out = append(out, a.Local)
			}
		}
	}
	return out, nil
}

// query runs an ip(8) command in the namespace and decodes what it shows.
func (n *Namespace) query(ctx context.Context, into any, args ...string) error {
	out, err := exec.CommandContext(ctx, tool("ip"), append([]string{"-n", n.name, "-json"}, args...)...).Output()
	if err != nil {
		return fmt.Errorf("ip %s in %s: %w", strings.Join(args, " "), n.name, err)
	}
	if len(out) == 0 { // some versions print nothing for an empty list
		return nil
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("ip %s in %s: %w", strings.Join(args, " "), n.name, err)
	}
	return nil
}
