package relay

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/trenza-router/trenza/router/bond/tunnel"
)

// Config is the relay's configuration file.
type Config struct {
	// Listen is where routers reach the relay: ":51900", "198.51.100.7:51900", "[2001:db8::7]:51900".
	Listen []string `yaml:"listen"`
	// Public are the addresses that invites name; default: those of Listen that say one.
	Public []netip.AddrPort `yaml:"public"`
	State  string           `yaml:"state"`
	Device string           `yaml:"device"`
	// Pool is where routers get their addresses from: one network of each family at most.
	Pool []netip.Prefix `yaml:"pool"`
	MTU  int            `yaml:"mtu"` // of the tunnels at most; 0: what fits Ethernet
	// NAT says that what routers send leaves with the relay's own address; false: the pool's networks are routed here.
	NAT      *bool     `yaml:"nat"`
	Forwards []Forward `yaml:"forwards"`
	// Web is the web site by which routers come in where UDP does not pass; nil: there is none.
	Web      *Web   `yaml:"https"`
	Metrics  string `yaml:"metrics"` // where /metrics is served, "127.0.0.1:9477"; "": nowhere
	Nft      string `yaml:"nft"`
	LogLevel string `yaml:"log_level"`
}

// Forward leads a port of the relay to a router, whose own forwards lead on to a device.
type Forward struct {
	Router string `yaml:"router"`
	Proto  string `yaml:"proto"` // tcp or udp
	Port   uint16 `yaml:"port"`
	To     uint16 `yaml:"to"` // port at the router; 0: the same
}

// Web is the relay's web server.
type Web struct {
	Listen []string `yaml:"listen"` // all of one port; default ":443"
	// Name is that of Cert, for which a public authority vouches; "": the relay makes a certificate that its codes name.
	Name string `yaml:"name"`
	Cert string `yaml:"cert"` // file of the certificate and its chain, PEM; it is read again when it changes
	Key  string `yaml:"key"`
	Site string `yaml:"site"` // directory of the site that visitors see; "": one plain page
}

const (
	// DefaultPort is where relays listen.
	DefaultPort = 51900
	webPort     = 443
)

// Load reads and checks a configuration file.
func Load(path string) (Config, error) {
	text, err := tunnel.ReadFile(path, "relay")
	if err != nil {
		return Config{}, err
	}
	return Parse(path, text)
}

// Parse reads a configuration; name is the file's, for messages.
func Parse(name string, text []byte) (Config, error) {
	yes := true
	c := Config{State: "/var/lib/trenza-relay", Device: "trenza-relay", NAT: &yes, Nft: "nft", LogLevel: "info"}
	if err := tunnel.Decode(name, text, &c); err != nil {
		return Config{}, err
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{fmt.Sprintf(":%d", DefaultPort)}
	}
	if len(c.Pool) == 0 {
		c.Pool = []netip.Prefix{netip.MustParsePrefix("10.91.0.0/16"), netip.MustParsePrefix("fd74:7265:6e7a::/64")}
	}
	if c.Web != nil && len(c.Web.Listen) == 0 {
		c.Web.Listen = []string{fmt.Sprintf(":%d", webPort)}
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (c *Config) check() error {
	if c.Web != nil {
		if err := c.Web.check(); err != nil {
			return fmt.Errorf("https: %w", err)
		}
	}
	for _, l := range c.Listen {
		if _, err := listenAddr(l); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	var four, six int
	for _, p := range c.Pool {
		switch {
		case !p.IsValid() || p != p.Masked():
			return fmt.Errorf("pool: %v is no network; write it as in 10.91.0.0/16", p)
		case p.Addr().Is4():
			four++
		default:
			six++
		}
		if p.Addr().BitLen()-p.Bits() < 2 {
			return fmt.Errorf("pool: %v has no room for a relay and a router", p)
		}
	}
	if four > 1 || six > 1 {
		return errors.New("pool: one network of each family, no more")
	}
	if c.MTU != 0 && (c.MTU < 1280 || c.MTU > 1500) {
		return fmt.Errorf("mtu: %d: use 1280 to 1500, or leave it out", c.MTU)
	}
	if len(c.Device) == 0 || len(c.Device) > 15 {
		return fmt.Errorf("device: %q: a device's name has 1 to 15 characters", c.Device)
	}
	taken := map[string]bool{}
	for _, f := range c.Forwards {
		key := fmt.Sprint(f.Proto, f.Port)
		switch {
		case f.Proto != "tcp" && f.Proto != "udp":
			return fmt.Errorf("forwards: proto %q: use tcp or udp", f.Proto)
		case f.Port == 0:
			return errors.New("forwards: say the relay's port, as in {router: home, proto: tcp, port: 8443, to: 443}")
		case !validName(f.Router):
			return fmt.Errorf("forwards: router %q: %s", f.Router, nameRule)
		case taken[key]:
			return fmt.Errorf("forwards: %s port %d is there twice", f.Proto, f.Port)
		}
		taken[key] = true
	}
	return nil
}

func (w *Web) check() error {
	for _, l := range w.Listen {
		a, err := listenAddr(l)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		if a.Port() != w.port() {
			return fmt.Errorf("listen: ports %d and %d: codes name one port", w.port(), a.Port())
		}
	}
	switch {
	case (w.Cert == "") != (w.Key == ""):
		return errors.New("cert and key: give the file of each, or neither")
	case (w.Cert == "") != (w.Name == ""):
		return errors.New("cert and name: a certificate of yours needs the name that routers ask it for, as in \"name: www.example.org\"; without both the relay makes one")
	case len(w.Name) > 253:
		return errors.New("name: it is longer than any name of the Internet")
	}
	return nil
}

// port is that of all addresses.
func (w *Web) port() uint16 {
	a, err := listenAddr(w.Listen[0])
	if err != nil {
		return 0 // check says so
	}
	return a.Port()
}

// listenAddr reads an address to listen at; ":51900" is any.
func listenAddr(s string) (netip.AddrPort, error) {
	if len(s) > 0 && s[0] == ':' {
		s = "[::]" + s
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q: write :%d or ADDRESS:%d", s, DefaultPort, DefaultPort)
	}
	return a, nil
}

// addresses are those that an invite names.
func (c *Config) addresses() []netip.AddrPort {
	if len(c.Public) > 0 {
		return c.Public
	}
	var out []netip.AddrPort
	for _, l := range c.Listen {
		if a, err := listenAddr(l); err == nil && !a.Addr().IsUnspecified() {
			out = append(out, a)
		}
	}
	return out
}

const nameRule = "a name has 1 to 32 letters, digits, '-' or '_'"

func validName(s string) bool {
	if len(s) == 0 || len(s) > 32 {
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return true
}
