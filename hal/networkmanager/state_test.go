package networkmanager

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
)

// props makes properties of plain values.
func props(kv map[string]any) bus.Properties {
	p := bus.Properties{}
	for k, v := range kv {
		p[k] = bus.V(v)
	}
	return p
}

// machine has an Ethernet device with a connection of ours, and a station in range of some access points.
func machine() bus.Objects {
	point := func(ssid string, strength byte, flags, wpa, rsn uint32) map[string]bus.Properties {
		return map[string]bus.Properties{pointOf: props(map[string]any{"Ssid": []byte(ssid), "Strength": strength, "Frequency": uint32(2412),
			"HwAddress": "02:00:00:00:00:01", "Flags": flags, "WpaFlags": wpa, "RsnFlags": rsn})}
	}
	return bus.Objects{
		"/d/1": {deviceOf: props(map[string]any{"Interface": "eth1", "IpInterface": "eth1", "DeviceType": uint32(1), "State": uint32(100), "Managed": true, "Mtu": uint32(1500),
			"StateReason": []any{uint32(100), uint32(0)}, "Ip4Config": bus.Path("/ip4/1"), "Dhcp4Config": bus.Path("/dhcp/1"), "Metered": uint32(3)})},
		"/d/2": {deviceOf: props(map[string]any{"Interface": "wlan0", "DeviceType": uint32(2), "State": uint32(30), "StateReason": []any{uint32(30), uint32(7)}}),
			wirelessOf: props(map[string]any{"ActiveAccessPoint": bus.Path("/"), "AccessPoints": []bus.Path{"/ap/1", "/ap/2", "/ap/3", "/ap/4", "/ap/5", "/ap/6", "/ap/gone"}})},
		"/d/3":    {deviceOf: props(map[string]any{"Interface": "odd", "DeviceType": "a word", "State": []byte{1}})},
		"/ip4/1":  {service + ".IP4Config": props(map[string]any{"Gateway": "", "AddressData": []bus.Options{{"address": bus.V("192.168.8.100"), "prefix": bus.V(uint32(24))}, {"address": bus.V("x"), "prefix": bus.V(uint32(99))}}})},
		"/dhcp/1": {service + ".DHCP4Config": props(map[string]any{"Options": bus.Options{"routers": bus.V("192.168.8.1 192.168.8.2"), "domain_name_servers": bus.V("192.168.8.1 9.9.9.9")}})},
		"/ap/1":   point("Cafe", 40, 1, 0, 0x188), "/ap/2": point("Cafe", 70, 1, 0, 0x188), "/ap/3": point("New", 60, 1, 0, 0x488),
		"/ap/4": point("Office", 50, 1, 0, 0x288), "/ap/5": point("Old", 90, 1, 0, 0), "/ap/6": point("", 20, 0, 0, 0),
	}
}

func TestReadDevice(t *testing.T) {
	all := machine()
	want := hal.LinkDevice{
		Name: "eth1", Kind: hal.LinkEthernet, Owner: hal.OwnerNetworkManager, State: hal.LinkConnected, MTU: 1500, Metered: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.8.100/24")}, Gateways: []netip.Addr{netip.MustParseAddr("192.168.8.1")},
		DNS: []netip.Addr{netip.MustParseAddr("192.168.8.1"), netip.MustParseAddr("9.9.9.9")},
	}
	if diff := cmp.Diff(want, readDevice(all, all["/d/1"]), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if d := readDevice(all, all["/d/2"]); d.Kind != hal.LinkWiFi || d.State != hal.LinkOff || d.Detail != "wrong password" {
		t.Errorf("the station is %+v", d)
	}
	if d := readDevice(all, all["/d/3"]); d.State != hal.LinkOff || d.Name != "odd" {
		t.Errorf("a device that tells nonsense is %+v", d)
	}
}

func TestHeard(t *testing.T) {
	got := heard(machine(), "/d/2", map[string][]bus.Path{"New": {"/s/1"}})
	type network struct {
		ssid   string
		lock   hal.Security
		signal int
		known  bool
	}
	var short []network
	for _, n := range got {
		short = append(short, network{n.SSID, n.Security, n.Signal, n.Known})
	}
	want := []network{{"Cafe", hal.SecurityWPA2, 70, false}, {"New", hal.SecurityWPA3, 60, true}, {"Office", hal.SecurityEnterprise, 50, false},
		{"", hal.SecurityOpen, 20, false}, {"", hal.SecurityOpen, 0, false}}
	if diff := cmp.Diff(want, short, cmp.AllowUnexported(network{})); diff != "" {
		t.Error(diff)
	}
}

// TestProfiles: no connection of ours leads anybody's traffic, whatever its kind.
func TestProfiles(t *testing.T) {
	s := hal.LinkSetup{Link: "fiber-to-the-very-home", Metered: true}
	for name, c := range map[string]bus.Settings{
		"ethernet": base("802-3-ethernet", "x", ourUUID("a"), "eth1", s),
		"stated":   base("802-3-ethernet", "x", ourUUID("a"), "eth1", hal.LinkSetup{Address: netip.MustParsePrefix("192.0.2.2/24")}),
		"pppoe":    dialled(hal.DialSetup{LinkSetup: s, Parent: "eth1", User: "u", Password: "p"}, ourUUID("b")),
		"vlan":     dialled(hal.DialSetup{LinkSetup: s, Parent: "eth1", Tag: 7}, ourUUID("b")),
		"wpa2":     wifiProfile("wlan0", hal.JoinRequest{SSID: "a", Security: hal.SecurityWPA2, Password: "12345678"}),
		"open":     wifiProfile("wlan0", hal.JoinRequest{SSID: "a", Security: hal.SecurityOpen}),
	} {
		if c["ipv4"]["never-default"].Value() != true || c["ipv4"]["ignore-auto-dns"].Value() != true || c["ipv6"]["method"].Value() != "ignore" {
			t.Errorf("%s: %v %v", name, c["ipv4"], c["ipv6"])
		}
		if device, _ := c["connection"]["interface-name"].Value().(string); device == "" || len(device) > 15 {
			t.Errorf("%s: the interface is %q", name, device)
		}
	}
	if a, b := ourUUID("link", "x", "y"), ourUUID("link", "x", "z"); a == b || a != ourUUID("link", "x", "y") || len(a) != 36 {
		t.Errorf("the names of connections are %s and %s", a, b)
	}
}

// TestJoined: what the device says on its way tells the causes of failures apart.
func TestJoined(t *testing.T) {
	locked, open := hal.JoinRequest{Security: hal.SecurityWPA2}, hal.JoinRequest{Security: hal.SecurityOpen}
	for _, c := range []struct {
		name   string
		r      hal.JoinRequest
		states [][2]uint32 // state and reason
		want   error
	}{
		{"in", locked, [][2]uint32{{110, 39}, {30, 39}, {40, 0}, {50, 0}, {60, 0}, {40, 0}, {50, 0}, {70, 0}, {80, 0}, {90, 0}, {100, 0}}, nil},
		{"wrong password", locked, [][2]uint32{{40, 0}, {50, 0}, {60, 0}, {40, 0}, {50, 0}, {60, 8}}, hal.ErrWrongPassword},
		{"no secrets", locked, [][2]uint32{{40, 0}, {50, 0}, {120, 7}}, hal.ErrWrongPassword},
		{"gone", locked, [][2]uint32{{40, 0}, {50, 0}, {120, 53}}, hal.ErrOutOfRange},
		{"no address", open, [][2]uint32{{40, 0}, {50, 0}, {70, 0}, {120, 5}}, hal.ErrRefused},
		{"pulled out", open, [][2]uint32{{40, 0}, {10, 36}}, hal.ErrRefused},
		{"service gone", open, [][2]uint32{{40, 0}}, hal.ErrRefused},
	} {
		states := make(chan []any, len(c.states)+1)
		states <- []any{"odd"}
		for _, s := range c.states {
			states <- []any{s[0], uint32(0), s[1]}
		}
		close(states)
		err := (&Client{}).joined(t.Context(), c.r, states)
		if diff := cmp.Diff(c.want, err, cmpopts.EquateErrors()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
