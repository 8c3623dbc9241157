package haltest

import (
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
)

func TestHardwareConforms(t *testing.T) {
	air := Air{Network: hal.Network{SSID: "Neighbour", Security: hal.SecurityWPA2, Signal: 70, Frequency: 2412}, Password: "correct horse"}
	h := &Hardware{}
	h.SetAir(Air{Network: hal.Network{SSID: "Far", Security: hal.SecurityOpen, Signal: 10, Frequency: 2437}}, air)
	h.Plug(hal.LinkDevice{ID: "usb-1", Kind: hal.LinkWiFi, Name: "wlan0"}, nil)
	ConformHardware(t, HardwareBench{
		Hardware: h, Station: "wlan0", Air: air, Patience: time.Minute,
		Plug:   func() { h.Plug(hal.LinkDevice{ID: "usb-2", Kind: hal.LinkStick, Name: "usb0"}, nil) },
		Unplug: func() { h.Unplug("usb-2") },
	})
}
