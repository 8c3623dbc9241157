package netlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// await polls until ready says true, and fails when it fails or ctx ends.
func await(ctx context.Context, what string, ready func() (bool, error)) error {
	for {
		ok, err := ready()
		if ok {
			return nil
		}
		if ctx.Err() != nil { // before err, which is then only what the end did to ready
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// awaitIPv6 waits until a device has a usable address in a prefix, and a default
// route over it, by router advertisement.
func (n *Namespace) awaitIPv6(ctx context.Context, device string, prefix netip.Prefix) error {
	what := fmt.Sprintf("an IPv6 address of %v and a default route on %s in %s", prefix, device, n.name)
	return await(ctx, what, func() (bool, error) {
		addrs, err := n.addresses6(ctx, device)
		if err != nil || !slices.ContainsFunc(addrs, prefix.Contains) {
			return false, err
		}
		var routes []json.RawMessage
		err = n.query(ctx, &routes, "-6", "route", "show", "default", "dev", device)
		return len(routes) > 0, err
	})
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
