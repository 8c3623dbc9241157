package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/flow"
)

// Relay makes a link of a bond: what takes it goes to a relay over several of the other links at once, and out into the internet there.
type Relay struct {
	// Code is the relay's invite, for the first start; a link that has joined needs none.
	Code Secret `yaml:"code"`
	// Over are the links that the bond goes over; default: all that are lines of the house, whose role is not "never".
	Over []string `yaml:"over"`
}

// ByRelay tells whether the link is a bond.
func (l Link) ByRelay() bool { return l.Relay != nil }

// Strands are the links that a bond goes over.
func (c Config) Strands(l Link) []Link {
	var out []Link
	for _, o := range c.Links {
		if !o.ByRelay() && (slices.Contains(l.Relay.Over, o.Name) || len(l.Relay.Over) == 0 && o.Role != flow.Never) {
			out = append(out, o)
		}
	}
	return out
}

// mostTargets bounds what a bond is probed with.
const mostTargets = 8

// relayTargets are what a bond is probed with when the file names nothing: whatever the links that it goes over are probed with.
func (c Config) relayTargets(l Link) (out []string) {
	for _, s := range c.Strands(l) {
		for _, t := range s.Probes.Targets {
			if !slices.Contains(out, t) && len(out) < mostTargets {
				out = append(out, t)
			}
		}
	}
	return out
}

// RelayState is the directory in which a bond keeps its key and what it joined.
func (c Config) RelayState(link string) string { return filepath.Join(c.State, "relay", link) }

// RelayDevice is the network device of a bond that the file gives no other name: not bond0 and the like, which are the kernel's own bonds.
func RelayDevice(id flow.LinkID) string { return fmt.Sprintf("trenza%d", id) }

// checkRelay looks at a link that is a bond; bad makes the error about a key.
func (c Config) checkRelay(l Link, bad func(key, format string, args ...any) error) error {
	if !l.ByRelay() {
		return nil
	}
	switch {
	case l.ByHardware():
		return bad("hardware", "relay and hardware are both stated: a bond has no device of its own to plug in")
	case l.IPv4.Mode != Auto && l.IPv4.Mode != Off, l.IPv6.Mode != Auto && l.IPv6.Mode != Off:
		return bad("relay", "ipv4 and ipv6 of a bond are auto or off: its addresses come from the relay")
	case l.Shape.Mode != ShapeOff && l.Shape.Mode != "":
		return bad("shape.mode", "shape: a bond measures its paths by itself: leave it out")
	}
	for i, name := range l.Relay.Over {
		n := slices.IndexFunc(c.Links, func(o Link) bool { return o.Name == name })
		if n < 0 || c.Links[n].ByRelay() {
			return bad(fmt.Sprintf("relay.over[%d]", i), "relay: over %q: name links of this file that are not bonds themselves", name)
		}
	}
	if len(c.Strands(l)) == 0 {
		return bad("relay", "relay: there is no link that the bond could go over")
	}
	if l.Relay.Code != "" {
		if _, err := tunnel.ParseInvite(string(l.Relay.Code)); err != nil {
			return bad("relay.code", "relay: %v", err)
		}
	}
	return nil
}

// AddedLink is a link that was added to a running router. It holds no secret: those are in RelayState.
type AddedLink struct {
	Name string      `yaml:"name"`
	ID   flow.LinkID `yaml:"id"`
	Role flow.Role   `yaml:"role"`
	Over []string    `yaml:"over,omitempty"`
}

// link is it in the words of the configuration.
func (a AddedLink) link() Link {
	return Link{Name: a.Name, ID: a.ID, Role: a.Role, Relay: &Relay{Over: a.Over}}
}

// addedFile holds the links that were added, in the state directory: the configuration belongs to a person and is never written.
const addedFile = "links.yaml"

// Added reads the links that were added to the router with this configuration.
func (c Config) Added() ([]AddedLink, error) {
	name := filepath.Join(c.State, addedFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the links that were added: %w", err)
	}
	var file struct {
		Links []AddedLink `yaml:"links"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, located(name, err)
	}
	return file.Links, nil
}

// SaveAdded keeps the links that were added, whole or not at all.
func (c Config) SaveAdded(links []AddedLink) error {
	text, err := yaml.Marshal(map[string][]AddedLink{"links": links})
	if err == nil {
		err = tunnel.WriteFile(filepath.Join(c.State, addedFile), append([]byte("# Written by the router: links that were added with \"trenza link add\".\n"), text...))
	}
	if err != nil {
		return fmt.Errorf("keeping the links that were added: %w", err)
	}
	return nil
}

// WithAdded is the configuration with further links, checked. An error names what is wrong with them and not with the file.
func (c Config) WithAdded(links []AddedLink) (Config, error) {
	c.Links = slices.Clone(c.Links)
	for _, a := range links {
		c.Links = append(c.Links, a.link())
	}
	c.complete()
	return c, c.Check()
}

// FreeLinkID is a number for one more link; 0 when all are taken.
func (c Config) FreeLinkID() flow.LinkID {
	for id := flow.MaxLink; id >= 1; id-- { // from above: those of the file are numbered by their places
		if !slices.ContainsFunc(c.Links, func(l Link) bool { return l.ID == id }) {
			return id
		}
	}
	return 0
}
