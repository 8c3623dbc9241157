package openwrt_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/openwrt"
	"github.com/trenza-router/trenza/hal/ubus"
	"github.com/trenza-router/trenza/hal/ubus/ubustest"
	"github.com/trenza-router/trenza/router/flow"
)

// recorded reads a file of what a device answers as a table of the bus. JSON has one kind of number; the bus has the one that fits.
func recorded(t *testing.T, name string) ubus.Table {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var table ubus.Table
	if err := json.Unmarshal(b, &table); err != nil {
		t.Fatal(err)
	}
	return whole(table).(ubus.Table)
}

func whole(v any) any {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case ubus.Table:
		for k := range v {
			v[k] = whole(v[k])
		}
	}
	return v
}

func addrs(all ...string) (out []netip.Addr) {
	for _, s := range all {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func start(t *testing.T) (*ubustest.Daemon, *openwrt.Client) {
	d := ubustest.Start(t)
	answer := recorded(t, "dump.json")
	d.Put("network.interface", map[string]ubustest.Method{"dump": func(ubus.Table) (ubus.Table, ubus.Code) { return answer, ubus.OK }})
	c := openwrt.New(d.Socket)
	t.Cleanup(func() { c.Close() })
	return d, c
}

func TestDevices(t *testing.T) {
	_, c := start(t)
	got, err := c.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []hal.LinkDevice{
		{Name: "br-lan", State: hal.LinkConnected, Addrs: prefixes("192.168.1.1/24")},
		{Name: "pppoe-wan", Kind: hal.LinkPPP, Parent: "eth1", State: hal.LinkConnected, Addrs: prefixes("203.0.113.9/32", "2001:db8:1::9/64"), Gateways: addrs("203.0.113.1", "fe80::1"),
			DNS: addrs("192.0.2.53", "2001:db8::53"), Prefix: netip.MustParsePrefix("2001:db8:7::/56")},
		{Name: "phy0-sta0", State: hal.LinkConnected, Addrs: prefixes("192.168.18.250/24"), Gateways: addrs("192.168.18.1"), DNS: addrs("192.168.18.1")},
		{Name: "wwan0", State: hal.LinkFailed, Detail: "interface lte: the SIM card refuses the PIN"},
		{Name: "usb0", State: hal.LinkConnecting, Detail: "interface spare is being set up"},
		{Name: "eth2", State: hal.LinkOff, Detail: "interface old is switched off: ifup old"},
		{Name: "eth3", State: hal.LinkOff, Detail: "no carrier"},
	} {
		want.Owner = hal.OwnerNetifd
		if d := got[want.Name]; !reflect.DeepEqual(d, want) {
			t.Errorf("%s is\n%+v, want\n%+v", want.Name, d, want)
		}
		delete(got, want.Name)
	}
	if len(got) > 0 {
		t.Errorf("and there are %v", got)
	}
}

// TestWatch: events, netifd's own restart and the bus's are told; what was asked before goes on.
func TestWatch(t *testing.T) {
	d, c := start(t)
	told := make(chan struct{}, 100)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Watch(ctx, func() { told <- struct{}{} }) }()
	await := func(what string) {
		t.Helper()
		select {
		case <-told:
		case <-time.After(time.Minute):
			t.Fatalf("%s is not told", what)
		}
	}
	await("the start")
	if _, err := c.Devices(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"network.interface", "ubus.object.add"} {
		d.Send(event, ubus.Table{"action": "ifup", "interface": "wan"})
		await(event)
	}
	d.Down()
	await("the end of the bus")
	if _, err := c.Devices(t.Context()); err == nil {
		t.Error("devices without a bus")
	}
	d.Up()
	await("the new bus")
	if all, err := c.Devices(t.Context()); err != nil || len(all) == 0 {
		t.Errorf("from the new bus: %v, %v", all, err)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended: %v", err)
	}
	if _, err := openwrt.New(d.Socket + "-none").Devices(t.Context()); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("on another machine: %v", err)
	}
}

func TestScan(t *testing.T) {
	d, c := start(t)
	if _, err := c.Scan(t.Context(), "phy0-sta0"); !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "rpcd-mod-iwinfo") {
		t.Errorf("without iwinfo: %v", err)
	}
	answer := recorded(t, "scan.json")
	d.Put("iwinfo", map[string]ubustest.Method{"scan": func(args ubus.Table) (ubus.Table, ubus.Code) {
		if args["device"] != "phy0-sta0" {
			return nil, ubus.NotFound
		}
		return answer, ubus.OK
	}})
	got, err := c.Scan(t.Context(), "phy0-sta0")
	want := []hal.Network{
		{SSID: "Café", BSSID: flow.MAC{2, 0, 0, 0, 0, 2}, Security: hal.SecurityWPA2, Signal: 90, Frequency: 5180},
		{SSID: "Office", BSSID: flow.MAC{2, 0, 0, 0, 0, 4}, Security: hal.SecurityEnterprise, Signal: 50, Frequency: 2462},
		{SSID: "New", BSSID: flow.MAC{2, 0, 0, 0, 0, 5}, Security: hal.SecurityWPA3, Signal: 40, Frequency: 5975},
		{SSID: "", BSSID: flow.MAC{2, 0, 0, 0, 0, 3}, Security: hal.SecurityOpen, Signal: 20, Frequency: 2412},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v, want\n%+v", err, got, want)
	}
}
