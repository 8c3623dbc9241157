package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine/enginetest"
)

// TestAccessPoint: the house's WiFi network begins when its radio is plugged in; when its program ends, that is told and it begins again.
func TestAccessPoint(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, func(c *config.Config) {
		c.LAN[0].WiFi = []config.WiFi{{Device: "wlan0", SSID: "Casa", Passphrase: "correct horse", Country: "ES"}}
	})
	want := hal.AccessPoint{Device: "wlan0", Bridge: "lan0", SSID: "Casa", Passphrase: "correct horse", Security: hal.WPA2, Band: hal.Band2, Channel: 6, Country: "ES"}
	warned := func(code string) string {
		for _, w := range h.Status().Warnings {
			if w.Code == code && w.Subject == "wlan0" {
				return w.Text
			}
		}
		return ""
	}
	enginetest.Eventually(t, "word that the radio is missing", func() bool { return warned("radio") != "" })
	h.Machine.SetInterface(hal.Interface{Name: "wlan0", Kind: "device"})
	enginetest.Eventually(t, "the network", func() bool { return h.LANSide.OnAir("wlan0") == want && warned("radio") == "" })
	h.LANSide.FailRadio("wlan0", errors.New("hostapd: could not set channel"))
	enginetest.Eventually(t, "word of its end", func() bool { return strings.Contains(warned("access-point"), "could not set channel") })
	if text := warned("access-point"); strings.Contains(text, "horse") {
		t.Errorf("the passphrase is told: %s", text)
	}
	enginetest.Eventually(t, "the network again", func() bool { return h.LANSide.OnAir("wlan0") == want && warned("access-point") == "" })
}
