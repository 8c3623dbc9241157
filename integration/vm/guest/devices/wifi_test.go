//go:build vm

package devices

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/integration/vm/fixture/provider"
	"github.com/trenza-router/trenza/integration/vm/fixture/wifi"
)

const (
	ssid       = "Neighbour"
	passphrase = "correct horse"
)

// TestAccessPoint: a station joins, gets a lease and the page; it loses the access point that dies, and finds it again.
func TestAccessPoint(t *testing.T) {
	here := fixture.Here(t)
	ap := wifi.New(t, wifi.Options{Name: "cafe", SSID: ssid, Passphrase: passphrase, Network: netip.MustParsePrefix("10.71.0.1/24")})
	card := wifi.Station(t, "card")
	station := join(t, card, "psk=\""+passphrase+"\"")
	t.Logf("associated after %v", station.Await(t, "CTRL-EVENT-CONNECTED"))
	lease := provider.Lease(t, here, card, 100)
	t.Logf("round trip %v", provider.Ping(t, here, card, lease.Gateway.String(), 5))
	if page, err := provider.Fetch(t.Context(), here); err != nil || page != "cafe" {
		t.Errorf("the page is %q, %v", page, err)
	}

	ap.Kill()
	t.Logf("lost after %v", fixture.Eventually(t, fixture.Patience, "the station to lose its access point", func() bool {
		text, err := os.ReadFile("/sys/class/net/" + card + "/carrier")
		return err == nil && strings.TrimSpace(string(text)) == "0"
	}))
	ap.Start()
	t.Logf("back after %v", fixture.Eventually(t, 2*fixture.Patience, "the station to come back", func() bool {
		return strings.Count(station.Output(), "CTRL-EVENT-CONNECTED") == 2
	}))
	provider.Ping(t, here, card, lease.Gateway.String(), 3)
}

// TestAccessPointKinds: a station joins every kind of network, and not with a wrong passphrase.
func TestAccessPointKinds(t *testing.T) {
	card := wifi.Station(t, "card")
	for _, c := range []struct {
		name    string
		options wifi.Options
		station string
		says    string
	}{
		{"WPA3", wifi.Options{Security: wifi.WPA3, Passphrase: passphrase}, "key_mgmt=SAE\nieee80211w=2\nsae_password=\"" + passphrase + "\"", "CTRL-EVENT-CONNECTED"},
		{"open", wifi.Options{Security: wifi.Open}, "key_mgmt=NONE", "CTRL-EVENT-CONNECTED"},
		{"hidden", wifi.Options{Hidden: true, Passphrase: passphrase, Channel: 6}, "scan_ssid=1\npsk=\"" + passphrase + "\"", "CTRL-EVENT-CONNECTED"},
		{"wrong passphrase", wifi.Options{Passphrase: passphrase}, "psk=\"something else\"", "WRONG_KEY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Name, c.options.SSID, c.options.Network = "kind", ssid, netip.MustParsePrefix("10.72.0.1/24")
			wifi.New(t, c.options)
			t.Logf("%q after %v", c.says, join(t, card, c.station).Await(t, c.says))
		})
	}
}

// join starts a station's own program for the network, with the lines that the kind of network takes.
func join(t *testing.T, card, lines string) *fixture.Process {
	t.Helper()
	config := filepath.Join(t.TempDir(), "station.conf")
	text := "network={\nssid=\"" + ssid + "\"\n" + lines + "\n}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return fixture.Start(t, exec.CommandContext(context.Background(), "wpa_supplicant", "-D", "nl80211", "-i", card, "-c", config))
}
