//go:build vm

package hardware

import (
	"log/slog"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/hal/hardware"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/integration/vm/fixture/services"
	"github.com/trenza-router/trenza/integration/vm/fixture/stick"
	"github.com/trenza-router/trenza/integration/vm/fixture/wifi"
)

// TestConformance: NetworkManager, ModemManager and the kernel together are as the tests of everything above take them to be.
func TestConformance(t *testing.T) {
	services.Bus(t)
	services.Udev(t)
	services.NetworkManager(t)
	services.ModemManager(t)
	card := wifi.Station(t, "card")
	const other = "Other" // one that no other test has had remembered
	wifi.New(t, wifi.Options{Name: "cafe", SSID: other, Passphrase: password, Network: prefix("10.71.0.1/24")})
	s := stick.New(t, stick.Options{Name: "spare", Number: 1, MAC: "02:00:5e:10:00:01", Network: prefix("192.168.8.1/24")})
	machine, err := linux.New(linux.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := hardware.New(hardware.Options{Kernel: machine, Log: slog.New(slog.DiscardHandler)})
	defer h.Close()
	haltest.ConformHardware(t, haltest.HardwareBench{
		Hardware: h, Station: card, Patience: patience,
		Air:  haltest.Air{Network: hal.Network{SSID: other, Security: hal.SecurityWPA2}, Password: password},
		Plug: func() { s.Plug() }, Unplug: s.Unplug,
	})
}
