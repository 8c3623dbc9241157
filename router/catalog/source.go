package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/trenza-router/trenza/router/flow"
)

// appFile is the form of a file in apps/.
type appFile struct {
	ID        string   `yaml:"id"`
	Names     Names    `yaml:"names"`
	Category  string   `yaml:"category"`
	Domains   []string `yaml:"domains"`
	Protocols []string `yaml:"protocols"`
	Prefixes  []string `yaml:"prefixes"`
	Ports     []string `yaml:"ports"`
	Tests     struct {
		Match []string `yaml:"match"` // hosts that must be this application's
		Other []string `yaml:"other"` // hosts that must not
	} `yaml:"tests"`
}

type categoryFile []struct {
	ID    string `yaml:"id"`
	Names Names  `yaml:"names"`
}

// Problem is what is wrong with a source file, and what would be right.
type Problem struct {
	File string
	Line int // from 1; 0: the file as a whole
	Text string
}

func (p *Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

const (
	maxSourceFile  = 8 << 20 // bytes
	maxSourceFiles = 10_000
	maxProblems    = 20 // told of one file
)

// layer is a directory of source files.
type layer struct {
	files fs.FS
	name  string // for messages
}

// sourced is an application with where it came from.
type sourced struct {
	App
	file         string
	depth        int // of its layer; a higher one wins
	match, other []string
	text         []byte
}

// builder gathers layers and every complaint about them. What is complained about is left out.
type builder struct {
	apps       map[string]*sourced
	categories []Category
	problems   []error
}

func (b *builder) fail(file string, line int, format string, args ...any) {
	b.problems = append(b.problems, &Problem{file, line, fmt.Sprintf(format, args...)})
}

func (b *builder) read(depth int, l layer) {
	b.readCategories(l)
	b.readApps(depth, l)
}

// decode reads one file strictly; false when it failed.
func (b *builder) decode(l layer, name string, to any) (text []byte, ok bool) {
	file := path.Join(l.name, name)
	info, err := fs.Stat(l.files, name)
	if err == nil && info.Size() > maxSourceFile {
		b.fail(file, 0, "larger than %d bytes: this is not a file of the catalogue", maxSourceFile)
		return nil, false
	}
	if err == nil {
		text, err = fs.ReadFile(l.files, name)
	}
	if err == nil {
		err = unmarshal(text, to)
	}
	var y yaml.Error
	switch {
	case err == nil:
		return text, true
	case errors.As(err, &y) && y.GetToken() != nil:
		b.fail(file, y.GetToken().Position.Line, "%s", y.GetMessage())
	default:
		b.fail(file, 0, "%v", err)
	}
	return nil, false
}

// unmarshal reads YAML strictly. The YAML library panics on some texts, such as a tag where a list belongs: to a person that is a text it
// cannot read.
func unmarshal(text []byte, to any) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("this is not YAML that can be read: look for tags (!), anchors (&) and aliases (*), which no file here needs")
		}
	}()
	return yaml.UnmarshalWithOptions(text, to, yaml.Strict())
}

func (b *builder) readCategories(l layer) {
	const name = "categories.yaml"
	file := path.Join(l.name, name)
	if _, err := fs.Stat(l.files, name); errors.Is(err, fs.ErrNotExist) {
		return
	}
	var list categoryFile
	text, ok := b.decode(l, name, &list)
	if !ok {
		return
	}
	for i, k := range list {
		line := func() int { return lineOf(text, fmt.Sprintf("$[%d]", i)) }
		known := slices.IndexFunc(b.categories, func(c Category) bool { return c.ID == k.ID })
		switch {
		case !ValidID(k.ID):
			b.fail(file, line(), "category id %q: use lower-case letters, digits and '-'", k.ID)
		case !k.Names.complete():
			b.fail(file, line(), "category %s: give names in en, es and zh", k.ID)
		case known >= 0:
			b.categories[known].Names = k.Names
		default:
			b.categories = append(b.categories, Category{ID: k.ID, Names: k.Names})
		}
	}
}

func (n Names) complete() bool { return n.EN != "" && n.ES != "" && n.ZH != "" }

func (b *builder) readApps(depth int, l layer) {
	names, err := fs.Glob(l.files, "apps/*.yaml")
	if err != nil {
		b.fail(l.name, 0, "%v", err)
	}
	if len(names) > maxSourceFiles {
		b.fail(path.Join(l.name, "apps"), 0, "%d files: the first %d are read", len(names), maxSourceFiles)
		names = names[:maxSourceFiles]
	}
	for _, name := range names {
		var raw appFile
		text, ok := b.decode(l, name, &raw)
		if !ok {
			continue
		}
		app := &sourced{file: path.Join(l.name, name), depth: depth, text: text, match: raw.Tests.Match, other: raw.Tests.Other}
		if b.check(app, raw) {
			b.apps[app.ID] = app
		}
	}
}

// check fills in an application from its file; false when something is wrong with it.
func (b *builder) check(a *sourced, raw appFile) bool {
	before := len(b.problems)
	bad := func(at, format string, args ...any) {
		if len(b.problems)-before < maxProblems { // finding a line is slow
			b.fail(a.file, lineOf(a.text, at), format, args...)
		}
	}
	a.App = App{ID: raw.ID, Names: raw.Names, Category: raw.Category, Protocols: raw.Protocols}
	if !ValidID(raw.ID) {
		bad("$.id", "id %q: use lower-case letters, digits and '-'", raw.ID)
	} else if path.Base(a.file) != raw.ID+".yaml" {
		bad("$.id", "id %q: the file of this application must be named %s.yaml", raw.ID, raw.ID)
	}
	if !raw.Names.complete() {
		bad("$.names", "give names in en, es and zh")
	}
	if !slices.ContainsFunc(b.categories, func(c Category) bool { return c.ID == raw.Category }) {
		bad("$.category", "category %q is not one of %s", raw.Category, b.categoryIDs())
	}
	for i, s := range raw.Domains {
		d, err := ParseDomain(s)
		if err != nil {
			bad(fmt.Sprintf("$.domains[%d]", i), "%v", err)
		}
		a.Domains = append(a.Domains, d)
	}
	for i, s := range raw.Protocols {
		if !ValidID(s) {
			bad(fmt.Sprintf("$.protocols[%d]", i), "protocol %q: use a name that the packet parsers give, such as stun", s)
		}
	}
	for i, s := range raw.Prefixes {
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() || p.Bits() == 0 || p.Addr().Is4In6() {
			bad(fmt.Sprintf("$.prefixes[%d]", i), "address range %q: use a network such as 192.0.2.0/24 or 2001:db8::/32, without host bits", s)
		}
		a.Prefixes = append(a.Prefixes, p)
	}
	for i, s := range raw.Ports {
		p, err := parsePorts(s)
		if err != nil {
			bad(fmt.Sprintf("$.ports[%d]", i), "%v", err)
		}
		a.Ports = append(a.Ports, p)
	}
	for _, tests := range []struct {
		at    string
		hosts []string
	}{{"match", raw.Tests.Match}, {"other", raw.Tests.Other}} {
		for i, h := range tests.hosts {
			if clean, ok := flow.CleanHost(h); !ok || clean != h {
				bad(fmt.Sprintf("$.tests.%s[%d]", tests.at, i), "host %q: use a host name in lower case", h)
			}
		}
	}
	if len(a.Domains)+len(a.Protocols)+len(a.Prefixes)+len(a.Ports) == 0 {
		b.fail(a.file, 1, "%s has neither domains nor protocols, prefixes or ports: nothing could match it", raw.ID)
	}
	return len(b.problems) == before
}

func (b *builder) categoryIDs() string {
	var ids []string
	for _, c := range b.categories {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, ", ")
}

// ParseDomain reads a domain as app files have it: "example.com" with all names below it, "=www.example.com" that name alone.
func ParseDomain(s string) (Domain, error) {
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

// ValidID tells whether a text can be the id of an application or a category: lower-case letters, digits and inner dashes, at most 40.
func ValidID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' && i > 0) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 40
}

// lineOf finds the line of a value by its YAML path; 1 when the file does not have it.
func lineOf(text []byte, at string) (line int) {
	defer func() {
		if recover() != nil { // as in unmarshal
			line = 1
		}
	}()
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
