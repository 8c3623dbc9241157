package catalog

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

// App is an application as a household speaks of it.
type App struct {
	ID       string // slug, never changes
	Names    Names
	Category string // id of a Category
	Domains  []Domain
	Prefixes []netip.Prefix
	Ports    []Ports
	File     string // where it was read from
}

// Category groups applications.
type Category struct {
	ID    string
	Names Names
}

// Names are the words for a person, by language.
type Names struct {
	EN string `yaml:"en"`
	ES string `yaml:"es"`
	ZH string `yaml:"zh"`
}

// In returns the name in a language such as "es" or "zh-CN"; English when there is none.
func (n Names) In(language string) string {
	switch lang, _, _ := strings.Cut(strings.ToLower(language), "-"); lang {
	case "es":
		return n.ES
	case "zh":
		return n.ZH
	}
	return n.EN
}

// Domain is a host name and, unless Exact, all names below it. In a file an exact one is written "=name".
type Domain struct {
	Name  string
	Exact bool
}

func (d Domain) String() string {
	if d.Exact {
		return "=" + d.Name
	}
	return d.Name
}

// Ports is a range of destination ports that hardly anyone else uses, written "udp/3478-3481".
type Ports struct {
	Proto       flow.Proto
	First, Last uint16
}

// Catalog is the whole, ready to be asked.
type Catalog struct {
	apps       []App // by id
	categories []Category
	byID       map[string]int
	suffix     map[string]int // domain -> index of the app, with all names below
	exact      map[string]int
	prefixes   map[netip.Prefix]int
	lengths    []prefixLength // that occur, longest first
	ports      []portEntry    // by protocol and port
}

type prefixLength struct {
	is4  bool
	bits int
}

type portEntry struct {
	Ports
	app int
}

// Apps returns all applications by id. The caller must not change them.
func (c *Catalog) Apps() []App { return c.apps }

// Categories returns all categories in the order of their file.
func (c *Catalog) Categories() []Category { return c.categories }

// App finds an application by id.
func (c *Catalog) App(id string) (App, bool) {
	i, ok := c.byID[id]
	if !ok {
		return App{}, false
	}
	return c.apps[i], true
}

// HasApp tells whether an application of that id is known.
func (c *Catalog) HasApp(id string) bool { _, ok := c.byID[id]; return ok }

// HasCategory tells whether a category of that id is known.
func (c *Catalog) HasCategory(id string) bool {
	return slices.ContainsFunc(c.categories, func(k Category) bool { return k.ID == id })
}

// Lookup finds the application of a host name in the form of flow.CleanHost: that of the longest domain that covers it.
func (c *Catalog) Lookup(host string) (App, bool) {
	if i, ok := c.find(host); ok {
		return c.apps[i], true
	}
	return App{}, false
}

// AppOf is Lookup for the id alone; "" when no application covers the host.
func (c *Catalog) AppOf(host string) string {
	if i, ok := c.find(host); ok {
		return c.apps[i].ID
	}
	return ""
}

func (c *Catalog) find(host string) (int, bool) {
	if host == "" {
		return 0, false
	}
	if i, ok := c.exact[host]; ok {
		return i, true
	}
	for {
		if i, ok := c.suffix[host]; ok {
			return i, true
		}
		dot := strings.IndexByte(host, '.')
		if dot < 0 {
			return 0, false
		}
		host = host[dot+1:]
	}
}

// Prefix finds the application of the longest address range that holds the address.
func (c *Catalog) Prefix(a netip.Addr) (App, bool) {
	a = a.Unmap().WithZone("")
	for _, l := range c.lengths {
		if l.is4 != a.Is4() || !a.IsValid() {
			continue
		}
		p, err := a.Prefix(l.bits)
		if err != nil {
			continue
		}
		if i, ok := c.prefixes[p]; ok {
			return c.apps[i], true
		}
	}
	return App{}, false
}

// Port finds the application that a destination port speaks for.
func (c *Catalog) Port(proto flow.Proto, port uint16) (App, bool) {
	i, _ := slices.BinarySearchFunc(c.ports, port, func(e portEntry, port uint16) int {
		switch {
		case e.Proto != proto:
			return int(e.Proto) - int(proto)
		case e.Last < port:
			return -1
		}
		return 1
	})
	if i < len(c.ports) && c.ports[i].Proto == proto && c.ports[i].First <= port && port <= c.ports[i].Last {
		return c.apps[c.ports[i].app], true
	}
	return App{}, false
}
