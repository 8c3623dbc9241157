//go:build vm

package devices

import (
	"net/netip"
	"testing"

	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/integration/vm/fixture/provider"
	"github.com/trenza-router/trenza/integration/vm/fixture/stick"
)

// TestStick: a stick that is plugged in is a network device with a lease, pulled out it is gone, and it comes again.
func TestStick(t *testing.T) {
	here := fixture.Here(t)
	const mac = "02:00:5e:10:00:01"
	s := stick.New(t, stick.Options{Name: "hilink", Number: 1, MAC: mac, Network: netip.MustParsePrefix("192.168.8.1/24")})
	for range 2 {
		device := s.Plug()
		lease := provider.Lease(t, here, device, 100)
		if want := netip.MustParseAddr("192.168.8.1"); lease.Gateway != want {
			t.Errorf("the stick's gateway is %v, want %v", lease.Gateway, want)
		}
		t.Logf("%s: %v, round trip %v", device, lease.Address, provider.Ping(t, here, device, lease.Gateway.String(), 3))
		if page, err := provider.Fetch(t.Context(), here); err != nil || page != "hilink" {
			t.Errorf("the page is %q, %v", page, err)
		}
		s.Unplug()
		t.Logf("gone after %v", fixture.Eventually(t, fixture.Patience, "the stick's device to go", func() bool { return fixture.DeviceOf(mac) == "" }))
	}
}
