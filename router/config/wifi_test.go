package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
)

func TestWiFi(t *testing.T) {
	c, err := Parse("test.yaml", []byte(`
lan:
  - device: br-lan
    bridge: [eth1]
    address: 192.168.83.1/24
    wifi:
      - {device: wlan0, ssid: Casa, passphrase: correct horse, country: ES}
      - {device: wlan1, ssid: Casa, passphrase: correct horse, country: ES, band: "5", security: mixed, hidden: true}
  - {device: wlan2, address: 192.168.84.1/24, guest: true, wifi: [{ssid: Visitors, passphrase: come in here, country: ES, channel: 11}]}
links: [{name: fiber, device: eth0}]
`))
	if err != nil {
		t.Fatal(err)
	}
	casa := hal.AccessPoint{Device: "wlan0", Bridge: "br-lan", SSID: "Casa", Passphrase: "correct horse", Security: hal.WPA2, Band: hal.Band2, Channel: 6, Country: "ES"}
	fast := casa
	fast.Device, fast.Security, fast.Band, fast.Channel, fast.Hidden = "wlan1", hal.WPA2WPA3, hal.Band5, 36, true
	want := []hal.AccessPoint{casa, fast, {Device: "wlan2", SSID: "Visitors", Passphrase: "come in here", Security: hal.WPA2, Band: hal.Band2, Channel: 11, Country: "ES", Isolated: true}}
	if diff := cmp.Diff(want, append(c.LAN[0].AccessPoints(), c.LAN[1].AccessPoints()...)); diff != "" {
		t.Error(diff)
	}
	for lan, refused := range map[string]string{
		`{device: br0, bridge: [eth1], wifi: [{ssid: a, passphrase: "12345678", country: ES}]}`:                                   "name the radio's device",
		`{device: eth1, wifi: [{device: wlan0, ssid: a, passphrase: "12345678", country: ES}]}`:                                   "is to join a bridge",
		`{device: wlan0, wifi: [{ssid: a, passphrase: "12345678", country: ES}, {ssid: b, passphrase: "12345678", country: ES}]}`: "a radio each",
		`{device: br0, bridge: [eth1], wifi: [{device: eth1, ssid: a, passphrase: "12345678", country: ES}]}`:                     "already used",
		`{device: wlan0, wifi: [{passphrase: "12345678", country: ES}]}`:                                                          "1 to 32 bytes",
		`{device: wlan0, wifi: [{ssid: a, passphrase: short, country: ES}]}`:                                                      "8 to 63",
		`{device: wlan0, wifi: [{ssid: a, passphrase: "12345678"}]}`:                                                              "two letters of the country",
		`{device: wlan0, wifi: [{ssid: a, passphrase: "12345678", country: ES, channel: 36}]}`:                                    "channel 36",
		`{device: wlan0, wifi: [{ssid: a, passphrase: "12345678", country: ES, band: "6"}]}`:                                      "use 2.4 or 5",
		`{device: wlan0, wifi: [{ssid: a, passphrase: "12345678", country: ES, security: wep}]}`:                                  "wpa2, wpa3 or mixed",
	} {
		if _, err := Parse("test.yaml", []byte("lan: ["+lan+"]\nlinks: [{name: fiber, device: eth0}]\n")); err == nil || !strings.Contains(err.Error(), refused) {
			t.Errorf("%s: %v, want it to say %q", lan, err, refused)
		}
	}
}
