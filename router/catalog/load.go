package catalog

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/trenza-router/trenza/router/flow"
)

//go:embed data
var data embed.FS

// appFile is the form of a file in data/apps.
type appFile struct {
	ID       string   `yaml:"id"`
	Names    Names    `yaml:"names"`
	Category string   `yaml:"category"`
	Domains  []string `yaml:"domains"`
	Prefixes []string `yaml:"prefixes"`
	Ports    []string `yaml:"ports"`
}

type categoryFile []struct {
	ID    string `yaml:"id"`
	Names Names  `yaml:"names"`
}

// Load reads the embedded catalogue and, if overlay is not "", the files of that directory over it: categories.yaml adds
// categories, apps/*.yaml adds applications or replaces those of the same id. A domain, address range or port that an overlay
// application claims is taken from the embedded one that had it. Every error found is reported, with file and line.
func Load(overlay string) (*Catalog, error) {
	embedded, err := fs.Sub(data, "data")
	if err != nil {
		return nil, fmt.Errorf("embedded catalogue: %w", err)
	}
	layers := []layer{{files: embedded, name: "catalogue"}}
	if overlay != "" {
		if _, err := os.Stat(overlay); err != nil {
			return nil, fmt.Errorf("catalogue overlay: %w; create the directory or leave the setting out", err)
		}
		layers = append(layers, layer{files: os.DirFS(overlay), name: overlay})
	}
	return load(layers)
}

type layer struct {
	files fs.FS
	name  string
}

// builder gathers the layers and every complaint about them.
type builder struct {
	apps       map[string]App
	layerOf    map[string]int // by app id
	categories []Category
	errs       []error
}

func load(layers []layer) (*Catalog, error) {
	b := builder{apps: map[string]App{}, layerOf: map[string]int{}}
	for i, l := range layers {
		b.readCategories(l)
		b.readApps(i, l)
	}
	c := b.build()
	if len(b.errs) > 0 {
		return nil, fmt.Errorf("application catalogue: %w", errors.Join(b.errs...))
	}
	return c, nil
}

func (b *builder) fail(file string, line int, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s:%d: %s", file, line, fmt.Sprintf(format, args...)))
}

func (b *builder) readCategories(l layer) {
	const name = "categories.yaml"
	file := path.Join(l.name, name)
	text, err := fs.ReadFile(l.files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var list categoryFile
	if err == nil {
		err = yaml.UnmarshalWithOptions(text, &list, yaml.Strict())
	}
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: %w", file, err))
		return
	}
	for i, k := range list {
		at := func(field string) int { return lineOf(text, fmt.Sprintf("$[%d]%s", i, field)) }
		known := slices.IndexFunc(b.categories, func(c Category) bool { return c.ID == k.ID })
		switch {
		case !isSlug(k.ID):
			b.fail(file, at(""), "category id %q: use lower-case letters, digits and '-'", k.ID)
		case k.Names.EN == "" || k.Names.ES == "" || k.Names.ZH == "":
			b.fail(file, at(""), "category %s: give names in en, es and zh", k.ID)
		case known >= 0:
			b.categories[known].Names = k.Names
		default:
			b.categories = append(b.categories, Category{ID: k.ID, Names: k.Names})
		}
	}
}

func (b *builder) readApps(depth int, l layer) {
	names, err := fs.Glob(l.files, "apps/*.yaml")
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: %w", l.name, err))
	}
	for _, name := range names {
		file := path.Join(l.name, name)
		text, err := fs.ReadFile(l.files, name)
		var raw appFile
		if err == nil {
			err = yaml.UnmarshalWithOptions(text, &raw, yaml.Strict())
		}
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s: %w", file, err))
			continue
		}
		app, ok := b.app(file, text, raw)
		if !ok {
			continue
		}
		if base := strings.TrimSuffix(path.Base(name), ".yaml"); base != app.ID {
			b.fail(file, lineOf(text, "$.id"), "id %q: the file of this application must be named %s.yaml", app.ID, app.ID)
			continue
		}
		b.apps[app.ID], b.layerOf[app.ID] = app, depth
	}
}

// app checks one file.
func (b *builder) app(file string, text []byte, raw appFile) (App, bool) {
	before := len(b.errs)
	a := App{ID: raw.ID, Names: raw.Names, Category: raw.Category, File: file}
	if !isSlug(raw.ID) {
		b.fail(file, lineOf(text, "$.id"), "id %q: use lower-case letters, digits and '-'", raw.ID)
	}
	if raw.Names.EN == "" || raw.Names.ES == "" || raw.Names.ZH == "" {
		b.fail(file, lineOf(text, "$.names"), "give names in en, es and zh")
	}
	if !slices.ContainsFunc(b.categories, func(c Category) bool { return c.ID == raw.Category }) {
		b.fail(file, lineOf(text, "$.category"), "category %q is not one of %s", raw.Category, b.categoryIDs())
	}
	for i, s := range raw.Domains {
		d, err := parseDomain(s)
		if err != nil {
			b.fail(file, lineOf(text, fmt.Sprintf("$.domains[%d]", i)), "%v", err)
		}
		a.Domains = append(a.Domains, d)
	}
	for i, s := range raw.Prefixes {
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() || p.Bits() == 0 {
			b.fail(file, lineOf(text, fmt.Sprintf("$.prefixes[%d]", i)), "address range %q: use a network such as 192.0.2.0/24 or 2001:db8::/32, without host bits", s)
		}
		a.Prefixes = append(a.Prefixes, p)
	}
	for i, s := range raw.Ports {
		p, err := parsePorts(s)
		if err != nil {
			b.fail(file, lineOf(text, fmt.Sprintf("$.ports[%d]", i)), "%v", err)
		}
		a.Ports = append(a.Ports, p)
	}
	if len(a.Domains)+len(a.Prefixes)+len(a.Ports) == 0 {
		b.fail(file, 1, "%s has neither domains nor prefixes nor ports: nothing could match it", raw.ID)
	}
	return a, len(b.errs) == before
}

func (b *builder) categoryIDs() string {
	var ids []string
	for _, c := range b.categories {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, ", ")
}

// claim enters what an application claims into an index. Two applications of one layer must not claim the same; a
// higher layer takes it from a lower one.
func claim[K comparable](b *builder, index map[K]int, apps []App, k K, what string, i int) {
	j, taken := index[k]
	if taken && j != i {
		switch mine, theirs := b.layerOf[apps[i].ID], b.layerOf[apps[j].ID]; {
		case mine == theirs:
			b.fail(apps[i].File, 1, "%s belongs to %s (%s) already", what, apps[j].ID, apps[j].File)
		case mine < theirs:
			return
		}
	}
	index[k] = i
}

func (b *builder) build() *Catalog {
	c := &Catalog{
		categories: b.categories, byID: map[string]int{}, suffix: map[string]int{},
		exact: map[string]int{}, prefixes: map[netip.Prefix]int{},
	}
	for _, a := range b.apps {
		c.apps = append(c.apps, a)
	}
	slices.SortFunc(c.apps, func(x, y App) int { return cmp.Compare(x.ID, y.ID) })
	for i, a := range c.apps {
		c.byID[a.ID] = i
		for _, d := range a.Domains {
			index := c.suffix
			if d.Exact {
				index = c.exact
			}
			claim(b, index, c.apps, d.Name, "domain "+d.String(), i)
		}
		for _, p := range a.Prefixes {
			claim(b, c.prefixes, c.apps, p, "address range "+p.String(), i)
			if l := (prefixLength{p.Addr().Is4(), p.Bits()}); !slices.Contains(c.lengths, l) {
				c.lengths = append(c.lengths, l)
			}
		}
		for _, p := range a.Ports {
			c.ports = append(c.ports, portEntry{p, i})
		}
	}
	slices.SortFunc(c.lengths, func(x, y prefixLength) int { return y.bits - x.bits })
	b.sortPorts(c)
	return c
}

// sortPorts orders the port ranges for Port and lets none overlap.
func (b *builder) sortPorts(c *Catalog) {
	depth := func(e portEntry) int { return b.layerOf[c.apps[e.app].ID] }
	slices.SortStableFunc(c.ports, func(x, y portEntry) int {
		return cmp.Or(cmp.Compare(x.Proto, y.Proto), cmp.Compare(x.First, y.First), -cmp.Compare(depth(x), depth(y)))
	})
	kept := c.ports[:0]
	for _, e := range c.ports {
		if n := len(kept); n > 0 && kept[n-1].Proto == e.Proto && kept[n-1].Last >= e.First {
			last := kept[n-1]
			switch {
			case depth(e) == depth(last):
				b.fail(c.apps[e.app].File, 1, "port %d of %s belongs to %s already", e.First, e.Proto, c.apps[last.app].ID)
				continue
			case depth(e) < depth(last):
				continue
			}
			kept = kept[:n-1]
		}
		kept = append(kept, e)
	}
	c.ports = kept
}

func parseDomain(s string) (Domain, error) {
	name, exact := strings.CutPrefix(s, "=")
	clean, ok := flow.CleanHost(name)
	if !ok || clean != name || !strings.Contains(name, ".") {
		return Domain{}, fmt.Errorf("domain %q: use a name such as example.com (with all names below it) or =www.example.com (that name alone), in lower case", s)
	}
	return Domain{Name: name, Exact: exact}, nil
}

func parsePorts(s string) (Ports, error) {
	bad := fmt.Errorf("port %q: use tcp/1234, udp/3478-3481", s)
	name, span, ok := strings.Cut(s, "/")
	proto, err := flow.ParseProto(name)
	if !ok || err != nil || !proto.HasPorts() {
		return Ports{}, bad
	}
	low, high, isRange := strings.Cut(span, "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.ParseUint(low, 10, 16)
	last, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || first == 0 || last < first {
		return Ports{}, bad
	}
	return Ports{Proto: proto, First: uint16(first), Last: uint16(last)}, nil
}

func isSlug(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' && i > 0) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 40
}

// lineOf finds the line of a value by its YAML path; 1 when the file does not have it.
func lineOf(text []byte, at string) int {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return 1
	}
	p, err := yaml.PathString(at)
	if err != nil {
		return 1
	}
	node, err := p.FilterFile(file)
	if err != nil || node == nil || node.GetToken() == nil {
		return 1
	}
	return node.GetToken().Position.Line
}
