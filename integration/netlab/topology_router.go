package netlab

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
)

// The router's files below Dir, and where it serves its page inside its
// namespace (see [Lab.Expose]).
const (
	routerStateDir = "router/state"
	routerRunDir   = "router/run"
	RouterWeb      = "127.0.0.1:8080"
)

// probeTargets are servers of the lab's internet, one for each kind of probe.
const probeTargets = `["icmp:198.51.100.1", "dns:198.51.100.53", "tcp:198.51.100.10:443", "http://198.51.100.11/generate_204"]`

// RouterRun returns the folder in which the daemon of [Lab.RouterConfig] has its
// control socket.
func (l *Lab) RouterRun() string { return filepath.Join(l.dir, routerRunDir) }

// RouterConfig returns the daemon's configuration for this lab (YAML): the
// interfaces are someone else's, IPv4 on the links comes by DHCP, IPv6 by router
// advertisement. policy is the path of a policy file; empty for none.
func (l *Lab) RouterConfig(policy string) string {
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("platform: static")
	line("state: %s", cmp.Or(l.kept, filepath.Join(l.dir, routerStateDir)))
	line("run: %s", l.RouterRun())
	line("lan:")
	line("  - device: %s", LANDevice)
	line("links:")
	for _, link := range l.specs {
		line("  - name: %s", link.Name)
		line("    device: %s", link.Device)
		line("    ipv4: dhcp")
		line("    ipv6: auto")
		for _, more := range link.Router {
			line("    %s", more)
		}
		if p := link.Params; p.Up.Rate > 0 && p.Down.Rate > 0 {
			line("    rate: {down: %dkbit, up: %dkbit}", p.Down.Rate/1000, p.Up.Rate/1000)
		}
		line("    probes: {interval: 1s, targets: %s}", probeTargets)
	}
	line(`resolver: {listen: [":53"], redirect: true}`)
	line("leases: [%s]", l.leaseFile())
	line("web: {listen: %q}", RouterWeb)
	if policy != "" {
		line("policy: %s", policy)
	}
	return s.String()
}
