package hardware

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/ubus"
	"github.com/trenza-router/trenza/hal/ubus/ubustest"
)

func TestMerge(t *testing.T) {
	gateway := netip.MustParseAddr("192.168.8.1")
	devices := []hal.LinkDevice{
		{ID: "net-ppp-ttyUSB0", Kind: hal.LinkPPP, Name: "ppp-ttyUSB0", State: hal.LinkConnected},
		{ID: "usb-1-1", Kind: hal.LinkStick, Name: "usb0", State: hal.LinkConnected, MTU: 1500},
		{ID: "usb-1-2", Kind: hal.LinkStick, Name: "usb1", State: hal.LinkOff},
		{ID: "usb-1-3", Kind: hal.LinkStick, Name: "wwan0"},
	}
	managed := map[string]hal.LinkDevice{"usb0": {Kind: hal.LinkEthernet, Name: "usb0", Owner: hal.OwnerNetworkManager, State: hal.LinkConnecting, Gateways: []netip.Addr{gateway}, Metered: true}}
	modems := []hal.LinkDevice{
		{ID: "usb-2-1", Kind: hal.LinkModem, Name: "ppp-ttyUSB0", State: hal.LinkConnected, Modem: hal.ModemLink{Method: hal.BearerPPP}},
		{ID: "usb-2-2", Kind: hal.LinkModem, Name: "ppp-ttyUSB4", State: hal.LinkConnected, Modem: hal.ModemLink{Method: hal.BearerPPP}},
	}
	got := withPeers(merge(devices, managed, modems, map[string]bool{"wwan0": true}), map[string]netip.Addr{"ppp-ttyUSB0": netip.MustParseAddr("10.64.64.64"), "usb0": netip.MustParseAddr("1.1.1.1")})
	want := []hal.LinkDevice{
		{ID: "usb-1-1", Kind: hal.LinkStick, Name: "usb0", Owner: hal.OwnerNetworkManager, State: hal.LinkConnecting, MTU: 1500, Gateways: []netip.Addr{gateway}, Metered: true},
		{ID: "usb-1-2", Kind: hal.LinkStick, Name: "usb1", State: hal.LinkOff, Detail: "no carrier", OurDHCP: true},
		{ID: "usb-2-1", Kind: hal.LinkModem, Name: "ppp-ttyUSB0", State: hal.LinkConnected, Modem: hal.ModemLink{Method: hal.BearerPPP}, Gateways: []netip.Addr{netip.MustParseAddr("10.64.64.64")}},
		{ID: "usb-2-2", Kind: hal.LinkModem, State: hal.LinkConnecting, Detail: "dialling", Modem: hal.ModemLink{Method: hal.BearerPPP}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

// TestManagerAway: what NetworkManager managed is nobody's neither while it is away nor as it comes back.
func TestManagerAway(t *testing.T) {
	h, now := New(Options{}), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	managed := func() map[string]hal.LinkDevice { return map[string]hal.LinkDevice{"eth1": {Name: "eth1"}} }
	for _, c := range []struct {
		after   time.Duration
		told    map[string]hal.LinkDevice
		err     error
		managed bool
	}{
		{0, managed(), nil, true},
		{time.Hour, nil, errors.New("gone"), true},
		{time.Second, map[string]hal.LinkDevice{}, nil, true},
		{settle / 2, map[string]hal.LinkDevice{}, nil, true},
		{settle, map[string]hal.LinkDevice{}, nil, false},
		{0, managed(), nil, true},
		{time.Second, map[string]hal.LinkDevice{}, nil, false}, // told so while it runs
	} {
		now = now.Add(c.after)
		h.remember(c.told, c.err, now)
		if _, got := h.managed["eth1"]; got != c.managed {
			t.Errorf("%v later, told %v, %v: managed %v, want %v", c.after, c.told, c.err, got, c.managed)
		}
	}
}

// bare is a kernel in which nothing happens.
type bare struct{}

func (bare) Watch(ctx context.Context, _ func(hal.Event), _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}
func (bare) Peers(context.Context) (map[string]netip.Addr, error)         { return nil, nil }
func (bare) SetBearerAddress(context.Context, string, netip.Prefix) error { return nil }

// TestNetifd: where no NetworkManager runs and OpenWrt's bus is, netifd's devices are its own, also while it restarts.
func TestNetifd(t *testing.T) {
	sysfs := t.TempDir()
	dir := filepath.Join(sysfs, "class/net/pppoe-wan")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "type"), []byte("512\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	netifd := ubustest.Start(t)
	netifd.Put("network.interface", map[string]ubustest.Method{"dump": func(ubus.Table) (ubus.Table, ubus.Code) {
		return ubus.Table{"interface": []any{ubus.Table{"interface": "wan", "proto": "pppoe", "device": "eth1", "l3_device": "pppoe-wan", "up": true, "autostart": true}}}, ubus.OK
	}})
	h := New(Options{Kernel: bare{}, Bus: "unix:path=" + sysfs + "/none", Ubus: netifd.Socket, Sysfs: sysfs})
	defer h.Close()
	want := []hal.LinkDevice{{ID: "net-pppoe-wan", Kind: hal.LinkPPP, Name: "pppoe-wan", Parent: "eth1", Owner: hal.OwnerNetifd, State: hal.LinkConnected}}
	for _, when := range []string{"while netifd runs", "while it is away"} {
		got, err := h.LinkDevices(t.Context())
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", when, err, diff)
		}
		netifd.Remove("network.interface")
	}
}
