package catalog

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The catalogue that the program carries: data, compiled. Kept true by TestBuiltInIsData and "make check-generated".
//
//go:generate go run ../.. catalog compile data catalog.bin
//go:embed catalog.bin
var builtIn string

// BuiltIn reads the catalogue that the program carries.
func BuiltIn() (*Catalog, error) {
	c, err := Decode(builtIn)
	if err != nil {
		return nil, fmt.Errorf("the built-in catalogue of applications: %w; this program is broken", err)
	}
	return c, nil
}

// Load reads the built-in catalogue and, if overlay is not "", the directory of own files over it. Unlike with Overlay, any
// problem is an error; all are told.
func Load(overlay string) (*Catalog, error) {
	c, err := BuiltIn()
	if err != nil || overlay == "" {
		return c, err
	}
	c, problems := c.Overlay(overlay)
	if len(problems) > 0 {
		return nil, fmt.Errorf("application catalogue: %w", errors.Join(problems...))
	}
	return c, nil
}

// Overlay lays a household's own files over the catalogue: categories.yaml adds categories or renames some, apps/*.yaml adds applications or
// replaces those of the same id. What an own application claims is taken from the one that had it. A file with a problem
// counts as not there; each problem names file and line. The catalogue itself does not change.
func (c *Catalog) Overlay(dir string) (*Catalog, []error) {
	if info, err := os.Stat(dir); err != nil {
		return c, []error{fmt.Errorf("catalogue overlay: %w; create the directory or leave the setting out", err)}
	} else if !info.IsDir() {
		return c, []error{fmt.Errorf("catalogue overlay: %s is not a directory", dir)}
	}
	b := builder{apps: make(map[string]*sourced, len(c.apps)), categories: slices.Clone(c.categories)}
	for _, a := range c.apps {
		b.apps[a.ID] = &sourced{App: a, file: "the catalogue"}
	}
	b.read(1, layer{os.DirFS(dir), dir})
	own, err := b.build(c.version)
	if err != nil {
		return c, append(b.problems, err)
	}
	return own, b.problems
}

// Compile reads a directory of source files as a whole catalogue, whose version is in the file VERSION, and runs the tests they
// contain. name is the directory's for messages. Any problem is an error; all are told.
func Compile(files fs.FS, name string) (*Catalog, error) {
	b := builder{apps: map[string]*sourced{}}
	text, err := fs.ReadFile(files, "VERSION")
	if err != nil {
		return nil, fmt.Errorf("%s: the file VERSION says which edition this is: %w", name, err)
	}
	version, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s/VERSION: %q: write a number made of the date and two digits, as 2026112201", name, text)
	}
	b.read(0, layer{files, name})
	c, err := b.build(version)
	if err := errors.Join(append(b.problems, err)...); err != nil {
		return nil, err
	}
	if len(c.apps) == 0 {
		return nil, fmt.Errorf("%s: no application in apps/*.yaml", name)
	}
	return c, nil
}

// build settles who owns what, makes the catalogue and runs the files' tests.
func (b *builder) build(version uint64) (*Catalog, error) {
	list := slices.SortedFunc(maps.Values(b.apps), func(x, y *sourced) int {
		return cmp.Or(-cmp.Compare(x.depth, y.depth), cmp.Compare(x.ID, y.ID))
	})
	domains, protocols, prefixes := map[Domain]*sourced{}, map[string]*sourced{}, map[netip.Prefix]*sourced{}
	var ports []claimedPorts
	apps := make([]App, 0, len(list))
	for _, s := range list {
		a := s.App
		a.Domains = claim(b, domains, s, a.Domains, "domain")
		a.Protocols = claim(b, protocols, s, a.Protocols, "protocol")
		a.Prefixes = claim(b, prefixes, s, a.Prefixes, "address range")
		a.Ports = slices.Clone(a.Ports)
		a.Ports = slices.DeleteFunc(a.Ports, func(p Ports) bool {
			i := slices.IndexFunc(ports, func(o claimedPorts) bool { return o.overlaps(p) })
			if i >= 0 {
				b.contest(s, ports[i].by, "port "+p.String())
				return true
			}
			ports = append(ports, claimedPorts{p, s})
			return false
		})
		apps = append(apps, a)
	}
	c, err := assemble(version, b.categories, apps)
	if err == nil {
		for _, s := range list {
			b.test(c, s)
		}
	}
	return c, err
}

type claimedPorts struct {
	Ports
	by *sourced
}

// claim keeps of what an application claims that which none before it has.
func claim[K comparable](b *builder, taken map[K]*sourced, s *sourced, claims []K, what string) []K {
	kept := make([]K, 0, len(claims))
	for _, k := range claims {
		if other, ok := taken[k]; ok {
			b.contest(s, other, fmt.Sprintf("%s %v", what, k))
			continue
		}
		taken[k] = s
		kept = append(kept, k)
	}
	return kept
}

// contest complains that two applications of one layer claim the same.
func (b *builder) contest(s, owner *sourced, what string) {
	switch {
	case s.depth != owner.depth:
	case s == owner:
		b.fail(s.file, 1, "%s is there twice", what)
	default:
		b.fail(s.file, 1, "%s belongs to %s (%s) already", what, owner.ID, owner.file)
	}
}

// test runs what a file says must match and must not.
func (b *builder) test(c *Catalog, s *sourced) {
	for i, h := range s.match {
		if got := c.AppOf(h); got != s.ID {
			b.fail(s.file, lineOf(s.text, fmt.Sprintf("$.tests.match[%d]", i)), "test: %s belongs to %s, not to %s", h, orNone(got), s.ID)
		}
	}
	for i, h := range s.other {
		if got := c.AppOf(h); got == s.ID {
			b.fail(s.file, lineOf(s.text, fmt.Sprintf("$.tests.other[%d]", i)), "test: %s belongs to %s and must not", h, got)
		}
	}
}

func orNone(id string) string {
	if id == "" {
		return "no application"
	}
	return id
}

func (p Ports) String() string {
	if p.First == p.Last {
		return fmt.Sprintf("%s/%d", p.Proto, p.First)
	}
	return fmt.Sprintf("%s/%d-%d", p.Proto, p.First, p.Last)
}
