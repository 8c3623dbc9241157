package tunnel

import (
	"fmt"
	"net/netip"

	"github.com/trenza-router/trenza/router/bond"
)

// Config is the configuration file of a router that is a bond and nothing else.
type Config struct {
	State  string       `yaml:"state"`  // directory of the key and of what the router joined
	Run    string       `yaml:"run"`    // directory of the control socket; default: State
	Code   string       `yaml:"code"`   // an invite; it is needed at the first start, and does nothing when the router has joined with it
	Device string       `yaml:"device"` // name of the TUN device
	Paths  []ConfigPath `yaml:"paths"`
	MTU    int          `yaml:"mtu"` // of the tunnel; 0: what fits Ethernet
	// Routes are what goes over the bond; default: everything.
	Routes   []netip.Prefix `yaml:"routes"`
	LogLevel string         `yaml:"log_level"`
}

// ConfigPath is a link of the bond. The routing table must have a route to the relay over its device.
type ConfigPath struct {
	Name    string `yaml:"name"` // default: the device's
	Device  string `yaml:"device"`
	Metered bool   `yaml:"metered"`
}

// Load reads and checks a configuration file.
func Load(path string) (Config, error) {
	text, err := ReadFile(path, "bond")
	if err != nil {
		return Config{}, err
	}
	return Parse(path, text)
}

// Parse reads a configuration; name is the file's, for messages.
func Parse(name string, text []byte) (Config, error) {
	c := Config{State: "/var/lib/trenza-bond", Device: "trenza-bond", LogLevel: "info"}
	if err := Decode(name, text, &c); err != nil {
		return Config{}, err
	}
	if c.Run == "" {
		c.Run = c.State
	}
	if len(c.Routes) == 0 {
		c.Routes = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (c *Config) check() error {
	if len(c.Paths) == 0 || len(c.Paths) > bond.MaxPaths {
		return fmt.Errorf("paths: name one to %d links, as in \"paths: [{device: wan1}, {device: wan2}]\"", bond.MaxPaths)
	}
	if len(c.Device) == 0 || len(c.Device) > 15 {
		return fmt.Errorf("device: %q: a device's name has 1 to 15 characters", c.Device)
	}
	used := map[string]bool{}
	for i := range c.Paths {
		p := &c.Paths[i]
		if p.Device == "" || len(p.Device) > 15 || p.Device == c.Device {
			return fmt.Errorf("paths[%d]: device %q: name the link's network device", i, p.Device)
		}
		if used[p.Device] {
			return fmt.Errorf("paths[%d]: device %s is there twice", i, p.Device)
		}
		used[p.Device] = true
		if p.Name == "" {
			p.Name = p.Device
		}
	}
	if c.MTU != 0 && (c.MTU < LeastMTU || c.MTU > 1500) {
		return fmt.Errorf("mtu: %d: use %d to 1500, or leave it out", c.MTU, LeastMTU)
	}
	for _, r := range c.Routes {
		if !r.IsValid() || r != r.Masked() {
			return fmt.Errorf("routes: %v is no network; write it as in 0.0.0.0/0", r)
		}
	}
	if c.Code != "" {
		if _, err := ParseInvite(c.Code); err != nil {
			return fmt.Errorf("code: %w", err)
		}
	}
	return nil
}

// Links are the paths of the file, numbered as they stand there.
func (c *Config) Links() []Path {
	out := make([]Path, len(c.Paths))
	for i, p := range c.Paths {
		out[i] = Path{ID: bond.PathID(i), Name: p.Name, Device: p.Device, Metered: p.Metered}
	}
	return out
}

// Enrol opens the state and joins with a code if it is of another relay or invite than the one before; "" is none.
func Enrol(dir, code string) (*State, error) {
	s, err := OpenState(dir)
	if err != nil || code == "" {
		return s, err
	}
	i, err := ParseInvite(code)
	if err != nil {
		return nil, err
	}
	if old, ok := s.Invite(); ok && old.Relay == i.Relay && old.Seed == i.Seed {
		return s, nil
	}
	return s, s.Join(i)
}
