package domainlist

import (
	"io"
	"slices"
	"strings"
)

// Attributes choose rules of a community list by their attributes ("@ads"): those that have all of With and none of Without.
type Attributes struct {
	With, Without []string
}

func (a Attributes) match(have []string) bool {
	for _, w := range a.With {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return !slices.ContainsFunc(a.Without, func(w string) bool { return slices.Contains(have, w) })
}

const (
	maxDepth    = 16 // of includes in each other
	maxIncludes = 5_000
)

// community is a reading of the domain-list-community form.
type community struct {
	reader
	open     func(name string) (io.ReadCloser, error)
	stack    []string // files being read
	included int
}

// ParseCommunity reads a file in the form of the domain-list-community project: "domain:" or nothing for a name with all names below, "full:"
// for that name alone, "include:" for another file (with "@ads" only its rules of that attribute, with "@-ads" those without); "keyword:" and
// "regexp:" are counted. open opens a file by the name that "include:" gives: letters, digits and -!_. without a path. An error
// means that nothing could be read; wrong lines are in the list.
func ParseCommunity(file string, open func(name string) (io.ReadCloser, error), choose Attributes) (List, error) {
	c := community{open: open}
	c.read(file, []Attributes{choose})
	return c.done()
}

// read reads one file; a rule must be chosen by all of chosen.
func (c *community) read(file string, chosen []Attributes) {
	f, err := c.open(file)
	if err != nil {
		if len(c.stack) == 0 {
			c.err = err
		} else {
			c.wrong("include: %v", err)
		}
		return
	}
	defer f.Close()
	c.stack = append(c.stack, file)
	c.lines(file, f, func(line string) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 0 {
			c.rule(fields, chosen)
		}
	})
	c.stack = c.stack[:len(c.stack)-1]
}

func (c *community) rule(fields []string, chosen []Attributes) {
	kind, value, ok := strings.Cut(fields[0], ":")
	if !ok {
		kind, value = "domain", fields[0]
	}
	var have []string
	var only Attributes // of an include
	for _, f := range fields[1:] {
		name, isAttribute := strings.CutPrefix(f, "@")
		absent := strings.HasPrefix(name, "-") && kind == "include"
		switch {
		case strings.HasPrefix(f, "&") && len(f) > 1:
			// an affiliation: the rule is also part of another list
		case !isAttribute || !isWord(strings.TrimPrefix(name, "-")):
			c.wrong("%.80q: after a rule there are only attributes such as @ads", f)
			return
		case absent:
			only.Without = append(only.Without, name[1:])
		default:
			have = append(have, name)
		}
	}
	if kind == "include" {
		only.With = have
		c.include(value, append(slices.Clone(chosen), only))
		return
	}
	if slices.ContainsFunc(chosen, func(a Attributes) bool { return !a.match(have) }) {
		return
	}
	switch kind {
	case "domain", "full":
		host, ok := clean(value)
		switch {
		case !ok:
			c.wrong("%.80q is not a host name", value)
		case !strings.Contains(host, "."):
			c.skip("whole top-level domains")
		default:
			c.add(&c.list.Domains, Domain{Name: host, Exact: kind == "full"})
		}
	case "keyword":
		c.skip("keywords")
	case "regexp", "regex":
		c.skip("regular expressions")
	default:
		c.wrong("%.80q: a rule begins with domain:, full:, keyword:, regexp: or include:", fields[0])
	}
}

func (c *community) include(file string, chosen []Attributes) {
	switch c.included++; {
	case !isWord(file):
		c.wrong("include: %.80q is not the name of a list", file)
	case slices.Contains(c.stack, file):
		c.wrong("include: %s includes itself, by way of %s", file, strings.Join(c.stack, ", "))
	case len(c.stack) >= maxDepth:
		c.wrong("include: lists lie in each other deeper than %d", maxDepth)
	case c.included > maxIncludes:
		c.wrong("include: more than %d in one list", maxIncludes)
	default:
		c.read(file, chosen)
	}
}

// isWord tells whether a text is a plain name: no path, no space.
func isWord(s string) bool {
	return s != "" && s[0] != '.' && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-!_.", r))
	}) < 0
}
