//go:build vm

package devices

import (
	"context"
	"encoding/json"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/integration/vm/fixture/modem"
	"github.com/trenza-router/trenza/integration/vm/fixture/modem/at"
	"github.com/trenza-router/trenza/integration/vm/fixture/provider"
	"github.com/trenza-router/trenza/integration/vm/fixture/services"
)

// managing is how long ModemManager may take for one of its steps. It waits for ports to settle and asks a new modem some
// fifty questions.
const managing = 2 * time.Minute

// TestModems: ModemManager takes both flavours for modems, unlocks and connects them, data go through, and pulled out they
// are gone from the bus.
func TestModems(t *testing.T) {
	services.Bus(t)
	services.Udev(t)
	services.ModemManager(t)
	t.Run("generic", testGeneric)
	t.Run("huawei", testHuawei)
}

func testGeneric(t *testing.T) {
	here := fixture.Here(t)
	m := modem.New(t, modem.Options{Name: "serial", Network: netip.MustParsePrefix("10.75.0.1/30")})
	m.Plug()
	awaitModem(t, "registered")
	bearer := connect(t)
	if bearer.IPv4.Method != "ppp" || !strings.HasPrefix(bearer.Status.Interface, "ttyACM") {
		t.Errorf("the bearer is %+v", bearer)
	}
	ppp := fixture.Start(t, exec.CommandContext(context.Background(), "pppd", "/dev/"+bearer.Status.Interface, "nodetach", "noauth", "local",
		"noipdefault", "nodefaultroute", "noipv6", "ifname", "modem-ppp"))
	t.Logf("session after %v", ppp.Await(t, "local  IP address 10.75.0.2"))
	fixture.IP(t, here, "route replace default dev modem-ppp metric 100")
	if page, err := provider.Fetch(t.Context(), here); err != nil || page != "serial" {
		t.Errorf("the page is %q, %v", page, err)
	}
	ppp.Stop()
	pullOut(t, m)
}

func testHuawei(t *testing.T) {
	here := fixture.Here(t)
	m := modem.New(t, modem.Options{Name: "stick", Flavour: at.Huawei, PIN: "1234", Network: netip.MustParsePrefix("10.76.0.1/30")})
	m.Plug()
	awaitModem(t, "locked")
	if out, err := mmcli(t, "-i", simOf(t), "--pin=0000").CombinedOutput(); err == nil {
		t.Errorf("a wrong PIN is taken: %s", out)
	}
	if m.AT().Tries() != 2 {
		t.Errorf("after one wrong PIN the card has %d tries left, want 2", m.AT().Tries())
	}
	fixture.Run(t, mmcli(t, "-i", simOf(t), "--pin=1234"))
	awaitModem(t, "disabled")
	fixture.Run(t, mmcli(t, "-m", "any", "--enable"))
	state := awaitModem(t, "registered")
	if state.Generic.Plugin != "huawei" || state.ThreeGPP.Operator != "Testnet" {
		t.Errorf("the modem is %+v", state)
	}
	bearer := connect(t)
	device := m.Device()
	if bearer.Status.Interface != device || bearer.IPv4.Address != "10.76.0.2" || bearer.IPv4.Gateway != "10.76.0.1" {
		t.Errorf("the bearer is %+v, the device %s", bearer, device)
	}
	lease := provider.Lease(t, here, device, 100)
	t.Logf("round trip %v", provider.Ping(t, here, device, lease.Gateway.String(), 3))
	if page, err := provider.Fetch(t.Context(), here); err != nil || page != "stick" {
		t.Errorf("the page is %q, %v", page, err)
	}
	pullOut(t, m)
}

// pullOut unplugs a modem and waits until nobody knows it any more.
func pullOut(t *testing.T, m *modem.Modem) {
	t.Helper()
	m.Unplug()
	t.Logf("gone from the machine after %v", fixture.Eventually(t, 10*time.Second, "the network device to go", func() bool { return m.Device() == "" }))
	t.Logf("gone from the bus after %v", fixture.Eventually(t, 20*time.Second, "ModemManager to notice", func() bool { return len(modems(t)) == 0 }))
}

// modemState is what the tests want of mmcli's account of a modem.
type modemState struct {
	ThreeGPP struct {
		Operator string `json:"operator-name"`
	} `json:"3gpp"`
	Generic struct {
		State   string
		Plugin  string
		SIM     string
		Bearers []string
	}
}

// bearerState is what they want of a bearer.
type bearerState struct {
	Status struct{ Connected, Interface string }
	IPv4   struct{ Method, Address, Gateway string } `json:"ipv4-config"`
}

func mmcli(t *testing.T, args ...string) *exec.Cmd {
	return exec.CommandContext(t.Context(), "mmcli", args...)
}

func modems(t *testing.T) []string {
	t.Helper()
	var all struct {
		Paths []string `json:"modem-list"`
	}
	read(t, &all, "-L")
	return all.Paths
}

// read fills a value from mmcli's account, and says whether there was one.
func read(t *testing.T, into any, args ...string) bool {
	t.Helper()
	out, err := mmcli(t, append(args, "-J")...).Output()
	if err != nil {
		return false // a modem that is still being looked at
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("mmcli %v: %v in %s", args, err, out)
	}
	return true
}

// awaitModem waits until the one modem is in a state. A modem that registered may be told to be enabled first.
func awaitModem(t *testing.T, state string) modemState {
	t.Helper()
	var got struct{ Modem modemState }
	enabled := false
	took := fixture.Eventually(t, managing, "a modem that is "+state, func() bool {
		if len(modems(t)) == 0 || !read(t, &got, "-m", "any") {
			return false
		}
		if got.Modem.Generic.State == "disabled" && state == "registered" && !enabled {
			enabled = true
			fixture.Run(t, mmcli(t, "-m", "any", "--enable"))
		}
		return got.Modem.Generic.State == state
	})
	t.Logf("%s after %v", state, took)
	return got.Modem
}

func simOf(t *testing.T) string {
	t.Helper()
	var got struct{ Modem modemState }
	if !read(t, &got, "-m", "any") {
		t.Fatal("there is no modem")
	}
	return got.Modem.Generic.SIM
}

// connect makes a bearer and returns what it is.
func connect(t *testing.T) bearerState {
	t.Helper()
	start := time.Now()
	fixture.Run(t, mmcli(t, "-m", "any", "--simple-connect=apn=internet,ip-type=ipv4"))
	t.Logf("connected after %v", time.Since(start))
	var got struct{ Modem modemState }
	if !read(t, &got, "-m", "any") || len(got.Modem.Generic.Bearers) == 0 {
		t.Fatalf("no bearer: %+v", got)
	}
	var bearer struct{ Bearer bearerState }
	if !read(t, &bearer, "-b", got.Modem.Generic.Bearers[0]) || bearer.Bearer.Status.Connected != "yes" {
		t.Fatalf("the bearer is not connected: %+v", bearer)
	}
	return bearer.Bearer
}
