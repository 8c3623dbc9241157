package haltest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// statement is one command or one line of a block: its words, and, for `table`, `chain`, `set`, `map` and `counter`, its block.
type statement struct {
	line  int
	text  string // words with single spaces between them; braces of anonymous sets are part of it
	block []statement
	open  bool // it has a block, be it empty
}

// refusal is a *hal.RulesetError for a statement.
func (s statement) refusal(format string, args ...any) error {
	return &hal.RulesetError{Line: s.line, Text: s.text, Message: fmt.Sprintf(format, args...)}
}

// parser splits a text into statements.
type parser struct {
	text string
	pos  int
	line int
}

// opensBlock tells whether the words before a brace name something that has a block, rather than an anonymous set.
var opensBlock = regexp.MustCompile(`^((add|create) )?(table|chain|set|map|counter)( \S+){1,3}$`)

// statements reads until the end of the text or, inside a block, its closing brace.
func (p *parser) statements(inside bool) ([]statement, error) {
	var all []statement
	for {
		s, end, err := p.statement()
		if err != nil {
			return nil, err
		}
		if s.text != "" {
			all = append(all, s)
		}
		switch end {
		case '}':
			if !inside {
				return nil, s.refusal("syntax error, unexpected '}'")
			}
			return all, nil
		case 0:
			if inside {
				return nil, statement{line: p.line, text: s.text}.refusal("syntax error, unexpected end of file")
			}
			return all, nil
		}
	}
}

// statement reads one statement and tells what ended it: a newline, a semicolon, a closing brace, or 0 at the end of the
// text.
func (p *parser) statement() (s statement, end byte, err error) {
	var b strings.Builder
	depth, quoted := 0, false
	for ; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		if b.Len() == 0 || strings.TrimSpace(b.String()) == "" {
			s.line = p.line
		}
		switch {
		case quoted:
			quoted = c != '"'
			b.WriteByte(c)
		case c == '"':
			quoted = true
			b.WriteByte(c)
		case c == '#':
			for p.pos < len(p.text) && p.text[p.pos] != '\n' {
				p.pos++
			}
			p.pos--
			continue
		case c == '{':
			s.text = words(b.String())
			if depth == 0 && opensBlock.MatchString(s.text) {
				p.pos++
				s.open = true
				s.block, err = p.statements(true)
				return s, ';', err
			}
			depth++
			b.WriteString(" { ")
		case c == '}' && depth > 0:
			depth--
			b.WriteString(" } ")
		case depth == 0 && (c == '\n' || c == ';' || c == '}'):
			p.pos++
			if c == '\n' {
				p.line++
			}
			s.text = words(b.String())
			return s, c, nil
		case c == ',':
			b.WriteString(", ")
		default:
			b.WriteByte(c)
		}
		if c == '\n' {
			p.line++
		}
	}
	s.text = words(b.String())
	if depth > 0 || quoted {
		return s, 0, s.refusal("syntax error, unexpected end of file")
	}
	return s, 0, nil
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// apply runs all statements of a text on the ruleset; the caller throws the ruleset away after an error.
func (r *ruleset) apply(text string, now time.Time) error {
	p := parser{text: text, line: 1}
	all, err := p.statements(false)
	if err != nil {
		return err
	}
	touched := make(map[string]statement) // table -> a statement to blame for what refers to nothing
	for _, s := range all {
		if err := r.command(s, now, touched); err != nil {
			return err
		}
	}
	return r.references(touched)
}

func (r *ruleset) command(s statement, now time.Time, touched map[string]statement) error {
	w := strings.Fields(s.text)
	verb := "add"
	switch w[0] {
	case "add", "create", "delete", "destroy", "flush":
		verb, w = w[0], w[1:]
	}
	if len(w) == 1 && verb == "flush" && w[0] == "ruleset" {
		r.tables = nil
		return nil
	}
	if len(w) < 3 {
		return s.refusal("syntax error, unexpected newline")
	}
	kind, name, rest := w[0], w[1]+" "+w[2], w[3:]
	t := r.table(name)
	if kind == "table" {
		return r.tableCommand(s, verb, name, t, now, touched)
	}
	switch {
	case t == nil && verb == "destroy":
		return nil
	case t == nil || len(rest) == 0:
		return s.refusal("No such file or directory")
	}
	touched[name] = s
	object := rest[0]
	switch verb + " " + kind {
	case "add chain", "create chain":
		return t.addChain(s, object, s.block, now)
	case "add rule":
		c := t.chain(object)
		if c == nil {
			return s.refusal("No such file or directory")
		}
		return c.addRule(statement{line: s.line, text: strings.Join(rest[1:], " ")})
	case "flush chain":
		if c := t.chain(object); c != nil {
			c.rules = nil
			return nil
		}
	case "delete chain", "destroy chain":
		if c := t.chain(object); c != nil || verb == "destroy" {
			t.chains = slices.DeleteFunc(t.chains, func(o *nftChain) bool { return o == c })
			return nil
		}
	case "add set", "add map", "create set", "create map":
		return t.addSet(s, kind == "map", object, s.block, now)
	case "flush set", "flush map":
		if o := t.set(object); o != nil {
			o.elements, o.expires = nil, make(map[string]time.Time)
			return nil
		}
	case "delete set", "delete map", "destroy set", "destroy map":
		if o := t.set(object); o != nil || verb == "destroy" {
			t.sets = slices.DeleteFunc(t.sets, func(x *nftSet) bool { return x == o })
			return nil
		}
	case "add element", "delete element", "destroy element":
		if o := t.set(object); o != nil {
			return o.editElements(s, verb, strings.Join(rest[1:], " "), now)
		}
	case "add counter", "create counter":
		return t.addCounter(s, object, s.block)
	case "delete counter", "destroy counter":
		if _, ok := t.counters[object]; ok || verb == "destroy" {
			delete(t.counters, object)
			return nil
		}
	default:
		return s.refusal("the fake machine does not know the command %q", verb+" "+kind)
	}
	return s.refusal("No such file or directory")
}

func (r *ruleset) tableCommand(s statement, verb, name string, t *nftTable, now time.Time, touched map[string]statement) error {
	switch verb {
	case "add", "create":
		if t == nil {
			t = &nftTable{name: name, counters: make(map[string]hal.Counter)}
			r.tables = append(r.tables, t)
		}
		touched[name] = s
		return t.body(s.block, now)
	case "flush":
		if t == nil {
			return s.refusal("No such file or directory")
		}
		for _, c := range t.chains {
			c.rules = nil
		}
		return nil
	}
	if t == nil && verb == "delete" {
		return s.refusal("No such file or directory")
	}
	r.tables = slices.DeleteFunc(r.tables, func(o *nftTable) bool { return o == t })
	return nil
}

func (t *nftTable) body(block []statement, now time.Time) error {
	for _, s := range block {
		w := strings.Fields(s.text)
		if len(w) == 1 && w[0] == "flags" || len(w) > 1 && (w[0] == "comment" || w[0] == "flags") {
			continue
		}
		if len(w) != 2 || !s.open {
			return s.refusal("syntax error, unexpected string")
		}
		var err error
		switch w[0] {
		case "chain":
			err = t.addChain(s, w[1], s.block, now)
		case "set", "map":
			err = t.addSet(s, w[0] == "map", w[1], s.block, now)
		case "counter":
			err = t.addCounter(s, w[1], s.block)
		default:
			err = s.refusal("the fake machine does not know %q in a table", w[0])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *nftTable) addCounter(s statement, name string, block []statement) error {
	if _, ok := t.counters[name]; ok {
		return nil // as the kernel does: what it counted stays
	}
	var c hal.Counter
	for _, b := range block {
		if _, err := fmt.Sscanf(b.text, "packets %d bytes %d", &c.Packets, &c.Bytes); err != nil {
			return b.refusal("syntax error in counter %s", name)
		}
	}
	t.counters[name] = c
	return nil
}

func (t *nftTable) addChain(s statement, name string, block []statement, _ time.Time) error {
	c := t.chain(name)
	if c == nil {
		c = &nftChain{name: name}
		t.chains = append(t.chains, c)
	}
	for _, b := range block {
		switch word, _, _ := strings.Cut(b.text, " "); word {
		case "type":
			if c.hook != "" && c.hook != b.text {
				return b.refusal("File exists: chain %s hangs at %q", name, c.hook)
			}
			c.hook = b.text
		case "policy", "comment", "flags":
			c.props = slices.DeleteFunc(c.props, func(p string) bool { return strings.HasPrefix(p, word+" ") })
			c.props = append(c.props, b.text)
		default:
			if err := c.addRule(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// starts are the words with which a rule can start.
var starts = strings.Fields(`accept arp at comment continue counter ct dccp dnat drop dst dup ether exthdr fib flow frag fwd
	goto icmp icmpv6 igmp iif iifgroup iifname iiftype ip ip6 ipsec jhash jump last limit log masquerade meta mark meter
	notrack numgen oif oifgroup oifname oiftype osf queue quota redirect reject return rt sctp set skuid snat socket
	symhash synproxy tcp th tproxy udp udplite update add delete vlan xt rtclassid pkttype l4proto nfproto cgroup`)

func (c *nftChain) addRule(s statement) error {
	if word, _, _ := strings.Cut(s.text, " "); !slices.Contains(starts, word) {
		return s.refusal("syntax error, unexpected string (at %q)", word)
	}
	c.rules = append(c.rules, s.text)
	return nil
}

var (
	setReference     = regexp.MustCompile(`@([A-Za-z_][\w.]*)`)
	payload          = regexp.MustCompile(`@(ll|nh|th|ih),`)
	chainReference   = regexp.MustCompile(`\b(?:jump|goto) ([A-Za-z_][\w.]*)`)
	counterReference = regexp.MustCompile(`\bcounter name "?([A-Za-z_][\w.]*)"?`)
	quotedText       = regexp.MustCompile(`"[^"]*"`)
)

// references refuses rules and elements that refer to something that is not there.
func (r *ruleset) references(touched map[string]statement) error {
	for _, t := range r.tables {
		blame, ok := touched[t.name]
		if !ok {
			continue
		}
		texts := make(map[string]bool)
		for _, c := range t.chains {
			for _, rule := range c.rules {
				texts[rule] = true
			}
		}
		for _, s := range t.sets {
			for _, e := range s.elements {
				if !e.known {
					texts[e.text] = true
				}
			}
		}
		for text := range texts {
			for _, m := range counterReference.FindAllStringSubmatch(text, -1) {
				if _, ok := t.counters[m[1]]; !ok {
					return blame.refusal("No such file or directory: counter %s in %q", m[1], text)
				}
			}
			text := quotedText.ReplaceAllString(payload.ReplaceAllString(text, ""), `""`)
			for _, m := range setReference.FindAllStringSubmatch(text, -1) {
				if t.set(m[1]) == nil {
					return blame.refusal("No such file or directory: set %s in %q", m[1], text)
				}
			}
			for _, m := range chainReference.FindAllStringSubmatch(text, -1) {
				if t.chain(m[1]) == nil {
					return blame.refusal("No such file or directory: chain %s in %q", m[1], text)
				}
			}
		}
	}
	return nil
}

func (t *nftTable) addSet(s statement, isMap bool, name string, block []statement, now time.Time) error {
	n := &nftSet{name: name, isMap: isMap, expires: make(map[string]time.Time)}
	var elements []statement
	for _, b := range block {
		word, rest, _ := strings.Cut(b.text, " ")
		switch word {
		case "type", "typeof":
			key, value, mapped := strings.Cut(rest, " : ")
			if mapped != isMap {
				return b.refusal("syntax error: a map has a type of values, a set has none")
			}
			n.types, n.value = strings.Split(key, " . "), value
		case "flags":
			n.flags = strings.Split(strings.ReplaceAll(rest, " ", ""), ",")
			slices.Sort(n.flags)
		case "size":
			size, err := strconv.Atoi(rest)
			if err != nil {
				return b.refusal("syntax error: size %q", rest)
			}
			n.size = size
		case "elements":
			elements = append(elements, b)
		case "timeout", "gc-interval", "auto-merge", "counter", "policy", "comment":
			n.props = append(n.props, b.text)
		default:
			return b.refusal("syntax error, unexpected string (at %q)", word)
		}
	}
	if len(n.types) == 0 {
		return s.refusal("set definition does not specify key")
	}
	old := t.set(name)
	switch {
	case old == nil:
		t.sets = append(t.sets, n)
		old = n
	case old.isMap != n.isMap || !slices.Equal(old.definition(), n.definition()):
		return s.refusal("File exists: %s %q is defined otherwise", name, old.definition())
	}
	for _, e := range elements {
		if err := old.editElements(e, "add", strings.TrimPrefix(e.text, "elements = "), now); err != nil {
			return err
		}
	}
	return nil
}
