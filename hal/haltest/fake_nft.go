package haltest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// ruleset is what `nft list ruleset` shows. Rules are kept as text: the fake knows what refers to what, not what a
// packet would do.
type ruleset struct{ tables []*nftTable }

type nftTable struct {
	name     string // family and name: "inet trenza"
	chains   []*nftChain
	sets     []*nftSet
	counters map[string]hal.Counter
}

type nftChain struct {
	name  string
	hook  string // "type filter hook prerouting priority mangle"; "" for a chain that is jumped to
	rules []string
	props []string // "policy accept", "comment ..."
}

type nftSet struct {
	name     string
	isMap    bool
	types    []string // of the parts of the key
	value    string   // type of a map's values
	flags    []string
	size     int
	props    []string             // other statements, such as "timeout 1h" and "auto-merge"
	elements []nftElement         // ordered by key text
	expires  map[string]time.Time // by key text, for those with a timeout
}

// nftElement is an element as text and, where its type is one that package hal knows, as a value.
type nftElement struct {
	key   string
	text  string // the whole of one that is not known, such as a range
	known bool
	value hal.Element
}

func (s *nftSet) hasFlag(name string) bool { return slices.Contains(s.flags, name) }

func (s *nftSet) find(key string) (int, bool) {
	return slices.BinarySearchFunc(s.elements, key, func(e nftElement, k string) int { return cmp.Compare(e.key, k) })
}

func (s *nftSet) put(e nftElement, now time.Time) {
	if i, ok := s.find(e.key); ok {
		s.elements[i] = e
	} else {
		s.elements = slices.Insert(s.elements, i, e)
	}
	delete(s.expires, e.key)
	if e.value.Timeout > 0 {
		s.expires[e.key] = now.Add(e.value.Timeout)
	}
}

func (s *nftSet) drop(key string) bool {
	i, ok := s.find(key)
	if ok {
		s.elements = slices.Delete(s.elements, i, i+1)
		delete(s.expires, key)
	}
	return ok
}

// putAll puts elements, many of them with one sort.
func (s *nftSet) putAll(l []nftElement, now time.Time) {
	if len(l) < 16 {
		for _, e := range l {
			s.put(e, now)
		}
		return
	}
	byKey := make(map[string]nftElement, len(s.elements)+len(l))
	for _, e := range slices.Concat(s.elements, l) {
		byKey[e.key] = e
	}
	for _, e := range l {
		delete(s.expires, e.key)
		if e := byKey[e.key]; e.value.Timeout > 0 {
			s.expires[e.key] = now.Add(e.value.Timeout)
		}
	}
	s.elements = slices.SortedFunc(maps.Values(byKey), func(a, b nftElement) int { return cmp.Compare(a.key, b.key) })
}

func (r *ruleset) table(name string) *nftTable {
	for _, t := range r.tables {
		if t.name == name {
			return t
		}
	}
	return nil
}

func (t *nftTable) chain(name string) *nftChain {
	for _, c := range t.chains {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (t *nftTable) set(name string) *nftSet {
	if t == nil {
		return nil
	}
	for _, s := range t.sets {
		if s.name == name {
			return s
		}
	}
	return nil
}

// clone copies everything that a transaction may change.
func (r *ruleset) clone() *ruleset {
	n := &ruleset{}
	for _, t := range r.tables {
		c := &nftTable{name: t.name, counters: maps.Clone(t.counters)}
		for _, o := range t.chains {
			o := *o
			o.rules, o.props = slices.Clone(o.rules), slices.Clone(o.props)
			c.chains = append(c.chains, &o)
		}
		for _, o := range t.sets {
			o := *o
			o.elements, o.expires = slices.Clone(o.elements), maps.Clone(o.expires)
			c.sets = append(c.sets, &o)
		}
		n.tables = append(n.tables, c)
	}
	return n
}

func (r *ruleset) expire(now time.Time) {
	for _, t := range r.tables {
		for _, s := range t.sets {
			for key, at := range s.expires {
				if !at.After(now) {
					s.drop(key)
				}
			}
		}
	}
}

// print writes the ruleset as `nft list ruleset` does; without elements of sets with a timeout and without counts when
// only what a person wrote is asked for.
func (r *ruleset) print(everything bool) string {
	var b bytes.Buffer
	for _, t := range r.tables {
		fmt.Fprintf(&b, "table %s {\n", t.name)
		blocks := 0
		block := func(head string, lines []string) {
			if blocks++; blocks > 1 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "\t%s {\n", head)
			for _, l := range lines {
				fmt.Fprintf(&b, "\t\t%s\n", l)
			}
			b.WriteString("\t}\n")
		}
		for _, name := range slices.Sorted(maps.Keys(t.counters)) {
			var lines []string
			if c := t.counters[name]; everything {
				lines = []string{fmt.Sprintf("packets %d bytes %d", c.Packets, c.Bytes)}
			}
			block("counter "+name, lines)
		}
		for _, s := range t.sets {
			block(s.head(), s.lines(everything || !s.hasFlag("timeout") && !s.hasFlag("dynamic")))
		}
		for _, c := range t.chains {
			var lines []string
			if c.hook != "" {
				lines = append(lines, strings.Join(append([]string{c.hook}, c.props...), "; ")+";")
			}
			block("chain "+c.name, append(lines, c.rules...))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func (s *nftSet) head() string {
	if s.isMap {
		return "map " + s.name
	}
	return "set " + s.name
}

// definition is the part of the listing that tells two sets of one name apart.
func (s *nftSet) definition() []string {
	key := "type " + strings.Join(s.types, " . ")
	if s.isMap {
		key += " : " + s.value
	}
	l := []string{key}
	if s.size > 0 {
		l = append(l, fmt.Sprintf("size %d", s.size))
	}
	if len(s.flags) > 0 {
		l = append(l, "flags "+strings.Join(s.flags, ","))
	}
	return append(l, s.props...)
}

func (s *nftSet) lines(withElements bool) []string {
	l := s.definition()
	if !withElements || len(s.elements) == 0 {
		return l
	}
	texts := make([]string, len(s.elements))
	for i, e := range s.elements {
		texts[i] = s.format(e)
	}
	return append(l, "elements = { "+strings.Join(texts, ",\n\t\t\t     ")+" }")
}

// format prints an element as nft does, but for the time that is left, which no test wants to compare.
func (s *nftSet) format(e nftElement) string {
	if !e.known {
		return e.text
	}
	b := e.key
	if e.value.Timeout > 0 {
		b += " timeout " + formatDuration(e.value.Timeout)
	}
	if e.value.Comment != "" {
		b += fmt.Sprintf(" comment %q", e.value.Comment)
	}
	if s.isMap {
		b += fmt.Sprintf(" : 0x%08x", e.value.Value)
	}
	return b
}

// formatDuration prints as nft does: 1d2h3m4s5ms.
func formatDuration(d time.Duration) string {
	var b strings.Builder
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.size
		}
	}
	return b.String()
}
