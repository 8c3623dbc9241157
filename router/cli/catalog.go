package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/flow"
)

type catalogCommand struct {
	List   catalogListCommand   `cmd:"" help:"List applications, or categories."`
	Lookup catalogLookupCommand `cmd:"" help:"Which application a host name, address or port belongs to."`
	Check  catalogCheckCommand  `cmd:"" help:"Check a directory of own application files and run their tests."`
	Import catalogImportCommand `cmd:"" help:"Turn a list of domains (domain-list-community, hosts, adblock) into an application file."`
	Update catalogUpdateCommand `cmd:"" help:"Verify a signed edition of the catalogue and install it for the router's next start."`

	Compile catalogCompileCommand `cmd:"" help:"For maintainers: compile a directory of application files and run their tests."`
	Sign    catalogSignCommand    `cmd:"" help:"For maintainers: sign a compiled catalogue."`
	Keygen  catalogKeygenCommand  `cmd:"" help:"For maintainers: make a key pair for signing."`
}

const defaultConfig = "/etc/trenza/trenza.yaml"

// routersCatalog are the flags that say whose catalogue is meant.
type routersCatalog struct {
	Config string `help:"The router's configuration file, which names state and own files; when the usual one is missing, its defaults hold." default:"${config}" type:"path"`
	State  string `help:"The router's state directory; prevails over the file." type:"path"`
}

func (r *routersCatalog) config() (config.Config, error) {
	cfg, err := config.Load(r.Config)
	if errors.Is(err, fs.ErrNotExist) && r.Config == defaultConfig {
		cfg, err = config.Default(), nil
	}
	if err != nil {
		return cfg, usageError(err)
	}
	if r.State != "" {
		cfg.State = r.State
	}
	return cfg, nil
}

// load reads the catalogue as the router does; what cannot be read is told on standard error and left out.
func (r *routersCatalog) load(s *session) (*catalog.Catalog, error) {
	cfg, err := r.config()
	if err != nil {
		return nil, err
	}
	apps, problems, err := engine.Catalog(cfg)
	for _, p := range problems {
		fmt.Fprintln(s.errOut, "left out:", p)
	}
	return apps, err
}

// catalogSummary is what a catalogue is in numbers.
type catalogSummary struct {
	Version    uint64 `json:"version"`
	Apps       int    `json:"apps"`
	Categories int    `json:"categories"`
	Domains    int    `json:"domains"`
}

func summaryOf(c *catalog.Catalog) catalogSummary {
	return catalogSummary{c.Version(), len(c.Apps()), len(c.Categories()), c.Domains()}
}

func (c catalogSummary) String() string {
	return fmt.Sprintf("version %d, %d applications in %d categories, %d domains", c.Version, c.Apps, c.Categories, c.Domains)
}

type catalogListCommand struct {
	routersCatalog
	Categories bool   `help:"List the categories instead."`
	Category   string `help:"Only the applications of this category."`
	Language   string `help:"Language of the names: en, es or zh." default:"en" enum:"en,es,zh"`
}

// listed is a line of the list.
type listed struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Category string `json:"category,omitempty"` // of an application
	Apps     int    `json:"apps,omitempty"`     // of a category
	Domains  int    `json:"domains,omitempty"`
}

func (c *catalogListCommand) Run(s *session) error {
	apps, err := c.load(s)
	if err != nil {
		return err
	}
	if c.Category != "" && !apps.HasCategory(c.Category) {
		return usageError(fmt.Errorf("the catalogue has no category %q: \"trenza catalog list --categories\" lists them", c.Category))
	}
	lines := []listed{}
	members := map[string]int{}
	for _, a := range apps.Apps() {
		members[a.Category]++
		if !c.Categories && (c.Category == "" || a.Category == c.Category) {
			lines = append(lines, listed{ID: a.ID, Name: a.Names.In(c.Language), Category: a.Category, Domains: len(a.Domains)})
		}
	}
	if c.Categories {
		for _, k := range apps.Categories() {
			lines = append(lines, listed{ID: k.ID, Name: k.Names.In(c.Language), Apps: members[k.ID]})
		}
	}
	return s.print(lines, func(w io.Writer) {
		for _, l := range lines {
			if c.Categories {
				fmt.Fprintf(w, "%-16s %3d  %s\n", l.ID, l.Apps, l.Name)
			} else {
				fmt.Fprintf(w, "%-26s %-16s %s\n", l.ID, l.Category, l.Name)
			}
		}
		fmt.Fprintf(w, "%d lines; %v.\n", len(lines), summaryOf(apps))
	})
}

type catalogLookupCommand struct {
	routersCatalog
	What []string `arg:"" help:"Host names, addresses, or ports such as udp/3478."`
}

// found is what the catalogue says about one thing.
type found struct {
	Asked    string `json:"asked"`
	App      string `json:"app"` // "": none
	Name     string `json:"name,omitempty"`
	Category string `json:"category,omitempty"`
	By       string `json:"by,omitempty"` // the domain, address range or port that decided
}

func (c *catalogLookupCommand) Run(s *session) error {
	apps, err := c.load(s)
	if err != nil {
		return err
	}
	var answers []found
	for _, what := range c.What {
		f, err := lookUp(apps, what)
		if err != nil {
			return usageError(err)
		}
		answers = append(answers, f)
	}
	return s.print(answers, func(w io.Writer) {
		for _, f := range answers {
			if f.App == "" {
				fmt.Fprintf(w, "%s: no application\n", f.Asked)
			} else {
				fmt.Fprintf(w, "%s: %s (%s), %s, by %s\n", f.Asked, f.App, f.Name, f.Category, f.By)
			}
		}
	})
}

func lookUp(apps *catalog.Catalog, what string) (found, error) {
	f := found{Asked: what}
	var a catalog.App
	var ok bool
	if addr, err := netip.ParseAddr(what); err == nil {
		if a, ok = apps.Prefix(addr); ok {
			i := slices.IndexFunc(a.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr.Unmap().WithZone("")) })
			f.By = a.Prefixes[i].String()
		}
	} else if proto, port, isPort := strings.Cut(what, "/"); isPort {
		p, err1 := flow.ParseProto(proto)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err1 != nil || err2 != nil {
			return f, fmt.Errorf("%q: give a port as udp/3478", what)
		}
		if a, ok = apps.Port(p, uint16(n)); ok {
			f.By = what
		}
	} else {
		host, good := flow.CleanHost(what)
		if !good {
			return f, fmt.Errorf("%q is neither a host name nor an address nor a port such as udp/3478", what)
		}
		if a, ok = apps.Lookup(host); ok {
			f.By = a.Covering(host).String()
		}
	}
	if ok {
		f.App, f.Name, f.Category = a.ID, a.Names.EN, a.Category
	}
	return f, nil
}

type catalogCheckCommand struct {
	Dir string `arg:"" help:"Directory with apps/*.yaml and, if there are own categories, categories.yaml." type:"existingdir"`
}

func (c *catalogCheckCommand) Run(s *session) error {
	builtIn, err := catalog.BuiltIn()
	if err != nil {
		return err
	}
	apps, problems := builtIn.Overlay(c.Dir)
	if len(problems) > 0 {
		for _, p := range problems {
			fmt.Fprintln(s.errOut, p)
		}
		return exitError{code: exitNo}
	}
	// An own application stands for itself or in the place of a built-in one.
	own, err := os.ReadDir(c.Dir + "/apps")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the application files: %w", err)
	}
	summary := summaryOf(apps)
	return s.print(summary, func(w io.Writer) {
		fmt.Fprintf(w, "%s is good: %d files; with them %v.\n", c.Dir, len(own), summary)
	})
}
