package plan

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/steer"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) // a Wednesday

func homeLinks() []Link {
	link := func(id flow.LinkID, name, device string, role flow.Role, weight int, gw4, gw6 string) Link {
		return Link{
			LinkCondition: steer.LinkCondition{ID: id, Name: name, Role: role, Usable: true, Weight: weight},
			Device:        device, Gateway4: netip.MustParseAddr(gw4), Gateway6: netip.MustParseAddr(gw6), AcceptRA: true,
		}
	}
	lte := link(3, "lte", "wan3", flow.Backup, 1, "100.64.1.1", "fe80::3")
	lte.Metered = true
	return []Link{
		link(1, "fiber", "wan1", flow.Primary, 70, "198.18.1.1", "fe80::1"),
		link(2, "wifi", "wan2", flow.Secondary, 30, "198.18.2.1", "fe80::2"),
		lte,
	}
}

const homePolicy = `
people: [{id: ana, name: Ana}]
devices:
  - {id: laptop, name: Laptop, macs: ["02:00:00:00:00:01"], owner: ana}
  - {id: tv, name: TV, macs: ["02:00:00:00:00:02"]}
  - {id: server, name: Server, addresses: [10.9.0.5, "fd00:9::5"]}
house:
  - {id: calls, name: Calls, force: must, what: {apps: [zoom]}, steer: {use: [fiber, lte]}, qos: {class: realtime}}
  - {id: no-lte, name: Save data, force: bound, who: {devices: [tv]}, steer: {forbid: [lte]}}
  - {id: no-ads, name: No adult site, force: must, what: {domains: [bad.example]}, filter: {block: true}}
  - {id: spread, name: Spread, force: default, steer: {mode: balance, use: {fiber: 70, wifi: 30}, sticky: site}}
personal:
  ana:
    - {id: ssh, name: SSH on WiFi, what: {services: [tcp/22, udp/5000-6000]}, steer: {use: [wifi], mode: fixed}}
    - {id: lab, name: Lab, what: {addresses: [203.0.113.0/24, "2001:db8:5::/48"]}, steer: {use: [wifi, fiber]}}
`

func compilePolicy(t testing.TB, text string) *policy.Compiled {
	t.Helper()
	p, err := policy.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := policy.Compile(p, policy.Known{Links: []string{"fiber", "wifi", "lte"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func homeInput(t testing.TB) Input {
	bad := policy.Domain{Name: "bad.example"}
	return Input{
		Now:    noon,
		Policy: compilePolicy(t, homePolicy),
		LAN:    []LAN{{Device: "lan0", Nets: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("fd00:77::/64")}}},
		Links:  homeLinks(),
		Devices: []Device{
			{Number: 1, ID: "laptop", MACs: []flow.MAC{{2, 0, 0, 0, 0, 1}}},
			{Number: 2, ID: "tv", MACs: []flow.MAC{{2, 0, 0, 0, 0, 2}}},
			{Number: 3, ID: "stranger", MACs: []flow.MAC{{2, 0, 0, 0, 0, 3}}},
			{Number: 4, ID: "server", Addrs: []netip.Addr{netip.MustParseAddr("10.9.0.5"), netip.MustParseAddr("fd00:9::5")}},
		},
		Names: []NameClass{
			{Class: 1, App: "netflix", Category: "video", Host: "netflix.com"},
			{Class: 2, App: "zoom", Category: "calls", Host: "zoom.us"},
			{Class: 3, Host: "bad.example", Domains: []policy.Domain{bad}},
		},
		Prefixes: []PrefixClass{
			{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Class: 1},
			{Prefix: netip.MustParsePrefix("192.0.2.64/26"), Class: 2},
		},
		Forwards: []Forward{{Name: "camera", Proto: flow.ProtoTCP, Port: 8443, To: netip.MustParseAddrPort("10.77.0.20:443")}},
		DNS:      DNS{Redirect: true, Port: 53},
	}
}

// deepPolicy looks into the laptop's web and, of everything but the laptop, for one protocol.
const deepPolicy = `
people: [{id: ana}]
devices:
  - {id: laptop, owner: ana, macs: ["02:00:00:00:00:01"]}
  - {id: tv, macs: ["02:00:00:00:00:02"]}
groups: [{id: rest, devices: [tv]}]
house:
  - {id: forms, force: must, who: {devices: [laptop]}, what: {http: {path: /upload}, services: [tcp/80, tcp/8000-8080, udp/80]}, filter: {block: true}}
  - {id: near, force: must, who: {devices: [laptop]}, what: {tls_name: casino, services: [tcp/8081, tcp/443, udp/443]}, filter: {block: true}}
  - {id: peers, force: must, who: {groups: [rest]}, what: {protocol: bittorrent}, filter: {block: true, silent: true}}
`

// dscpPolicy has a code point for calls of everybody, one for a device, and a device that is trusted in one service.
const dscpPolicy = `
devices:
  - {id: laptop, macs: ["02:00:00:00:00:01"]}
  - {id: tv, macs: ["02:00:00:00:00:02"]}
house:
  - {id: calls, force: must, what: {services: [udp/5000-6000]}, qos: {class: realtime, dscp: 46}}
  - {id: trusted, force: must, who: {devices: [laptop]}, what: {services: [udp/4500]}, qos: {dscp: keep}}
  - {id: tv, force: default, who: {devices: [tv]}, qos: {dscp: 8}}
`

// TestGolden shows whole states as a person would read them.
func TestGolden(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"home":       func(*Input) {},
		"fiber-down": func(in *Input) { in.Links[0].Usable = false },
		"wifi-no-v6": func(in *Input) { in.Links[1].Gateway6 = netip.Addr{} },
		"deep":       func(in *Input) { in.Policy = compilePolicy(t, deepPolicy) },
		"deep-queue": func(in *Input) {
			in.Policy, in.Queue = compilePolicy(t, deepPolicy), true
			in.BlockPage = 8099
			in.Capture = Capture{Device: 1, Far: netip.MustParseAddr("2001:db8::7"), Port: 443, Bytes: 256}
		},
		"dscp": func(in *Input) { in.Policy = compilePolicy(t, dscpPolicy) },
		"guest": func(in *Input) {
			in.LAN = append(in.LAN, LAN{Device: "guest0", Nets: []netip.Prefix{netip.MustParsePrefix("10.78.0.0/24")}, Guest: true})
			in.BlockPage = 8099
		},
		"shaped": func(in *Input) { in.Shapings = homeShapings() },
		"arm": func(in *Input) { // the fiber's router is reached over the household's own network
			in.LAN[0].Device, in.Links[0].Device = "eth0", "eth0"
			in.Policy = compilePolicy(t, dscpPolicy)
		},
		"bond": func(in *Input) { // a link without a gateway, as it is while the relay gave an address of one family
			in.Links = append(in.Links, Link{
				LinkCondition: steer.LinkCondition{ID: 7, Name: "bond", Role: flow.Backup, Usable: true, Weight: 1},
				Device:        "bond7", Gateway4: netip.IPv4Unspecified(), Bond: true,
			})
			in.Policy = compilePolicy(t, strings.Replace(homePolicy, "steer: {use: [fiber, lte]}", "steer: {use: [bond, lte], delivery: reliable}", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := homeInput(t)
			change(&in)
			s, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(s.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), s.String()); diff != "" {
				t.Errorf("differs from %s (run with -update if it should):\n%s", path, diff)
			}
		})
	}
}
