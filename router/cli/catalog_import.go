package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/catalog/domainlist"
)

type catalogImportCommand struct {
	File     string   `arg:"" help:"The list. Lists that it includes are looked for beside it." type:"existingfile"`
	Format   string   `required:"" help:"Form of the list: community (domain-list-community), hosts or adblock." enum:"community,hosts,adblock"`
	ID       string   `required:"" help:"Id of the application, which names the file, too."`
	Name     string   `help:"Its name; default: the id."`
	NameES   string   `name:"name-es" help:"Its name in Spanish; default: the name."`
	NameZH   string   `name:"name-zh" help:"Its name in Chinese; default: the name."`
	Category string   `required:"" help:"Id of its category."`
	With     []string `help:"Only rules with these attributes (community)."`
	Without  []string `help:"Only rules without these attributes (community)."`
	Out      string   `short:"o" help:"Directory of own files, where apps/ID.yaml is written; default: standard output." type:"path"`
}

// imported is what an import made.
type imported struct {
	File    string   `json:"file,omitempty"`
	Domains int      `json:"domains"`
	Notes   []string `json:"notes"` // what is not in it, and why
}

func (c *catalogImportCommand) Run(s *session) error {
	list, err := c.read()
	if err != nil {
		return exitError{exitNo, fmt.Errorf("importing: %w", err)}
	}
	domains, lost := list.Effective()
	done := imported{Domains: len(domains), Notes: []string{}}
	for _, p := range list.Problems {
		done.Notes = append(done.Notes, p.Error())
	}
	if more := list.Wrong - len(list.Problems); more > 0 {
		done.Notes = append(done.Notes, fmt.Sprintf("%d more lines are wrong", more))
	}
	for _, k := range list.Skipped {
		done.Notes = append(done.Notes, fmt.Sprintf("left out: %d %s (first at %s:%d)", k.Count, k.What, k.File, k.Line))
	}
	if len(lost) > 0 {
		done.Notes = append(done.Notes, fmt.Sprintf("left out: %d exceptions below a domain of the list (first: %s)", len(lost), lost[0].Name))
	}
	if len(domains) == 0 {
		for _, n := range done.Notes {
			fmt.Fprintln(s.errOut, n)
		}
		return exitError{exitNo, fmt.Errorf("importing: %s has no domain", c.File)}
	}
	text := c.text(domains)
	if c.Out == "" {
		for _, n := range done.Notes {
			fmt.Fprintln(s.errOut, n)
		}
		fmt.Fprint(s.out, text)
		return nil
	}
	done.File = filepath.Join(c.Out, "apps", c.ID+".yaml")
	if err := os.MkdirAll(filepath.Dir(done.File), 0o755); err != nil {
		return fmt.Errorf("making the directory of own files: %w", err)
	}
	if err := os.WriteFile(done.File, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing the application file: %w", err)
	}
	return s.print(done, func(w io.Writer) {
		for _, n := range done.Notes {
			fmt.Fprintln(w, n)
		}
		fmt.Fprintf(w, "%s has %d domains; look at it with \"trenza catalog check %s\".\n", done.File, done.Domains, c.Out)
	})
}

func (c *catalogImportCommand) read() (domainlist.List, error) {
	if !catalog.ValidID(c.ID) || !catalog.ValidID(c.Category) {
		return domainlist.List{}, errors.New("ids of applications and categories have lower-case letters, digits and '-'")
	}
	if c.Format == "community" {
		// Includes are plain names, so the directory is never left.
		dir := os.DirFS(filepath.Dir(c.File))
		open := func(name string) (io.ReadCloser, error) {
			f, err := dir.Open(name)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("there is no list %q beside %s", name, c.File)
			}
			return f, err
		}
		return domainlist.ParseCommunity(filepath.Base(c.File), open, domainlist.Attributes{With: c.With, Without: c.Without})
	}
	if len(c.With)+len(c.Without) > 0 {
		return domainlist.List{}, errors.New("only lists in community form have attributes")
	}
	f, err := os.Open(c.File)
	if err != nil {
		return domainlist.List{}, err
	}
	defer f.Close()
	if c.Format == "hosts" {
		return domainlist.ParseHosts(filepath.Base(c.File), f)
	}
	return domainlist.ParseAdblock(filepath.Base(c.File), f)
}

// text is an application file.
func (c *catalogImportCommand) text(domains []domainlist.Domain) string {
	name := func(of ...string) string {
		for _, n := range of {
			if n != "" {
				return strconv.Quote(n)
			}
		}
		return strconv.Quote(c.ID)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Imported from %s.\nid: %q\nnames: {en: %s, es: %s, zh: %s}\ncategory: %q\ndomains:\n",
		strings.Map(printable, filepath.Base(c.File)), c.ID, name(c.Name), name(c.NameES, c.Name), name(c.NameZH, c.Name), c.Category)
	for _, d := range domains {
		fmt.Fprintf(&b, "  - %q\n", catalog.Domain(d))
	}
	return b.String()
}

// printable keeps a file name on its line.
func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return '?'
}
