//go:build vm

package devices

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/integration/vm/fixture/provider"
	"github.com/trenza-router/trenza/integration/vm/fixture/trunk"
)

// TestTrunk: two networks on one cable are apart, and their frames carry their tags.
func TestTrunk(t *testing.T) {
	here := fixture.Here(t)
	networks := map[int]netip.Prefix{20: netip.MustParsePrefix("10.74.20.1/24"), 30: netip.MustParsePrefix("10.74.30.1/24")}
	k := trunk.New(t, "switch", "cable0", networks)
	for tag, network := range networks {
		device := fmt.Sprintf("cable0.%d", tag)
		fixture.IP(t, here, fmt.Sprintf("link add link cable0 name %s type vlan id %d", device, tag))
		seen := k.Tags(func() {
			lease := provider.Lease(t, here, device, 100+tag)
			if lease.Gateway != network.Addr() {
				t.Errorf("the gateway on %s is %v, want %v", device, lease.Gateway, network.Addr())
			}
			provider.Ping(t, here, device, lease.Gateway.String(), 5)
		})
		if seen[tag] < 5 {
			t.Errorf("5 pings and a lease on %s are frames with these tags: %v", device, seen)
		}
		// A device that has just come up says a word or two by itself (neighbour discovery).
		if other := 50 - tag; 2*seen[other] > seen[tag] {
			t.Errorf("what was sent on %s has the tag of another network: %v", device, seen)
		}
	}
}
