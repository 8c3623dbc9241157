package catalog

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

// App is an application as a household speaks of it. What it claims (domains, protocols, prefixes, ports) no other one does.
type App struct {
	ID        string // slug, never changes
	Names     Names
	Category  string // id of a Category
	Domains   []Domain
	Protocols []string // names of wire protocols (dpi.Protocol) that nothing else speaks
	Prefixes  []netip.Prefix
	Ports     []Ports
}

// Covering is the longest of the application's domains that covers a host; the zero Domain when none does.
func (a App) Covering(host string) Domain {
	var best Domain
	for _, d := range a.Domains {
		switch covers := host == d.Name || !d.Exact && strings.HasSuffix(host, "."+d.Name); {
		case covers && d.Exact:
			return d
		case covers && len(d.Name) > len(best.Name):
			best = d
		}
	}
	return best
}

// Infrastructure is the category of what many applications share: content networks, clouds, sign-in and name services. Its
// members have a name for people, and tell nothing about what a flow is for.
const Infrastructure = "infrastructure"

// Shared tells that this is infrastructure, of which nothing may be concluded about other flows to the same address.
func (a App) Shared() bool { return a.Category == Infrastructure }

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
	version    uint64
	apps       []App // by id
	categories []Category
	domains    table
	protocols  map[string]int // wire protocol -> index of the application
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

// Version numbers the editions of the built-in catalogue: a later one has a higher number, made of the date and two digits
// (2026112201). An overlay does not change it.
func (c *Catalog) Version() uint64 { return c.version }

// Domains counts the domains of all applications.
func (c *Catalog) Domains() int { return len(c.domains.domains) }

// Apps returns all applications by id. The caller must not change them.
func (c *Catalog) Apps() []App { return c.apps }

// Categories returns all categories in the order of their file.
func (c *Catalog) Categories() []Category { return c.categories }

// App finds an application by id.
func (c *Catalog) App(id string) (App, bool) {
	i, ok := slices.BinarySearchFunc(c.apps, id, func(a App, id string) int { return strings.Compare(a.ID, id) })
	if !ok {
		return App{}, false
	}
	return c.apps[i], true
}

// HasApp tells whether an application of that id is known.
func (c *Catalog) HasApp(id string) bool { _, ok := c.App(id); return ok }

// HasCategory tells whether a category of that id is known.
func (c *Catalog) HasCategory(id string) bool {
	return slices.ContainsFunc(c.categories, func(k Category) bool { return k.ID == id })
}

// Lookup finds the application of a host name in the form of flow.CleanHost: that of the longest domain that covers it.
func (c *Catalog) Lookup(host string) (App, bool) {
	if i, ok := c.domains.find(host); ok {
		return c.apps[i], true
	}
	return App{}, false
}

// AppOf is Lookup for the id alone; "" when no application covers the host.
func (c *Catalog) AppOf(host string) string {
	if i, ok := c.domains.find(host); ok {
		return c.apps[i].ID
	}
	return ""
}

// Protocol finds the application that a wire protocol, by the name that dpi gives it, means when no host is known.
func (c *Catalog) Protocol(name string) (App, bool) {
	if i, ok := c.protocols[name]; ok {
		return c.apps[i], true
	}
	return App{}, false
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
