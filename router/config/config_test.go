package config

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/link"
)

var update = flag.Bool("update", false, "write the golden files anew")

// base is the least that works; the cases add to its link, or to its end.
const base = "lan: [{device: lan0}]\nlinks:\n  - name: fiber\n    device: wan1\n"

// slot is a link that lacks its device.
const slot = "lan: [{device: lan0}]\nlinks:\n  - name: spare\n"

// wan is a file's end; the cases are about the LAN before it.
const wan = "links: [{name: fiber, device: wan1}]\n"

func bad() []string {
	lan := func(more string) string { return "lan: [{device: br-lan, " + more + "}]\n" + wan }
	return []string{
		lan("bridge: [wan1]"), lan("bridge: [eth0, eth0]"), lan("address: 192.168.83.0/24"), lan("address: 192.168.83.1"), lan("address: 192.168.83.1/31"),
		lan("address: \"fd00::1/64\""), lan("ula: \"fd00:1::1/64\""), lan("ula: \"2001:db8::1/64\", ipv6: auto"), lan("ula: \"fd00:1::/64\", ipv6: auto"), lan("ipv6: maybe"),
		lan("dhcp: yes"), lan("dhcp: {lease: 5s}"), lan("dhcp: {from: 9, to: 8}"), lan("address: 192.168.83.1/24, dhcp: {from: 200, to: 300}"),
		"lan: [{device: a, address: 10.0.0.1/16}, {device: b, address: 10.0.1.1/24}]\n" + wan,
		"", "x", "a: [", "lan: 5", base + "\tweight: 1\n", base + "---\nlan: []\n", "a: &x 5\nb: *x\n",
		base + "    weigth: 5\n", base + "    weight: 5000\n", base + "    weight: 0\n", base + "    weight: many\n", base + "    role: best\n",
		base + "    ipv4: static\n", base + "    ipv4: {gatewy: 1.2.3.4}\n", base + "    ipv4: {gateway: 1.2.3}\n", base + "    ipv4: {gateway: \"fe80::1\"}\n",
		base + "    ipv6: dhcp\n", base + "    ipv6: {gateway: 1.2.3.4}\n", base + "    ipv6: {gateway: \"fe80::1%wan1\"}\n", base + "    ipv4: off\n    ipv6: off\n",
		base + "    quota: {limit: lots}\n", base + "    quota: {limit: -5GB}\n", base + "    quota: {limit: nan}\n", base + "    quota: {limit: 20GB, reset_day: 40}\n",
		base + "    rate: {down: 5}\n", base + "    dns: [one]\n", base + "    dns: [\"tls://dns.example\"]\n", base + "    metered: maybe\n",
		base + "    probes: {interval: 5}\n", base + "    probes: {interval: 1ms}\n", base + "    probes: {targets: [\"smtp:192.0.2.1\"]}\n",
		base + "    id: 9\n", base + "    id: -1\n", base + "  - {name: lte, device: wan2, id: 3}\n  - {name: wifi, device: wan3, id: 3}\n",
		base + "  - {name: fiber, device: wan2}\n", base + "  - {name: lte, device: wan1}\n", base + "  - {name: lte, device: lan0, rate: {down: 9mbit, up: 9mbit}, shape: {mode: fixed}}\n", base + "  - {name: \"a b\", device: wan2}\n",
		base + "  - {name: lte}\n", base + "  - {name: lte, device: an-interface-name}\n",
		base + strings.Repeat("  - {name: a, device: b}\n", 7),
		base + "platform: openwrt\n", base + "platform: static\nplatform: static\n", base + "lan: [{device: x}]\n", base + "log_level: loud\n",
		base + "web: {listen: \"8080\"}\n", base + "web: {listen: \"localhost:8080\"}\n", base + "resolver: {listen: [\":53\", \":x\"]}\n", base + "resolver: {listen: [\":0\"]}\n",
		base + "resolver: {rebind_names: [\".\"]}\n", base + "resolver: {rebind_names: [a..b]}\n", base + "resolver: {strip_ech: maybe}\n",
		base + "resolver: {upstreams: [\"udp://192.0.2.1\"]}\n", base + "resolver: {upstreams: [192.0.2.1, \"https://192.0.2.1:0/\"]}\n",
		base + "forwards: [{name: a, proto: icmp, port: 1, to: \"192.0.2.1:5\"}]\n", base + "forwards: [{name: a, proto: tcp, port: 99999, to: \"192.0.2.1:5\"}]\n",
		base + "forwards: [{name: a, proto: tcp, port: 9, to: \"camera:5\"}]\n", base + "forwards: [{name: a, proto: tcp, port: 9}]\n",
		base + "forwards:\n  - {name: a, proto: tcp, port: 9, to: \"192.0.2.1:5\"}\n  - {name: b, proto: tcp, port: 9, to: \"192.0.2.2:5\"}\n",
		base + "time_zone: Mars/Base\n",
		base + "    hardware: {kind: modem}\n", slot + "    hardware: modem\n", slot + "    hardware: {kind: radio}\n", slot + "    hardware: {port: usb-1-1}\n",
		slot + "    hardware: {kind: wifi, password: hunter2}\n", slot + "    hardware: {kind: stick, apn: internet}\n", slot + "    hardware: {kind: modem, pin: \"12x4\"}\n",
		slot + "    hardware: {kind: modem, pin: \"12\"}\n", slot + "    hardware: {kind: modem, roaming: perhaps}\n", slot + "    hardware: {kind: ppp, user: me}\n",
		slot + "    hardware: {kind: ppp, parent: eth1}\n", slot + "    hardware: {kind: vlan, parent: eth1}\n", slot + "    hardware: {kind: vlan, parent: eth1, tag: 5000}\n",
		slot + "    hardware: {kind: ethernet, parent: eth1}\n", slot + "    hardware: {kind: ppp, parent: eth1, user: me, port: usb-1-1}\n",
		base + "    shape: {mode: always}\n", base + "    shape: {mode: fixed}\n", base + "    shape: {framing: cable}\n",
		base + "    rate: {down: 100kbit, up: 10mbit}\n    shape: {mode: fixed}\n", base + "    rate: {down: 20gbit, up: 10mbit}\n    shape: {mode: fixed}\n",
		base + "    rate: {down: 50mbit, up: 10mbit}\n    shape: {mode: auto, min: {up: 20mbit}}\n", base + "    rate: {down: 50mbit, up: 10mbit}\n    shape: {mode: fixed, min: {up: 1mbit}}\n",
		base + "    rate: {down: 50mbit, up: 10mbit}\n    shape: {mode: auto, reflectors: [example.com]}\n",
	}
}

// TestBadFiles shows what a person reads about each mistake.
func TestBadFiles(t *testing.T) {
	var got strings.Builder
	for _, text := range bad() {
		c, err := Parse("trenza.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q is accepted: %+v", text, c)
			continue
		}
		var p *Problem
		if !errors.As(err, &p) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v is not one line about a place", text, err)
		}
		shown := strings.TrimSuffix(strings.Replace(strings.Replace(text, slot, "...\n", 1), base, "...\n", 1), "\n")
		got.WriteString("    " + strings.ReplaceAll(shown, "\n", "\n    ") + "\n" + err.Error() + "\n\n")
	}
	path := filepath.Join("testdata", "bad.golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("differs from %s (run with -update if it should):\n%s", path, diff)
	}
}

func TestDefaults(t *testing.T) {
	got, err := Parse("trenza.yaml", []byte(base+"  - {name: lte, device: wan2, quota: {limit: 20GB}, role: backup}\n  - {name: wifi, device: wan3, id: 2}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.LAN = []LAN{{Device: "lan0"}}
	auto, probes, shape := Address{Mode: Auto}, Probes{Targets: []string{"icmp:9.9.9.9", "icmp:1.1.1.1", "dns:8.8.8.8"}}, Shape{Mode: ShapeOff}
	want.Links = []Link{
		{Name: "fiber", ID: 1, Device: "wan1", IPv4: auto, IPv6: auto, Weight: 1, Shape: shape, Probes: probes},
		{Name: "lte", ID: 3, Device: "wan2", IPv4: auto, IPv6: auto, Weight: 1, Shape: shape, Probes: probes, Role: flow.Backup, Quota: Quota{Limit: 20e9, ResetDay: 1}},
		{Name: "wifi", ID: 2, Device: "wan3", IPv4: auto, IPv6: auto, Weight: 1, Shape: shape, Probes: probes},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for _, l := range []Link{{}, {IPv4: Address{Mode: Off}}} {
		for _, target := range defaultTargets(l) {
			if _, err := link.ParseTarget(target); err != nil {
				t.Error(err)
			}
		}
	}
	if !got.Resolver.Redirected() {
		t.Error("queries are not redirected by default")
	}
}

// TestDocumentedExample reads the example of the reference, so that it cannot go out of date.
func TestDocumentedExample(t *testing.T) {
	doc, err := os.ReadFile("../../docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("docs/CONFIG.md has no yaml block")
	}
	c, err := Parse("docs/CONFIG.md", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	lte := c.Links[1]
	if c.Links[0].Rate != (Rates{100e6, 20e6}) || time.Duration(c.Links[0].Probes.Interval) != time.Second || !lte.Metered ||
		lte.IPv4 != (Address{Stated, netip.MustParseAddr("192.168.8.1")}) || lte.IPv6.Mode != Off || lte.Quota != (Quota{20e9, 1}) {
		t.Errorf("the example reads as %+v", c)
	}
	var servers []string
	for _, s := range append(lte.DNS, c.Resolver.Upstreams...) {
		servers = append(servers, s.String())
	}
	if diff := cmp.Diff([]string{"192.168.8.1", "tls://dns.quad9.net@9.9.9.9", "https://cloudflare-dns.com@1.1.1.1/dns-query"}, servers); diff != "" {
		t.Error(diff)
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		":53": "[::]:53", "127.0.0.1:8080": "127.0.0.1:8080", "[::1]:53": "[::1]:53",
		"": "", "53": "", ":": "", ":0": "", ":65536": "", "host:1": "", "::1:53": "",
	} {
		got, err := ParseListen(in)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("ParseListen(%q) = %v, %v; want %q", in, got, err, want)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.yaml") || !strings.Contains(err.Error(), "docs/CONFIG.md") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: whatever the file, the answer is a configuration that can work or a problem of one line.
func FuzzParse(f *testing.F) {
	for _, s := range bad() {
		f.Add([]byte(s))
	}
	f.Add([]byte("\x00"))
	f.Add([]byte(base + "    ipv4: {gateway: 192.0.2.1}\n    quota: {limit: 1.5TB}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data)
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if err := c.Check(); err != nil {
			t.Fatalf("parsed, but %v", err)
		}
	})
}
