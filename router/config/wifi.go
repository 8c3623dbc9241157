package config

import (
	"cmp"
	"fmt"

	"github.com/trenza-router/trenza/hal"
)

// WiFi is a WiFi network of the household on a radio of the router's.
type WiFi struct {
	Device     string                  `yaml:"device"` // the radio's; "": the LAN's own device
	SSID       string                  `yaml:"ssid"`
	Passphrase Secret                  `yaml:"passphrase"`
	Security   hal.AccessPointSecurity `yaml:"security"` // "": wpa2
	Band       hal.Band                `yaml:"band"`     // "": 2.4
	Channel    int                     `yaml:"channel"`  // 0: the first one of the band that is commonly taken
	Country    string                  `yaml:"country"`
	Hidden     bool                    `yaml:"hidden"`
}

// AccessPoints are the WiFi networks of a LAN as a radio is told of them.
func (l LAN) AccessPoints() []hal.AccessPoint {
	var out []hal.AccessPoint
	for _, w := range l.WiFi {
		a := hal.AccessPoint{
			Device: cmp.Or(w.Device, l.Device), SSID: w.SSID, Passphrase: string(w.Passphrase), Security: cmp.Or(w.Security, hal.WPA2), Band: cmp.Or(w.Band, hal.Band2),
			Channel: w.Channel, Country: w.Country, Hidden: w.Hidden, Isolated: l.Guest,
		}
		if a.Device != l.Device {
			a.Bridge = l.Device
		}
		if a.Channel == 0 {
			a.Channel = map[hal.Band]int{hal.Band2: 6, hal.Band5: 36}[a.Band]
		}
		out = append(out, a)
	}
	return out
}

// checkWiFi looks at the WiFi networks of a LAN, the one at that path; used holds the devices that are taken.
func (l LAN) checkWiFi(at string, used map[string]string) error {
	for i, a := range l.AccessPoints() {
		here := fmt.Sprintf("%s.wifi[%d]", at, i)
		switch {
		case a.Bridge == "" && len(l.Bridge) > 0:
			return misfitf(here, "lan %s: wifi: a bridge is no radio: name the radio's device", l.Device)
		case a.Bridge == "" && len(l.WiFi) > 1:
			return misfitf(here, "lan %s: wifi: two networks need a bridge of ours, and a radio each: name them by device, and the bridge's other ports by bridge", l.Device)
		case a.Bridge != "" && len(l.Bridge) == 0:
			return misfitf(here+".device", "lan %s: wifi: the radio %s is to join a bridge, and %s is none of ours: state bridge, or make %s the lan's device", l.Device, a.Device, l.Device, a.Device)
		}
		if a.Bridge != "" {
			if err := checkDevice(here+".device", a.Device, "the wifi of lan "+l.Device, used); err != nil {
				return err
			}
		}
		if err := a.Validate(); err != nil {
			return misfitf(here, "lan %s: wifi: %v", l.Device, err)
		}
	}
	return nil
}
