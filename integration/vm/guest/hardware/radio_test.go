//go:build vm

package hardware

import (
	"context"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/integration/vm/fixture/provider"
	"github.com/trenza-router/trenza/integration/vm/fixture/wifi"
)

// TestHouseholdRadio: the router runs the household's WiFi network: a tablet joins it by its passphrase, gets an address and the internet; one with
// another passphrase does not.
func TestHouseholdRadio(t *testing.T) {
	radio := wifi.Station(t, "casa")
	h := newHouseOf(t, "{device: "+radio+`, address: 10.31.0.1/24, dhcp: {}, wifi: [{ssid: "`+ssid+`", passphrase: "`+password+`", country: ES}]}`, "{}")
	tablet := fixture.Namespace(t, "tablet")
	card := wifi.StationIn(t, "tablet", tablet)
	join := func(passphrase string) *fixture.Process {
		file := h.file("station.conf", "network={\nssid=\""+ssid+"\"\npsk=\""+passphrase+"\"\n}\n")
		return fixture.Start(t, tablet.Command(context.Background(), "wpa_supplicant", "-D", "nl80211", "-i", card, "-c", file))
	}
	stranger := join("something else")
	t.Logf("a wrong passphrase is refused after %v", stranger.Await(t, "WRONG_KEY"))
	stranger.Stop()
	t.Logf("joined after %v", join(password).Await(t, "CTRL-EVENT-CONNECTED"))
	lease := provider.Lease(t, tablet, card, 100)
	if lease.Gateway != addr("10.31.0.1") {
		t.Errorf("the tablet's lease is %+v", lease)
	}
	fixture.Eventually(t, patience, "a page for the tablet", func() bool {
		page, err := provider.Fetch(t.Context(), tablet)
		return err == nil && page == "wire"
	})
	if out, err := h.ask("", "status"); err != nil || strings.Contains(out, "WiFi network") {
		t.Errorf("the status has something against the radio: %v: %s", err, out)
	}
}
