package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/trenza-router/trenza/router/catalog/edition"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/link"
)

// Load reads and checks a configuration file.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w; start with the commented example of docs/CONFIG.md", err)
	}
	return Parse(path, data)
}

// maxFile is the size in bytes of the largest file that is read.
const maxFile = 1 << 20

// Parse reads a configuration; name is the file's name for messages. Errors are of type *Problem.
func Parse(name string, data []byte) (Config, error) {
	if len(data) > maxFile {
		return Config{}, &Problem{File: name, Text: fmt.Sprintf("larger than %d bytes: this is not a configuration", maxFile)}
	}
	where, err := survey(name, data)
	if err != nil {
		return Config{}, err
	}
	c := Default()
	if len(where) > 0 {
		if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&c); err != nil && !errors.Is(err, io.EOF) {
			return Config{}, located(name, err)
		}
	}
	c.complete()
	if err := c.Check(); err != nil {
		p := &Problem{File: name, Text: err.Error()}
		var m *misfit
		if errors.As(err, &m) {
			if at := where.of(m.path); at != nil {
				p.Line, p.Column = at.Line, at.Column
			}
		}
		return Config{}, p
	}
	return c, nil
}

// misfit is an error about the value at a path of the file.
type misfit struct{ path, text string }

func (m *misfit) Error() string { return m.text }

func misfitf(path, format string, args ...any) error {
	return &misfit{path, fmt.Sprintf(format, args...)}
}

// Default is the configuration that an empty file means, before links and LAN are named.
func Default() Config {
	return Config{
		Platform: Static,
		State:    "/var/lib/trenza",
		Run:      "/run/trenza",
		Resolver: Resolver{Listen: []string{":53"}},
		Leases:   []string{"/var/lib/misc/dnsmasq.leases"},
		Web:      Web{Listen: "127.0.0.1:8080"},
		Nft:      "nft",
		LogLevel: "info",
	}
}

// located puts file, line and column before the reader's message.
func located(name string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		at := y.GetToken().Position
		return &Problem{name, at.Line, at.Column, y.GetMessage()}
	}
	return &Problem{File: name, Text: err.Error()}
}

// defaultTargets are what a link is probed with when the file names nothing: public name servers of three operators,
// as far apart as can be.
func defaultTargets(l Link) []string {
	if l.IPv4.Mode == Off {
		return []string{"icmp:2620:fe::fe", "icmp:2606:4700:4700::1111", "dns:2001:4860:4860::8888"}
	}
	return []string{"icmp:9.9.9.9", "icmp:1.1.1.1", "dns:8.8.8.8"}
}

// complete fills in what links leave out. Those without a number get their place in the list, as far as it is free.
func (c *Config) complete() {
	taken := map[flow.LinkID]bool{}
	for _, l := range c.Links {
		taken[l.ID] = true
	}
	for i := range c.Links {
		l := &c.Links[i]
		if l.ID == 0 {
			id := flow.LinkID(i + 1)
			for taken[id] && id <= flow.MaxLink {
				id++
			}
			l.ID, taken[id] = id, true
		}
		if l.ByRelay() && l.Device == "" {
			l.Device = RelayDevice(l.ID)
		}
		if l.Weight == 0 {
			l.Weight = 1
		}
		if l.IPv4.Mode == "" {
			l.IPv4.Mode = Auto
		}
		if l.IPv6.Mode == "" {
			l.IPv6.Mode = Auto
		}
		if len(l.Probes.Targets) == 0 && !l.ByRelay() {
			l.Probes.Targets = defaultTargets(*l)
		}
		if l.Shape.Mode == "" {
			l.Shape.Mode = ShapeOff
		}
		if l.Quota.Limit > 0 && l.Quota.ResetDay == 0 {
			l.Quota.ResetDay = 1
		}
	}
	for i := range c.Links {
		if l := &c.Links[i]; l.ByRelay() && len(l.Probes.Targets) == 0 {
			l.Probes.Targets = c.relayTargets(*l)
		}
	}
}

// Check tells the first thing that cannot work and what would.
func (c Config) Check() error {
	if c.Platform != Static {
		return misfitf("platform", "platform %q: use static", c.Platform)
	}
	if len(c.LAN) == 0 {
		return misfitf("lan", "lan: name the interface of the household's network, as in \"lan: [{device: eth0}]\"")
	}
	if len(c.Links) == 0 {
		return misfitf("links", "links: name at least one, as in \"links: [{name: fiber, device: eth1}]\"")
	}
	if len(c.Links) > int(flow.MaxLink) {
		return misfitf("links", "links: %d are too many, at most %d", len(c.Links), flow.MaxLink)
	}
	used := map[string]string{}
	if err := c.checkLAN(used); err != nil {
		return err
	}
	names, ids := map[string]bool{}, map[flow.LinkID]string{}
	for i, l := range c.Links {
		at := fmt.Sprintf("links[%d]", i)
		if !validName(l.Name) {
			return misfitf(at+".name", "link %q: a name has 1 to 32 letters, digits, '-' or '_'", l.Name)
		}
		if names[l.Name] {
			return misfitf(at+".name", "link %q is there twice", l.Name)
		}
		if l.ID < 1 || l.ID > flow.MaxLink {
			return misfitf(at+".id", "link %s: id %d: use 1 to %d", l.Name, l.ID, flow.MaxLink)
		}
		if other, ok := ids[l.ID]; ok {
			return misfitf(at+".id", "links %s and %s have the same id %d", other, l.Name, l.ID)
		}
		names[l.Name], ids[l.ID] = true, l.Name
		if !l.ByHardware() {
			if err := cmp.Or(c.checkArm(l, at, used), checkDevice(at+".device", l.Device, "link "+l.Name, used)); err != nil {
				return err
			}
		}
		if err := c.checkLink(l, at); err != nil {
			return err
		}
	}
	return c.checkServices()
}

// checkServices is Check for what is neither LAN nor link.
func (c Config) checkServices() error {
	for i, a := range c.Resolver.Listen {
		if _, err := ParseListen(a); err != nil {
			return misfitf(fmt.Sprintf("resolver.listen[%d]", i), "resolver: listen %q: %v", a, err)
		}
	}
	if c.Web.Listen != "" {
		if _, err := ParseListen(c.Web.Listen); err != nil {
			return misfitf("web.listen", "web: listen %q: %v, or \"\" for no page", c.Web.Listen, err)
		}
	}
	if c.Web.TLS != "" {
		if _, err := ParseListen(c.Web.TLS); err != nil {
			return misfitf("web.tls", "web: tls %q: %v", c.Web.TLS, err)
		}
		if c.Web.Listen == "" {
			return misfitf("web.tls", "web: tls without listen: the page needs an address for the first setup, too; set web.listen")
		}
		if c.Web.TLS == c.Web.Listen {
			return misfitf("web.tls", "web: listen and tls are both %s: one port cannot speak both", c.Web.TLS)
		}
	}
	if c.BlockPage != "" {
		at, err := ParseListen(c.BlockPage)
		switch {
		case err != nil:
			return misfitf("block_page", "block_page %q: %v", c.BlockPage, err)
		case c.BlockPage == c.Web.Listen || c.BlockPage == c.Web.TLS || at.Port() == 80:
			return misfitf("block_page", "block_page %q: give it a port of its own, and not 80", c.BlockPage)
		}
	}
	for i, k := range c.CatalogKeys {
		if _, err := edition.ParseKey(k); err != nil {
			return misfitf(fmt.Sprintf("catalog_keys[%d]", i), "catalog_keys: %v", err)
		}
	}
	taken := map[string]string{}
	for i, f := range c.Forwards {
		at := fmt.Sprintf("forwards[%d]", i)
		p, err := flow.ParseProto(f.Proto)
		if err != nil || p != flow.ProtoTCP && p != flow.ProtoUDP {
			return misfitf(at+".proto", "forward %q: proto %q: use tcp or udp", f.Name, f.Proto)
		}
		if f.Port == 0 || !f.To.IsValid() || f.To.Port() == 0 {
			return misfitf(at, "forward %q: needs a port and a target, as in \"port: 8443, to: 192.168.1.20:443\"", f.Name)
		}
		// One port can lead to one device of each family.
		key := fmt.Sprint(p, f.Port, f.To.Addr().Is4())
		if other, ok := taken[key]; ok {
			return misfitf(at+".port", "forwards %q and %q both take %s port %d", other, f.Name, p, f.Port)
		}
		taken[key] = f.Name
	}
	if c.TimeZone != "" {
		if _, err := time.LoadLocation(c.TimeZone); err != nil {
			return misfitf("time_zone", "time_zone %q is not known: use a name like Europe/Madrid", c.TimeZone)
		}
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		return misfitf("log_level", "log_level %q: use debug, info, warn or error", c.LogLevel)
	}
	return nil
}

// checkLink looks at one link; at is its path.
func (c Config) checkLink(l Link, at string) error {
	bad := func(key, format string, args ...any) error {
		return misfitf(at+"."+key, "link %s: %s", l.Name, fmt.Sprintf(format, args...))
	}
	if err := cmp.Or(c.checkRelay(l, bad), l.checkHardware(bad)); err != nil {
		return err
	}
	if l.IPv6.Mode == DHCP {
		return bad("ipv6", "ipv6: dhcp is not supported: use auto, off or {gateway: ADDRESS}")
	}
	if l.IPv4.Mode == Off && l.IPv6.Mode == Off {
		return bad("ipv4", "ipv4 and ipv6 are both off: nothing could use this link")
	}
	if g := l.IPv4.Gateway; g.IsValid() && !g.Is4() {
		return bad("ipv4", "ipv4: gateway %s is not an IPv4 address", g)
	}
	if g := l.IPv6.Gateway; g.IsValid() && (!g.Is6() || g.Zone() != "") {
		return bad("ipv6", "ipv6: gateway %s is not a plain IPv6 address; the device is stated beside it", g)
	}
	if l.Weight < 1 || l.Weight > 1000 {
		return bad("weight", "weight %d: use 1 to 1000", l.Weight)
	}
	if l.Quota.ResetDay < 0 || l.Quota.ResetDay > 31 {
		return bad("quota.reset_day", "quota: reset_day %d: use 1 to 31", l.Quota.ResetDay)
	}
	if d := time.Duration(l.Probes.Interval); d != 0 && (d < 200*time.Millisecond || d > time.Hour) {
		return bad("probes.interval", "probes: interval %v: use 200ms to 1h", d)
	}
	if err := l.checkShape(bad); err != nil {
		return err
	}
	for i, t := range l.Probes.Targets {
		if _, err := link.ParseTarget(t); err != nil {
			return bad(fmt.Sprintf("probes.targets[%d]", i), "%v", err)
		}
	}
	return nil
}

func checkDevice(at, device, of string, used map[string]string) error {
	// IFNAMSIZ is 16 with the final zero; '/' and white space are refused by the kernel.
	if device == "" || len(device) > 15 || strings.ContainsAny(device, "/ \t\n\"") {
		return misfitf(at, "%s: device %q is not an interface name", of, device)
	}
	if other, ok := used[device]; ok {
		return misfitf(at, "%s: device %s is already used by %s", of, device, other)
	}
	used[device] = of
	return nil
}

func validName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}

// ParseListen reads "ADDRESS:PORT" or ":PORT" (every address).
func ParseListen(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("write it as ADDRESS:PORT or :PORT")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, fmt.Errorf("port %q: use 1 to 65535", port)
	}
	if host == "" {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(n)), nil
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: use an IP address", host)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}
