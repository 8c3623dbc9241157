package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Table is the name of our only nftables table, of family inet.
const Table = "trenza"

// Ruleset is the content of table inet trenza. Maps come before Chains; a chain stands after those it jumps to.
type Ruleset struct {
	Maps   []Map
	Chains []Chain
}

// Map is a named map or set. Learned ones are filled by the daemon while it runs and keep their elements when a plan is
// swapped; the others have exactly Elements.
type Map struct {
	Name     string
	Set      bool   // a set: no values
	Type     string // "mark . ipv4_addr : mark"
	Flags    string // "timeout", "interval"
	Size     int
	Learned  bool
	Elements []string // as nft writes them, sorted
}

// Chain is a chain with its rules, one nft rule a line.
type Chain struct {
	Name    string
	Hook    string // "type filter hook prerouting priority mangle; policy accept;" for a base chain
	Comment string
	Rules   []string
}

func (m Map) keyword() string {
	if m.Set {
		return "set"
	}
	return "map"
}

func (m Map) header() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\t%s %s {\n\t\ttype %s\n", m.keyword(), m.Name, m.Type)
	if m.Size > 0 {
		fmt.Fprintf(&b, "\t\tsize %d\n", m.Size)
	}
	if m.Flags != "" {
		fmt.Fprintf(&b, "\t\tflags %s\n", m.Flags)
	}
	return b.String()
}

func (m Map) write(b *strings.Builder) {
	b.WriteString(m.header())
	if len(m.Elements) > 0 {
		fmt.Fprintf(b, "\t\telements = { %s }\n", strings.Join(m.Elements, ",\n\t\t\t"))
	}
	b.WriteString("\t}\n")
}

func (c Chain) write(b *strings.Builder) {
	fmt.Fprintf(b, "\tchain %s {\n", c.Name)
	if c.Comment != "" {
		fmt.Fprintf(b, "\t\tcomment %q\n", c.Comment)
	}
	if c.Hook != "" {
		fmt.Fprintf(b, "\t\t%s\n", c.Hook)
	}
	for _, r := range c.Rules {
		fmt.Fprintf(b, "\t\t%s\n", r)
	}
	b.WriteString("\t}\n")
}

// String is the ruleset as `nft -f` reads it into an empty table.
func (r Ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", Table)
	for _, m := range r.Maps {
		m.write(&b)
	}
	for _, c := range r.Chains {
		c.write(&b)
	}
	b.WriteString("}\n")
	return b.String()
}

// Standing is what exists in the kernel's table before a transaction, by name.
type Standing struct {
	Chains, Sets, Maps []string
}

// Replace is the transaction that makes the table equal to r whatever its rules were. Everything is deleted and written
// anew but the learned maps, which keep their elements.
func (r Ruleset) Replace(s Standing) string {
	learned := map[string]bool{}
	for _, m := range r.Maps {
		learned[m.Name] = m.Learned
	}
	var b strings.Builder
	fmt.Fprintf(&b, "add table inet %s\nflush table inet %s\n", Table, Table)
	// Maps first: a verdict map holds the chains that it names.
	for _, m := range s.Maps {
		if !learned[m] {
			fmt.Fprintf(&b, "delete map inet %s %s\n", Table, m)
		}
	}
	for _, m := range s.Sets {
		if !learned[m] {
			fmt.Fprintf(&b, "delete set inet %s %s\n", Table, m)
		}
	}
	for _, c := range s.Chains {
		fmt.Fprintf(&b, "delete chain inet %s %s\n", Table, c)
	}
	b.WriteString(r.String())
	return b.String()
}

// Update is the transaction from prev, which must be exactly what stands, to r. It is empty when they are equal.
// It names only what differs, so that a link's failure in a house with thousands of rules costs a few lines.
func (r Ruleset) Update(prev Ruleset) string {
	oldChains := map[string]Chain{}
	for _, c := range prev.Chains {
		oldChains[c.Name] = c
	}
	oldMaps := map[string]Map{}
	for _, m := range prev.Maps {
		oldMaps[m.Name] = m
	}
	var changed Ruleset
	var flush, drop strings.Builder
	for _, m := range r.Maps {
		old, stood := oldMaps[m.Name]
		delete(oldMaps, m.Name)
		if stood && slices.Equal(old.Elements, m.Elements) && old.header() == m.header() {
			continue
		}
		if stood && old.header() != m.header() {
			// A map cannot change its type in place, and every rule that names it must let go of it first.
			return r.Replace(prev.standing())
		}
		if stood {
			fmt.Fprintf(&flush, "flush %s inet %s %s\n", m.keyword(), Table, m.Name)
		}
		changed.Maps = append(changed.Maps, m)
	}
	for _, c := range r.Chains {
		old, stood := oldChains[c.Name]
		delete(oldChains, c.Name)
		if stood && old.Hook == c.Hook && slices.Equal(old.Rules, c.Rules) {
			continue
		}
		if stood && old.Hook != c.Hook {
			return r.Replace(prev.standing())
		}
		if stood {
			fmt.Fprintf(&flush, "flush chain inet %s %s\n", Table, c.Name)
		}
		changed.Chains = append(changed.Chains, c)
	}
	// Chains that nobody needs any more may still name each other: empty them all, then delete them.
	for _, c := range prev.Chains {
		if _, gone := oldChains[c.Name]; gone {
			fmt.Fprintf(&flush, "flush chain inet %s %s\n", Table, c.Name)
			fmt.Fprintf(&drop, "delete chain inet %s %s\n", Table, c.Name)
		}
	}
	for _, m := range prev.Maps {
		if _, gone := oldMaps[m.Name]; gone {
			fmt.Fprintf(&drop, "delete %s inet %s %s\n", m.keyword(), Table, m.Name)
		}
	}
	body := ""
	if len(changed.Maps)+len(changed.Chains) > 0 {
		body = changed.String()
	}
	return flush.String() + body + drop.String()
}

func (r Ruleset) standing() Standing {
	var s Standing
	for _, c := range r.Chains {
		s.Chains = append(s.Chains, c.Name)
	}
	for _, m := range r.Maps {
		if m.Set {
			s.Sets = append(s.Sets, m.Name)
		} else {
			s.Maps = append(s.Maps, m.Name)
		}
	}
	return s
}
