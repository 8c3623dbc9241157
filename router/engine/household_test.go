package engine_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
)

// served waits until hosts on a device are given something that fits.
func served(t *testing.T, h *enginetest.House, device, what string, fits func(hal.AddressNetwork) bool) {
	t.Helper()
	enginetest.Eventually(t, what, func() bool {
		s, _ := h.LANSide.Serving()
		for _, n := range s.Networks {
			if n.Device == device && fits(n) {
				return true
			}
		}
		return false
	})
}

func lanOf(h *enginetest.House, device string) engine.LANView {
	for _, l := range h.LAN() {
		if l.Device == device {
			return l
		}
	}
	return engine.LANView{}
}

// TestHousehold: a LAN is made and served, follows what a provider delegates, and stays as it was when a change is refused or a program ends.
func TestHousehold(t *testing.T) {
	stick := config.Link{Name: "stick", Hardware: config.Hardware{Kind: hal.LinkStick}}
	h := enginetest.Start(t, enginetest.Policy, func(c *config.Config) {
		byHardware(stick)(c)
		c.LAN = append(c.LAN, config.LAN{Device: "br-lan", Bridge: []string{"port1", "port2"}, Address: netip.MustParsePrefix("192.168.83.1/24"),
			ULA: netip.MustParsePrefix("fd12:3456:789a::1/64"), IPv6: config.AdvertiseOn, DHCP: &config.DHCPRange{}})
	})
	served(t, h, "br-lan", "addresses for hosts", func(n hal.AddressNetwork) bool {
		return n.First == netip.MustParseAddr("192.168.83.50") && n.Router == netip.MustParsePrefix("192.168.83.1/24") && n.Advertise && n.Way6 &&
			n.Router6 == netip.MustParseAddr("fd12:3456:789a::1")
	})
	if v := lanOf(h, "br-lan"); !v.Present || v.Trouble != "" || len(v.Addresses) != 2 || v.First != netip.MustParseAddr("192.168.83.50") {
		t.Errorf("shown as %+v", v)
	}
	if v := lanOf(h, "lan0"); v.First.IsValid() || v.Advertise {
		t.Errorf("another program's LAN is shown as %+v", v)
	}

	// A port that is plugged in later is switched on.
	h.Machine.SetInterface(hal.Interface{Name: "port2", Kind: "device"})
	enginetest.Eventually(t, "the new port to be up", func() bool {
		all, err := h.Machine.Interfaces(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			if i.Name == "port2" {
				return i.Up
			}
		}
		return false
	})

	// The second LAN gets the second network of what a provider delegates, and keeps its own.
	plugStick(h, "usb-1", "usb0", "192.168.8.100/24")
	h.Hardware.Plug(hal.LinkDevice{ID: "usb-1", Kind: hal.LinkStick, Name: "usb0", State: hal.LinkConnected, Prefix: netip.MustParsePrefix("2001:db8:7:10::/60")}, nil)
	delegated := netip.MustParsePrefix("2001:db8:7:11::1/64")
	has := func() bool {
		for _, a := range lanOf(h, "br-lan").Addresses {
			if a == delegated {
				return true
			}
		}
		return false
	}
	enginetest.Eventually(t, "an address in the delegated network", has)
	unplug(h, "usb-1", "usb0")
	enginetest.Eventually(t, "the delegated network to go", func() bool { return !has() })

	// What takes the device away is undone.
	h.Machine.RemoveInterface("br-lan")
	enginetest.Eventually(t, "the bridge to be made again", func() bool { return lanOf(h, "br-lan").Present && len(lanOf(h, "br-lan").Addresses) == 2 })
	served(t, h, "br-lan", "addresses for hosts again", func(n hal.AddressNetwork) bool { return n.First.IsValid() })

	_, before := h.LANSide.Serving()
	enginetest.Eventually(t, "the program to be started again", func() bool {
		_, starts := h.LANSide.Serving()
		if starts == before {
			h.LANSide.Fail(errors.New("address already in use"))
		}
		return starts > before
	})
	served(t, h, "br-lan", "addresses for hosts at last", func(n hal.AddressNetwork) bool { return n.First.IsValid() })
	enginetest.Eventually(t, "the warning to go", func() bool { return !warned(h, "addresses") && lanOf(h, "br-lan").Trouble == "" })

	// A service that is refused leaves the one that runs.
	h.LANSide.Refuse(errors.New("line 7: bad option"))
	plugStick(h, "usb-1", "usb0", "192.168.8.100/24")
	for _, d := range []string{"wan1", "wan3"} { // no way out for IPv6: another service is wanted
		h.Machine.RemoveInterface(d)
	}
	enginetest.Eventually(t, "the refusal to be told", func() bool { return strings.Contains(lanOf(h, "br-lan").Trouble, "line 7: bad option") })
	if s, _ := h.LANSide.Serving(); len(s.Networks) != 1 || !s.Networks[0].Way6 {
		t.Errorf("a refused service replaced the one that ran: %+v", s)
	}
}

// TestHouseholdInTheWay: a bridge of another program's is not taken.
func TestHouseholdInTheWay(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, func(c *config.Config) {
		c.LAN = []config.LAN{{Device: "lan0", Bridge: []string{"port1"}, Address: netip.MustParsePrefix("192.168.83.1/24")}}
	})
	enginetest.Eventually(t, "the trouble to be told", func() bool {
		return strings.Contains(lanOf(h, "lan0").Trouble, hal.ErrExists.Error()) && warned(h, "lan-port")
	})
	if _, err := engine.New(t.Context(), engine.Options{Config: config.Config{LAN: []config.LAN{{Device: "lan0", DHCP: &config.DHCPRange{}}}}}); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("on a machine that serves nobody: %v", err)
	}
}
