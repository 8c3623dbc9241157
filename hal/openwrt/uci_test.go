package openwrt_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/openwrt"
	"github.com/trenza-router/trenza/hal/ubus"
	"github.com/trenza-router/trenza/hal/ubus/ubustest"
)

// box plays rpcd's object uci, in memory, and the parts of netifd that follow from it.
type box struct {
	mu       sync.Mutex
	files    map[string]map[string]ubus.Table // by file and section; what is not committed, too
	stored   map[string]map[string]ubus.Table
	commits  []string
	password string     // that the network Café takes
	dynamic  ubus.Table // what was announced
	steps    []string
}

func newBox(t *testing.T) (*box, *openwrt.Client) {
	d, c := start(t)
	b := &box{password: "right one", stored: map[string]map[string]ubus.Table{
		"firewall": {
			"cfg01": {".type": "defaults", "forward": "REJECT"}, "cfg02": {".type": "zone", "name": "lan", "network": []any{"lan"}},
			"cfg03": {".type": "zone", "name": "wan", "network": []any{"wan", "wan6"}},
		},
		"wireless": {"person": {".type": "wifi-iface", "device": "radio1", "mode": "sta", "ssid": "Old", "network": "wwan"}},
		"network":  {},
	}}
	b.files = cloned(b.stored)
	locked := func(f func(ubus.Table) (ubus.Table, ubus.Code)) ubustest.Method {
		return func(args ubus.Table) (ubus.Table, ubus.Code) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return f(args)
		}
	}
	d.Put("uci", map[string]ubustest.Method{"get": locked(b.get), "add": locked(b.add), "set": locked(b.set), "delete": locked(b.delete), "commit": locked(b.commit), "revert": locked(b.revert)})
	d.Put("network.wireless", map[string]ubustest.Method{"status": func(ubus.Table) (ubus.Table, ubus.Code) {
		return ubus.Table{"radio0": ubus.Table{"interfaces": []any{ubus.Table{"section": "default_radio0", "ifname": "phy0-ap0", "config": ubus.Table{"mode": "ap", "ssid": "House"}}}},
			"radio1": ubus.Table{"interfaces": []any{ubus.Table{"section": "person", "ifname": "phy1-sta0"}}}}, ubus.OK
	}})
	scan := recorded(t, "scan.json")
	d.Put("iwinfo", map[string]ubustest.Method{
		"scan": func(ubus.Table) (ubus.Table, ubus.Code) { return scan, ubus.OK },
		"info": locked(func(ubus.Table) (ubus.Table, ubus.Code) {
			if b.stored["wireless"][stationName]["key"] != b.password {
				return ubus.Table{"bssid": "00:00:00:00:00:00"}, ubus.OK
			}
			return ubus.Table{"bssid": "02:00:00:00:00:02"}, ubus.OK
		}),
	})
	d.Put("network.interface."+stationName, map[string]ubustest.Method{"status": locked(func(ubus.Table) (ubus.Table, ubus.Code) {
		s, there := b.stored["wireless"][stationName]
		up := there && s["key"] == b.password
		answer := ubus.Table{"interface": stationName, "up": up, "device": "phy0-sta0"}
		if up {
			answer["ipv4-address"] = []any{ubus.Table{"address": "192.168.18.250", "mask": int64(24)}}
		}
		return answer, ubus.OK
	})})
	step := func(name string) ubustest.Method {
		return locked(func(args ubus.Table) (ubus.Table, ubus.Code) {
			b.steps = append(b.steps, name)
			if name == "add_dynamic" {
				b.dynamic = args
			}
			return nil, ubus.OK
		})
	}
	d.Put("network", map[string]ubustest.Method{"add_dynamic": step("add_dynamic")})
	d.Put("network.interface."+tunnelName, map[string]ubustest.Method{"set_data": step("set_data"), "up": step("up")})
	return b, c
}

// Names that the client gives, which must stay the same over releases: /etc/config has them.
const (
	stationName = "tz1999b1"
	tunnelName  = "tz472992"
)

func cloned(files map[string]map[string]ubus.Table) map[string]map[string]ubus.Table {
	out := map[string]map[string]ubus.Table{}
	for f, sections := range files {
		out[f] = map[string]ubus.Table{}
		for n, s := range sections {
			out[f][n] = maps.Clone(s)
		}
	}
	return out
}

func (b *box) get(args ubus.Table) (ubus.Table, ubus.Code) {
	file, there := b.files[fmt.Sprint(args["config"])]
	if !there {
		return nil, ubus.NotFound
	}
	values := ubus.Table{}
	for n, s := range file {
		if s[".type"] == args["type"] {
			s := maps.Clone(s)
			s[".name"] = n
			values[n] = s
		}
	}
	return ubus.Table{"values": values}, ubus.OK
}

func (b *box) add(args ubus.Table) (ubus.Table, ubus.Code) {
	s := maps.Clone(args["values"].(ubus.Table))
	s[".type"] = args["type"]
	b.files[args["config"].(string)][args["name"].(string)] = s
	return nil, ubus.OK
}

func (b *box) set(args ubus.Table) (ubus.Table, ubus.Code) {
	maps.Copy(b.files[args["config"].(string)][args["section"].(string)], args["values"].(ubus.Table))
	return nil, ubus.OK
}

func (b *box) delete(args ubus.Table) (ubus.Table, ubus.Code) {
	delete(b.files[args["config"].(string)], args["section"].(string))
	return nil, ubus.OK
}

func (b *box) commit(args ubus.Table) (ubus.Table, ubus.Code) {
	f := args["config"].(string)
	b.commits = append(b.commits, f)
	b.stored[f] = cloned(b.files)[f]
	return nil, ubus.OK
}

func (b *box) revert(args ubus.Table) (ubus.Table, ubus.Code) {
	f := args["config"].(string)
	b.files[f] = cloned(b.stored)[f]
	return nil, ubus.OK
}

// look returns a copy of what is in force, and forgets the commits.
func (b *box) look() (stored map[string]map[string]ubus.Table, commits []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	commits, b.commits = b.commits, nil
	return cloned(b.stored), commits
}

func TestJoin(t *testing.T) {
	b, c := newBox(t)
	before, _ := b.look()
	join := hal.JoinRequest{SSID: "Café", Password: "right one"}
	if err := c.Join(t.Context(), "phy0-ap0", join); err != nil {
		t.Fatal(err)
	}
	after, commits := b.look()
	want := ubus.Table{".type": "wifi-iface", "device": "radio0", "mode": "sta", "network": stationName, "ssid": "Café", "encryption": "psk-mixed", "key": "right one"}
	if diff := cmp.Diff(want, after["wireless"][stationName]); diff != "" || !slices.Equal(commits, []string{"network", "firewall", "wireless"}) {
		t.Errorf("committed %v; the station differs: %s", commits, diff)
	}
	want = ubus.Table{".type": "interface", "proto": "dhcp", "defaultroute": "0", "peerdns": "0"}
	if diff := cmp.Diff(want, after["network"][stationName]); diff != "" {
		t.Error(diff)
	}
	if got := after["firewall"]["cfg03"]["network"]; !slices.Equal(got.([]any), []any{"wan", "wan6", stationName}) {
		t.Errorf("the zone has %v", got)
	}
	if err := c.Join(t.Context(), "phy0-ap0", join); err != nil {
		t.Fatal(err)
	}
	if _, commits := b.look(); len(commits) > 0 {
		t.Errorf("the same again committed %v", commits)
	}
	if err := c.Join(t.Context(), "phy0-ap0", hal.JoinRequest{SSID: "nowhere", Password: "12345678"}); !errors.Is(err, hal.ErrOutOfRange) {
		t.Errorf("out of range: %v", err)
	}
	if err := c.Join(t.Context(), "eth0", join); !errors.Is(err, hal.ErrNotFound) {
		t.Errorf("no radio: %v", err)
	}
	c.SetJoinTime(2 * time.Second)
	for _, r := range []hal.JoinRequest{{SSID: "Café", Password: "wrong one"}, {SSID: "Later", Hidden: true, Password: "wrong one"}} {
		joined, _ := b.look()
		if err := c.Join(t.Context(), "phy0-ap0", r); !errors.Is(err, hal.ErrWrongPassword) {
			t.Errorf("a wrong password: %v", err)
		}
		if now, _ := b.look(); cmp.Diff(joined, now) != "" {
			t.Errorf("a wrong password left behind: %s", cmp.Diff(joined, now))
		}
	}
	if err := c.Forget(t.Context(), "phy1-sta0", "Old"); !errors.Is(err, hal.ErrRefused) || !strings.Contains(err.Error(), "person") {
		t.Errorf("a person's station: %v", err)
	}
	if err := c.Forget(t.Context(), "phy0-ap0", "Café"); err != nil {
		t.Fatal(err)
	}
	if err := c.Forget(t.Context(), "phy0-ap0", "Café"); !errors.Is(err, hal.ErrNotFound) {
		t.Errorf("forgotten twice: %v", err)
	}
	after, _ = b.look()
	after["firewall"] = before["firewall"] // a name in a zone without an interface is nothing
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("left behind: %s", diff)
	}
}

// TestDial: a session and a tagged network are interfaces of netifd's, written once.
func TestDial(t *testing.T) {
	b, c := newBox(t)
	for _, s := range []hal.DialSetup{
		{LinkSetup: hal.LinkSetup{Link: "dsl"}, Parent: "eth1.7", User: "house@provider", Password: "secret", Service: "isp"},
		{LinkSetup: hal.LinkSetup{Link: "tagged"}, Parent: "eth1", Tag: 7},
	} {
		for range 2 {
			if err := c.Dial(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	after, commits := b.look()
	if !slices.Equal(commits, []string{"network", "firewall", "network", "firewall"}) {
		t.Errorf("committed %v", commits)
	}
	want := map[string]ubus.Table{
		"eth1.7 pppoe": {".type": "interface", "proto": "pppoe", "device": "eth1.7", "username": "house@provider", "password": "secret", "service": "isp", "keepalive": "3 5", "ipv6": "auto",
			"defaultroute": "0", "peerdns": "0"},
		"eth1.7 dhcp": {".type": "interface", "proto": "dhcp", "device": "eth1.7", "defaultroute": "0", "peerdns": "0"},
	}
	got := map[string]ubus.Table{}
	for name, s := range after["network"] {
		if len("pppoe-"+name) > 15 {
			t.Errorf("%s makes a device whose name is too long", name)
		}
		got[fmt.Sprint(s["device"], " ", s["proto"])] = s
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnnounce: a tunnel gets its zone before it comes up, for the firewall looks then.
func TestAnnounce(t *testing.T) {
	b, c := newBox(t)
	if err := c.Announce(t.Context(), "trenza3"); err != nil {
		t.Fatal(err)
	}
	if err := c.Announce(t.Context(), "eth3"); err != nil { // has its interface
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(ubus.Table{"name": tunnelName, "proto": "none", "device": "trenza3", "auto": false}, b.dynamic); diff != "" || !slices.Equal(b.steps, []string{"add_dynamic", "set_data", "up"}) {
		t.Errorf("%v %s", b.steps, diff)
	}
}

func TestConflicts(t *testing.T) {
	d, c := start(t)
	if all, err := c.Conflicts(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("without services: %v, %v", all, err)
	}
	running := true
	d.Put("service", map[string]ubustest.Method{"list": func(ubus.Table) (ubus.Table, ubus.Code) {
		return ubus.Table{"mwan3": ubus.Table{"instances": ubus.Table{"rtmon_ipv4": ubus.Table{"running": running}}}}, ubus.OK
	}})
	files := map[string]ubus.Table{
		"sqm": {"eth1": ubus.Table{".name": "eth1", ".type": "queue", "enabled": "1", "interface": "eth1"},
			"off": ubus.Table{".name": "off", ".type": "queue", "enabled": "0", "interface": "eth2"}},
		"firewall": {"cfg01": ubus.Table{".name": "cfg01", ".type": "defaults", "flow_offloading": "1", "flow_offloading_hw": "1"}},
	}
	d.Put("uci", map[string]ubustest.Method{"get": func(args ubus.Table) (ubus.Table, ubus.Code) {
		return ubus.Table{"values": files[args["config"].(string)]}, ubus.OK
	}})
	all, err := c.Conflicts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, k := range all {
		got += fmt.Sprintf("%s on %q, grave %v: %s; %s\n", k.Service, k.Device, k.Grave, k.Text, k.Fix)
	}
	want := `mwan3 on "", grave true: mwan3 runs and steers the same packets by marks; stop it: /etc/init.d/mwan3 stop && /etc/init.d/mwan3 disable
sqm on "eth1", grave true: sqm shapes eth1; switch it off there, and let the router shape the link (shape: in its configuration): /etc/init.d/sqm stop; uci set sqm.eth1.enabled=0; uci commit sqm
flow-offloading on "", grave false: flow offloading in hardware is on: packets of running flows pass by the router's rules, queues and counters; switch it off: uci set firewall.@defaults[0].flow_offloading=0; uci commit firewall; /etc/init.d/firewall reload
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
