package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pattern is what content is looked through for: a keyword, found anywhere and in any case of its letters, or behind "re:" a regular
// expression of RE2 (package regexp/syntax), which takes time in proportion to what it reads, whatever it is and whatever it reads.
type Pattern string

// HTTPSelect selects requests of HTTP/1 that can be read: the host is in lower case, the path has its query.
type HTTPSelect struct {
	Hosts []Pattern
	Paths []Pattern
}

// Content is what the first packets of a flow's client say, as far as they were read. What is empty is not known, and no selector matches it.
// It belongs to one query at a time, and is not changed once it was asked about.
type Content struct {
	Protocol           string // id, as in What.Protocols
	TLSName            string // the host that a TLS or QUIC hello names, in lower case
	HTTPHost, HTTPPath string
	Payload            []byte // TCP: the stream from its start; UDP: one datagram

	ready *contentTexts // made by the first rule that is asked
}

// contentTexts are the texts that patterns are looked for in. Fifty rules ask for the same ones.
type contentTexts struct{ name, host, path, payload searched }

// searched is a text as it is, for expressions, and in lower case, for keywords.
type searched struct{ text, lower string }

func (c *Content) texts() *contentTexts {
	if c.ready == nil {
		of := func(s string) searched { return searched{s, strings.ToLower(s)} }
		c.ready = &contentTexts{of(c.TLSName), of(c.HTTPHost), of(c.HTTPPath), of(string(c.Payload))}
	}
	return c.ready
}

const (
	expressionPrefix = "re:"
	minKeyword       = 3    // bytes: shorter ones are in everything
	maxPattern       = 200  // bytes
	maxProgram       = 1000 // instructions of a compiled expression
	maxPatterns      = 64   // of one key of one rule
)

// HasContent tells whether the selectors look at content, which a flow's first packet does not show.
func (w *What) HasContent() bool {
	return len(w.Protocols)+len(w.TLSNames)+len(w.HTTP.Hosts)+len(w.HTTP.Paths)+len(w.Payload) > 0
}

// HasContent tells whether rule i asks for content: no diagram can decide about it.
func (c *Compiled) HasContent(i int) bool { return c.rules[i].What.HasContent() }

// MayEnd lists the rules that will be asked when a flow has said what it is, and may end it then. The target's content is not looked at.
func (c *Compiled) MayEnd(q Query) []Reason {
	x := explainer{c: c}
	for _, i := range c.Active(q.Subject, q.Time) {
		r := &c.rules[i]
		if r.match.content != nil && r.match.opening(q.Target) {
			x.add(AspectFilter, i, NoEffect, none, fmt.Sprintf("%s looks into the flow and ends it if it says what the rule is about.", r))
		}
	}
	return x.reasons
}

func parsePattern(s string) (Pattern, error) {
	_, err := compilePattern(Pattern(s))
	return Pattern(s), err
}

// patternMatch is a pattern made ready: exactly one of its fields is set.
type patternMatch struct {
	keyword    string // in lower case
	expression *regexp.Regexp
}

func (m *patternMatch) matches(s searched) bool {
	if m.expression != nil {
		return m.expression.MatchString(s.text)
	}
	return strings.Contains(s.lower, m.keyword)
}

func compilePattern(p Pattern) (patternMatch, error) {
	expression, isExpression := strings.CutPrefix(string(p), expressionPrefix)
	switch {
	case len(p) > maxPattern:
		return patternMatch{}, fmt.Errorf("%.40q has %d bytes; use at most %d", string(p), len(p), maxPattern)
	case !utf8.ValidString(string(p)), strings.ContainsFunc(string(p), func(r rune) bool { return !unicode.IsPrint(r) }):
		return patternMatch{}, fmt.Errorf(`%q has characters that cannot be printed; write them in an expression, as re:\x00`, string(p))
	case !isExpression && len(p) < minKeyword:
		return patternMatch{}, fmt.Errorf("%q is in almost everything; use at least %d bytes", string(p), minKeyword)
	case !isExpression:
		return patternMatch{keyword: strings.ToLower(string(p))}, nil
	case expression == "":
		return patternMatch{}, errors.New("there is no expression behind \"re:\" to look for")
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return patternMatch{}, expressionError(expression, err)
	}
	program, err := syntax.Compile(tree.Simplify())
	switch {
	case err != nil:
		return patternMatch{}, fmt.Errorf("%q: %w", expression, err)
	case len(program.Inst) > maxProgram:
		return patternMatch{}, fmt.Errorf("%q takes %d steps for each byte; at most %d are possible: use smaller repetitions", string(p), len(program.Inst), maxProgram)
	}
	re, err := regexp.Compile(expression)
	switch {
	case err != nil:
		return patternMatch{}, fmt.Errorf("%q: %w", expression, err)
	case re.MatchString(""):
		return patternMatch{}, fmt.Errorf("%q matches everything, since it matches nothing at all; leave the key out if that is meant", string(p))
	}
	return patternMatch{expression: re}, nil
}

// expressionError tells where in an expression the mistake is. The parser tells which piece is wrong; of a parenthesis it tells the whole.
func expressionError(expression string, err error) error {
	var wrong *syntax.Error
	if !errors.As(err, &wrong) {
		return fmt.Errorf("%q: %w", expression, err)
	}
	at := len(expression)
	switch {
	case wrong.Code == syntax.ErrUnexpectedParen:
		for at = range expression {
			_, err := syntax.Parse(expression[:at+1], syntax.Perl)
			if errors.As(err, &wrong) && wrong.Code == syntax.ErrUnexpectedParen {
				break
			}
		}
	case wrong.Expr != expression:
		at = max(0, strings.LastIndex(expression, wrong.Expr))
	case wrong.Code != syntax.ErrMissingParen:
		at = 0
	}
	return fmt.Errorf("%q: character %d: %s", expressionPrefix+expression, utf8.RuneCountInString(expressionPrefix+expression[:at])+1, wrong.Code)
}

// contentMatch is the content part of a What made fast. A key that is empty matches everything.
type contentMatch struct {
	protocols                  []string
	names, hosts, paths, bytes []patternMatch
}

// newContentMatch is nil for a What that does not look at content. The patterns are checked already.
func newContentMatch(w *What) *contentMatch {
	if !w.HasContent() {
		return nil
	}
	ready := func(list []Pattern) []patternMatch {
		var out []patternMatch
		for _, p := range list {
			if m, err := compilePattern(p); err == nil {
				out = append(out, m)
			}
		}
		return out
	}
	return &contentMatch{protocols: w.Protocols, names: ready(w.TLSNames), hosts: ready(w.HTTP.Hosts), paths: ready(w.HTTP.Paths), bytes: ready(w.Payload)}
}

func (m *contentMatch) matches(c *Content) bool {
	if m == nil {
		return true
	}
	if c == nil {
		return false
	}
	t := c.texts()
	return (len(m.protocols) == 0 || slices.Contains(m.protocols, c.Protocol)) &&
		anyPattern(m.names, t.name) && anyPattern(m.hosts, t.host) && anyPattern(m.paths, t.path) && anyPattern(m.bytes, t.payload)
}

// anyPattern tells whether one of the patterns is in a text that is known, or there is none.
func anyPattern(list []patternMatch, s searched) bool {
	return len(list) == 0 || s.text != "" && slices.ContainsFunc(list, func(m patternMatch) bool { return m.matches(s) })
}

func (c ruleCheck) checkContent() {
	w := &c.r.What
	for n, p := range w.Protocols {
		switch {
		case !isWord(p):
			c.badAt("what.protocol", n, "%q is not the name of a protocol", p)
		case c.known.Protocol != nil && !c.known.Protocol(p):
			c.badAt("what.protocol", n, "no protocol %q is read out of flows", p)
		}
	}
	twice(w.Protocols, func(n int) { c.badAt("what.protocol", n, "is there twice") })
	for _, list := range []struct {
		field    string
		patterns []Pattern
	}{{"what.tls_name", w.TLSNames}, {"what.http.host", w.HTTP.Hosts}, {"what.http.path", w.HTTP.Paths}, {"what.payload", w.Payload}} {
		for n, p := range list.patterns {
			if _, err := compilePattern(p); err != nil {
				c.badAt(list.field, n, "%v", err)
			}
		}
		if len(list.patterns) > maxPatterns {
			c.bad(list.field, "has %d patterns; at most %d are possible, join some in one expression or make a second rule", len(list.patterns), maxPatterns)
		}
		twice(list.patterns, func(n int) { c.badAt(list.field, n, "is there twice") })
	}
	if !w.HasContent() {
		return
	}
	if f := c.r.Filter; f == nil || f.Action != Block || c.r.Steer != nil || c.r.QoS != nil || c.r.Log {
		c.bad("what", "content is known when a flow runs already, so it can only be blocked: use filter: {block: true} alone")
	}
	if c.r.Who.Router {
		c.bad("who.router", "the router's own traffic is not looked into; leave protocol, tls_name, http and payload out")
	}
}

// contentCovers tells whether a's content selectors select whatever b's do. Patterns are compared by their text: whether one expression
// covers another is not asked.
func contentCovers(a, b *What) bool {
	same := func(x, y Pattern) bool { return x == y }
	return covers(a.Protocols, b.Protocols, func(x, y string) bool { return x == y }) && covers(a.TLSNames, b.TLSNames, same) &&
		covers(a.HTTP.Hosts, b.HTTP.Hosts, same) && covers(a.HTTP.Paths, b.HTTP.Paths, same) && covers(a.Payload, b.Payload, same)
}
