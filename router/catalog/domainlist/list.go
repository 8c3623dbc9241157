package domainlist

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/trenza-router/trenza/router/flow"
)

// Domain is a host name in the form of flow.CleanHost and, unless Exact, all names below it.
type Domain struct {
	Name  string
	Exact bool
}

// List is what a text says. Domains and Except are sorted by name and leave out what another entry of theirs covers.
type List struct {
	Domains  []Domain
	Except   []Domain  // exceptions: not meant, though Domains cover them
	Skipped  []Skipped // what cannot be said by domains, by kind
	Problems []Problem // the first wrong lines, at most maxProblems
	Wrong    int       // number of wrong lines
}

// Skipped is a kind of line that says more than a domain.
type Skipped struct {
	What  string // in the plural: "regular expressions"
	Count int
	File  string // of the first one
	Line  int
}

// Problem is a line that is wrong.
type Problem struct {
	File string
	Line int // from 1
	Text string
}

func (p Problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// Bounds of one list, with all that it includes.
const (
	maxLine     = 64 << 10  // bytes; a longer one is wrong
	maxBytes    = 256 << 20 // bytes
	maxDomains  = 4_000_000
	maxProblems = 20
)

// ErrTooLarge: the text goes beyond what is read of a list.
var ErrTooLarge = errors.New("too large for a list of domains")

// reader gathers a List.
type reader struct {
	list  List
	bytes int
	err   error // what ends the reading
	file  string
	line  int
}

// lines hands over every line without its end and white space around it. A byte order mark is dropped.
func (r *reader) lines(file string, from io.Reader, each func(line string)) {
	file, r.file = r.file, file
	line := r.line
	defer func() { r.file, r.line = file, line }()
	in := bufio.NewReaderSize(from, maxLine)
	for r.line = 1; r.err == nil; r.line++ {
		text, err := in.ReadSlice('\n')
		r.bytes += len(text)
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) && r.bytes <= maxBytes {
			var more []byte
			more, err = in.ReadSlice('\n')
			r.bytes += len(more)
		}
		s := strings.TrimSpace(strings.TrimPrefix(string(text), "\ufeff"))
		switch {
		case r.bytes > maxBytes:
			r.err = fmt.Errorf("%s: %w: more than %d MiB", r.file, ErrTooLarge, maxBytes>>20)
		case long:
			r.wrong("the line has more than %d bytes", maxLine)
		case s != "":
			each(s)
		}
		if err != nil && r.err == nil {
			if !errors.Is(err, io.EOF) {
				r.err = fmt.Errorf("reading %s: %w", r.file, err)
			}
			return
		}
	}
}

func (r *reader) wrong(format string, args ...any) {
	r.list.Wrong++
	if len(r.list.Problems) < maxProblems {
		r.list.Problems = append(r.list.Problems, Problem{r.file, r.line, fmt.Sprintf(format, args...)})
	}
}

func (r *reader) skip(what string) {
	i := slices.IndexFunc(r.list.Skipped, func(s Skipped) bool { return s.What == what })
	if i < 0 {
		r.list.Skipped = append(r.list.Skipped, Skipped{What: what, File: r.file, Line: r.line})
		i = len(r.list.Skipped) - 1
	}
	r.list.Skipped[i].Count++
}

// add enters a domain.
func (r *reader) add(to *[]Domain, d Domain) {
	if len(*to) >= maxDomains {
		r.err = fmt.Errorf("%s:%d: %w: more than %d domains", r.file, r.line, ErrTooLarge, maxDomains)
		return
	}
	*to = append(*to, d)
}

// clean brings a name into the common form; names in other scripts become ASCII (RFC 5891).
func clean(name string) (string, bool) {
	for i := range len(name) {
		if name[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(name)
			if err != nil {
				return "", false
			}
			return flow.CleanHost(ascii)
		}
	}
	return flow.CleanHost(name)
}

// done ends the reading: sorts, and drops what is covered by another entry.
func (r *reader) done() (List, error) {
	if r.err != nil {
		return List{}, r.err
	}
	r.list.Domains, r.list.Except = reduce(r.list.Domains), reduce(r.list.Except)
	return r.list, nil
}

func reduce(domains []Domain) []Domain {
	whole := map[string]bool{} // with all names below
	for _, d := range domains {
		if !d.Exact {
			whole[d.Name] = true
		}
	}
	kept := slices.DeleteFunc(domains, func(d Domain) bool { return d.Exact && whole[d.Name] || coveredAbove(whole, d.Name) })
	slices.SortFunc(kept, func(a, b Domain) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Compact(kept)
}

// coveredAbove tells whether a name lies below one of the names.
func coveredAbove(whole map[string]bool, name string) bool {
	for {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		if whole[rest] {
			return true
		}
		name = rest
	}
}

// Effective returns the domains that the exceptions leave, and the exceptions that lie below a domain, which domains alone cannot
// express.
func (l List) Effective() (domains, lost []Domain) {
	whole, exact := map[string]bool{}, map[string]bool{}
	for _, d := range l.Except {
		if d.Exact {
			exact[d.Name] = true
		} else {
			whole[d.Name] = true
		}
	}
	kept := map[string]bool{}
	for _, d := range l.Domains {
		if whole[d.Name] || d.Exact && exact[d.Name] || coveredAbove(whole, d.Name) {
			continue
		}
		domains = append(domains, d)
		if !d.Exact {
			kept[d.Name] = true
		}
	}
	for _, d := range l.Except {
		if kept[d.Name] || coveredAbove(kept, d.Name) {
			lost = append(lost, d)
		}
	}
	return domains, lost
}
