//go:build vm

package hardware

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/integration/vm/fixture/services"
	"github.com/trenza-router/trenza/integration/vm/fixture/stick"
	"github.com/trenza-router/trenza/integration/vm/fixture/wifi"
	"github.com/trenza-router/trenza/webui/api"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

const (
	ssid     = "Neighbour"
	password = "correct horse"
)

// policy sends pages over the WiFi network while there is one; all else goes as the links' roles say.
const policy = `house:
  - {id: pages, name: Pages over the neighbour's WiFi, force: must, what: {services: [tcp/80]}, steer: {use: [cafe, wire, spare], mode: failover}}
`

// TestLinksComeAndGo: a router that starts with its cable alone joins a WiFi network, loses it, gets a stick and loses that; and what
// goes over the cable does not feel it, nor that the machine's services are started anew.
func TestLinksComeAndGo(t *testing.T) {
	bus := services.Bus(t)
	services.Udev(t)
	manager := services.NetworkManager(t)
	card := wifi.Station(t, "card")
	h := newHouse(t, policy, "name: cafe, role: secondary, hardware: {kind: wifi}", "name: spare, role: backup, hardware: {kind: stick}")
	h.serves("wire")

	ap := wifi.New(t, wifi.Options{Name: "cafe", SSID: ssid, Passphrase: password, Network: prefix("10.71.0.1/24")})
	fixture.Eventually(t, patience, "the network in the scan", func() bool {
		out, err := h.ask("", "wifi", "scan")
		return err == nil && strings.Contains(out, ssid)
	})
	start := time.Now()
	if _, err := h.ask("not this one\n", "wifi", "join", ssid); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("with a wrong password: %v", err)
	}
	t.Logf("a wrong password is told after %v", time.Since(start))
	if saved := fixture.Run(t, exec.CommandContext(t.Context(), "nmcli", "--terse", "--fields", "NAME", "connection")); strings.Contains(saved, "trenza-cafe") {
		t.Errorf("after a wrong password the network is remembered: %s", saved)
	}
	start = time.Now()
	if out, err := h.ask(password+"\n", "wifi", "join", ssid); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("joined after %v, in use %s later", time.Since(start), h.await("cafe", usable))
	if l := h.link("cafe"); l.Device != card {
		t.Errorf("the link's device is %s, want %s", l.Device, card)
	}
	h.serves("cafe")
	if routes := fixture.Run(t, exec.CommandContext(t.Context(), "ip", "route", "show", "default")); strings.Contains(routes, card) {
		t.Errorf("the main table leads over the WiFi network: %s", routes)
	}

	ap.Kill()
	h.serves("wire")

	s := stick.New(t, stick.Options{Name: "spare", Number: 1, MAC: "02:00:5e:10:00:01", Network: prefix("192.168.8.1/24")})
	s.Plug()
	t.Logf("the stick is a link after %s, in use after %s more", h.await("spare", func(l api.Link) bool { return l.Device != "" }), h.await("spare", usable))
	h.serves("wire")
	h.cut(true)
	h.serves("spare")
	stop := h.pings()
	s.Unplug()
	t.Logf("unplugged: no link after %s", h.await("spare", func(l api.Link) bool { return l.Device == "" && !l.Usable }))
	h.cut(false)
	h.serves("wire")
	sent, lost := stop()
	t.Logf("of %d echo requests %d were lost while no link was there", sent, lost)
	if left := fixture.Run(t, exec.CommandContext(t.Context(), "ip", "route", "show", "table", "1003")); strings.Contains(left, "192.168.8.") {
		t.Errorf("the stick's table still has %s", left)
	}

	stop = h.pings()
	manager.Stop()
	manager = services.NetworkManager(t)
	ap.Start()
	t.Logf("NetworkManager is new, and the WiFi network back: in use after %s", h.await("cafe", usable))
	h.serves("cafe")
	manager.Stop()
	bus.Stop()
	services.Bus(t)
	services.NetworkManager(t)
	t.Logf("the bus is new: the WiFi network in use after %s", h.await("cafe", usable))
	h.serves("cafe")
	if sent, lost = stop(); lost > 0 {
		t.Errorf("while the services were started anew, %d of %d echo requests over the cable were lost", lost, sent)
	}
}
