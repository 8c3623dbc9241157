package engine_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/link"
)

// byHardware adds links without a device to a house.
func byHardware(links ...config.Link) func(*config.Config) {
	return func(c *config.Config) {
		for _, l := range links {
			l.ID, l.Weight, l.Role = flow.LinkID(len(c.Links)+1), 1, flow.Secondary
			l.IPv4.Mode, l.IPv6.Mode = config.Auto, config.Auto
			l.Probes = config.Probes{Targets: []string{"icmp:192.0.2.1"}, Interval: config.Duration(time.Second)}
			c.Links = append(c.Links, l)
		}
	}
}

func linkOf(h *enginetest.House, name string) engine.LinkView {
	for _, l := range h.Status().Links {
		if l.Name == name {
			return l
		}
	}
	return engine.LinkView{}
}

// plugStick plugs in a stick that plays a network of its own, and its network device.
func plugStick(h *enginetest.House, id, device, addr string) {
	h.Machine.SetInterface(hal.Interface{Name: device, Kind: "device", Up: true, Carrier: true, MAC: flow.MAC{2, 0, 0, 0, 9, 9}, Addrs: haltest.Addresses(addr)})
	h.Hardware.Plug(hal.LinkDevice{ID: id, Kind: hal.LinkStick, Name: device, MAC: flow.MAC{2, 0, 0, 0, 9, 9}, State: hal.LinkConnected, OurDHCP: true}, nil)
}

// routed is the default route over a device in the table of the first link by hardware.
func routed(t *testing.T, h *enginetest.House, device string) hal.Route {
	t.Helper()
	routes, err := h.Machine.Routes(t.Context(), 1000+4)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dev == device {
			return r
		}
	}
	return hal.Route{}
}

func unplug(h *enginetest.House, id, device string) {
	h.Machine.RemoveInterface(device)
	h.Hardware.Unplug(id)
}

// TestSticks: two sticks with one Ethernet address are two links; each goes and comes by itself, and keeps its place.
func TestSticks(t *testing.T) {
	stick := config.Hardware{Kind: hal.LinkStick}
	h := enginetest.Start(t, enginetest.Policy, byHardware(config.Link{Name: "one", Hardware: stick}, config.Link{Name: "two", Hardware: config.Hardware{Kind: hal.LinkStick, Port: "usb-2"}}))
	if l := linkOf(h, "one"); l.Device != "" || l.Usable || l.Reason != "no stick is plugged in" {
		t.Errorf("without a stick: %+v", l)
	}
	for _, w := range h.Status().Warnings {
		t.Errorf("an empty place is warned of: %+v", w)
	}
	// The second place names its port, so the first stick, which is in it, is not the first place's.
	plugStick(h, "usb-2", "usb0", "192.168.8.100/24")
	h.Hardware.Plug(hal.LinkDevice{ID: "usb-2", Kind: hal.LinkStick, Name: "usb0", State: hal.LinkConnected, Gateways: []netip.Addr{netip.MustParseAddr("192.168.8.1")}}, nil)
	enginetest.Eventually(t, "the link of the stick", func() bool { return linkOf(h, "two").State == "up" })
	if l := linkOf(h, "two"); l.Device != "usb0" || l.Gateway4 != netip.MustParseAddr("192.168.8.1") || linkOf(h, "one").Device != "" {
		t.Errorf("the links are %+v and %+v", linkOf(h, "one"), l)
	}
	plugStick(h, "usb-1", "usb1", "192.168.8.101/24")
	h.Hardware.Plug(hal.LinkDevice{ID: "usb-1", Kind: hal.LinkStick, Name: "usb1", State: hal.LinkConnected, Gateways: []netip.Addr{netip.MustParseAddr("192.168.8.1")}}, nil)
	enginetest.Eventually(t, "the other stick's link", func() bool { return linkOf(h, "one").State == "up" })
	if got := h.Hardware.Setups()["usb1"].Link; got != "one" {
		t.Errorf("the stick was set up as %q", got)
	}
	enginetest.Eventually(t, "the stick's route", func() bool { return routed(t, h, "usb1").Gateway == netip.MustParseAddr("192.168.8.1") })
	unplug(h, "usb-2", "usb0")
	enginetest.Eventually(t, "the stick to be gone", func() bool { return linkOf(h, "two").Device == "" && linkOf(h, "two").State == "down" })
	if l := linkOf(h, "two"); l.Reason != "no stick is plugged in at usb-2" {
		t.Errorf("unplugged: %+v", l)
	}
	if l := linkOf(h, "one"); l.State != "up" || l.Device != "usb1" {
		t.Errorf("the other stick's link: %+v", l)
	}
	for _, w := range h.Status().Warnings {
		t.Errorf("unplugging is warned of: %+v", w)
	}
	if h.Status().Links[0].State != link.Up.String() {
		t.Error("the fiber was touched")
	}
}

// TestStickLease: a stick that nobody configures gets its address from our own client.
func TestStickLease(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, byHardware(config.Link{Name: "stick", Hardware: config.Hardware{Kind: hal.LinkStick}}))
	if l := linkOf(h, "stick"); l.Device != "" {
		t.Fatalf("%+v", l)
	}
	h.Machine.OnDHCP = func(ctx context.Context, device string, f func(hal.Lease)) error {
		if device == "usb0" {
			f(hal.Lease{Addr: netip.MustParsePrefix("192.168.8.100/24"), Gateway: netip.MustParseAddr("192.168.8.1"), MTU: 1400, Expires: time.Now().Add(time.Hour)})
		}
		<-ctx.Done()
		return ctx.Err()
	}
	plugStick(h, "usb-1", "usb0", "192.168.8.100/24")
	enginetest.Eventually(t, "the link of the stick", func() bool { return linkOf(h, "stick").State == "up" })
	enginetest.Eventually(t, "the stick's route", func() bool { return routed(t, h, "usb0").MTU == 1400 })
}

// TestModemPIN: a wrong PIN of the file is given once, however often the modem comes and goes in its states; then a person is asked.
func TestModemPIN(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, byHardware(config.Link{Name: "mobile", Hardware: config.Hardware{Kind: hal.LinkModem, PIN: "9999", APN: "internet"}}))
	card := &haltest.Card{PIN: "1234", APN: "internet", Tries: 3}
	modem := hal.LinkDevice{ID: "usb-1", Kind: hal.LinkModem, State: hal.LinkOff}
	h.Hardware.Plug(modem, card)
	enginetest.Eventually(t, "the wrong PIN to be told", func() bool { return linkOf(h, "mobile").Reason == "wrong PIN, 2 attempts left" })
	for range 5 { // news of the modem that are no reason to try again
		modem.Modem.Signal.Quality += 10
		modem.Detail += "."
		h.Hardware.Plug(modem, card)
		time.Sleep(20 * time.Millisecond)
	}
	if card.Tries != 2 {
		t.Errorf("%d tries are left, want 2: the PIN was given again", card.Tries)
	}
	warned := false
	for _, w := range h.Status().Warnings {
		warned = warned || w.Code == "hardware" && strings.Contains(w.Text, "2 attempts left") && strings.Contains(w.Fix, "trenza modem unlock mobile")
	}
	if !warned {
		t.Errorf("nobody is asked for the PIN: %+v", h.Status().Warnings)
	}
	if _, err := h.UnlockModem(t.Context(), "mobile", "1234", false); err != nil {
		t.Fatal(err)
	}
	enginetest.Eventually(t, "the modem to connect", func() bool { return linkOf(h, "mobile").Device == "wwan0" })
	for _, w := range h.Status().Warnings {
		if w.Code == "hardware" {
			t.Errorf("still warned of: %+v", w)
		}
	}
}

// TestDeafModem: a modem that says it is connected while its network device has no carrier is connected anew, and then serves.
func TestDeafModem(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, byHardware(config.Link{Name: "mobile", Hardware: config.Hardware{Kind: hal.LinkModem, APN: "internet"}}))
	h.Machine.SetInterface(hal.Interface{Name: "wwan0", Kind: "device", Up: true, Addrs: haltest.Addresses("10.76.0.2/30")})
	h.Hardware.Plug(hal.LinkDevice{ID: "usb-1", Kind: hal.LinkModem, State: hal.LinkOff}, &haltest.Card{APN: "internet", Tries: 3})
	told := func() bool {
		return slices.ContainsFunc(h.Events(100), func(e engine.EventView) bool {
			return e.Subject == "mobile" && strings.Contains(e.Text, "connected anew")
		})
	}
	enginetest.Eventually(t, "the modem to be connected anew", told)
	enginetest.Eventually(t, "the modem to connect", func() bool { return linkOf(h, "mobile").Device == "wwan0" })
}

// TestDialledLink: a session is asked for as soon as what it stands on is there, and its device is the link's.
func TestDialledLink(t *testing.T) {
	dsl := config.Hardware{Kind: hal.LinkPPP, Parent: "eth9", User: "house", Password: "secret"}
	h := enginetest.Start(t, enginetest.Policy, byHardware(config.Link{Name: "dsl", Hardware: dsl}))
	h.Hardware.Plug(hal.LinkDevice{ID: "pci-1", Kind: hal.LinkEthernet, Name: "eth9", State: hal.LinkConnected}, nil)
	enginetest.Eventually(t, "the session", func() bool { return linkOf(h, "dsl").Device == "ppp0" })
	want := hal.DialSetup{LinkSetup: hal.LinkSetup{Link: "dsl"}, Parent: "eth9", User: "house", Password: "secret"}
	if got := h.Hardware.Dialled(); len(got) != 1 || got[0] != want {
		t.Errorf("dialled %+v", got)
	}
}

// TestHardwareOfTheLAN: the household's own device is not offered as a way out.
func TestHardwareOfTheLAN(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	for _, name := range []string{"lan0", "wan1", "spare0"} {
		h.Hardware.Plug(hal.LinkDevice{ID: "net-" + name, Kind: hal.LinkEthernet, Name: name, State: hal.LinkConnected}, nil)
	}
	all, err := h.Engine.Hardware(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "spare0" || all[0].Link != "" || all[1].Name != "wan1" || all[1].Link != "fiber" {
		t.Errorf("%+v, %v", all, err)
	}
}
