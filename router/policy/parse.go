package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxDocument is the size in bytes of the largest policy that Parse reads; 5,000 rules take about 1 MB.
const MaxDocument = 4 << 20

const (
	maxNesting  = 16   // flow collections in each other; a policy needs 4
	maxIndent   = 120  // columns
	maxReported = 100  // problems
	maxKeys     = 1000 // in one mapping; the largest is personal, with a key for each person
)

// Parse reads a policy in its YAML form (docs/POLICY.md). It is strict: unknown keys, impossible values and everything
// that Compile refuses without knowing links and catalogue are errors. The error is of type Problems: all that is wrong,
// with line and column, not only the first. Name is what the problems call the file.
func Parse(name string, data []byte) (Policy, error) {
	d := document{file: name, positions: map[string]*token.Position{}, spoiled: map[string]bool{}}
	p := d.parse(data)
	if !d.spoiled[""] {
		v := validator{p: &p}
		v.check()
		for _, problem := range v.problems {
			// Of what could not be read whole, more problems may only follow from the first.
			if !d.spoiled[entryOf(problem.path)] {
				d.report(d.position(problem.path), problem)
			}
		}
	}
	if len(d.problems) == 0 {
		return p, nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if more := len(d.problems) - maxReported; more > 0 {
		d.problems = append(d.problems[:maxReported], Problem{File: name, Text: fmt.Sprintf("and %d more problems", more)})
	}
	return Policy{}, d.problems
}

// document is a YAML file being read. Where something is wrong it records a problem and goes on, so that all problems
// of a file are told at once.
type document struct {
	file      string
	entry     string // the person, device, group or rule being read: "people/0"; "" outside
	ruleID    string // of the rule being read
	problems  Problems
	positions map[string]*token.Position // by the validator's paths
	spoiled   map[string]bool            // entries with something that could not be read
}

// entryOf is the entry that a path of the validator lies in.
func entryOf(path string) string {
	parts := strings.SplitN(path, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func (d *document) report(at *token.Position, p Problem) {
	p.File = d.file
	if at != nil {
		p.Line, p.Column = at.Line, at.Column
	}
	d.problems = append(d.problems, p)
	d.spoiled[d.entry] = true
}

func (d *document) bad(n ast.Node, field, format string, args ...any) {
	d.report(start(n), Problem{RuleID: d.ruleID, Field: field, Text: fmt.Sprintf(format, args...)})
}

// position finds where a path stands, or what contains it.
func (d *document) position(path string) *token.Position {
	for {
		if at, ok := d.positions[path]; ok {
			return at
		}
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			return nil
		}
		path = path[:cut]
	}
}

// start is the position of a node's first character.
func start(n ast.Node) *token.Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0])
		}
	case *ast.MappingValueNode:
		return start(n.Key)
	case *ast.SequenceNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0])
		}
	case nil:
		return nil
	}
	if tk := n.GetToken(); tk != nil {
		return tk.Position
	}
	return nil
}

func (d *document) parse(data []byte) Policy {
	body := d.read(data)
	if body == nil {
		return Policy{}
	}
	return d.policy(body)
}

// read makes the tree of the one YAML document, or nil if there is none or it is not YAML.
func (d *document) read(data []byte) (body ast.Node) {
	switch {
	case len(data) > MaxDocument:
		d.report(nil, Problem{Text: fmt.Sprintf("the file has %d bytes; a policy has at most %d", len(data), MaxDocument)})
		return nil
	case !utf8.Valid(data):
		d.report(nil, Problem{Text: "the file is not UTF-8 text"})
		return nil
	}
	defer func() {
		// The YAML library has panicked on malformed input before; a file from a stranger must not stop the router.
		if r := recover(); r != nil {
			d.report(nil, Problem{Text: "the file is not YAML"})
			body = nil
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if tk, text := tooMuch(tokens); tk != nil {
		d.report(tk.Position, Problem{Text: text})
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			d.report(syntax.GetToken().Position, Problem{Text: "not YAML: " + syntax.GetMessage()})
		} else {
			d.report(nil, Problem{Text: "not YAML: " + strings.Split(err.Error(), "\n")[0]})
		}
		return nil
	}
	var docs []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	if len(docs) > 1 {
		d.bad(docs[1], "", "a policy is one document; join the parts under the same keys")
		return nil
	}
	if len(docs) == 0 {
		return nil
	}
	return docs[0]
}

// tooMuch finds a token at which the file is nested so deeply that reading it could exhaust the stack, or has so many
// keys in one mapping that reading it would take minutes (the library's time is quadratic in them).
func tooMuch(tokens token.Tokens) (at *token.Token, text string) {
	depth, line, indicators := 0, 0, 0
	keys := map[int]int{} // in the open block mapping at each column
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, indicators = tk.Position.Line, 0
		}
		block, column := depth == 0, tk.Position.Column
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
			block = false
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			indicators++ // "- - - -", "? ? ? ?", "&a &a" nest on one line
		case token.MappingValueType:
			if tk.Prev != nil {
				column = tk.Prev.Position.Column
			}
			if block {
				keys[column]++
			}
		default:
			continue
		}
		switch {
		case depth > maxNesting, indicators > maxNesting, block && column > maxIndent:
			return tk, "the file is nested too deeply for a policy"
		case block && keys[column] > maxKeys:
			return tk, fmt.Sprintf("more than %d keys stand here side by side", maxKeys)
		}
		if block {
			maps.DeleteFunc(keys, func(c, _ int) bool { return c > column })
		}
	}
	return nil, ""
}

// key is one key that a mapping may have and what reads its value.
type key struct {
	name string
	read func(n ast.Node, path string)
}

// mapping reads a mapping by its keys. What is it called in messages: "a rule". Field is its name in the rule, or "".
func (d *document) mapping(n ast.Node, path, what, field string, keys []key) {
	d.pairs(n, path, what, field, func(name string, pair *ast.MappingValueNode, at string) {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
		if i < 0 {
			names := make([]string, len(keys))
			for i, k := range keys {
				names[i] = k.name
			}
			d.bad(pair.Key, field, "%s has no %q; it has %s%s", what, name, listOf(names), didYouMean(name, names))
			return
		}
		keys[i].read(pair.Value, at)
	})
}

func listOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// pairs calls f for each key of a mapping, in the order written.
func (d *document) pairs(n ast.Node, path, what, field string, f func(name string, pair *ast.MappingValueNode, path string)) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.bad(n, field, "%s is written as keys and values, not as %s", what, kind(n))
		return
	}
	seen := map[string]bool{}
	for _, pair := range values {
		name, ok := d.text(pair.Key, field, "a key")
		if !ok {
			continue
		}
		if seen[name] {
			d.bad(pair.Key, field, "%q is there twice", name)
			continue
		}
		seen[name] = true
		at := path + "/" + name
		if path == "" {
			at = name
		}
		switch pair.Value.(type) {
		case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
			d.positions[at] = start(pair.Key)
		default:
			d.positions[at] = start(pair.Value)
		}
		f(name, pair, at)
	}
}

// list calls f for each element of a sequence; a single value stands for a list of one.
func (d *document) list(n ast.Node, path, field string, f func(n ast.Node, path string)) {
	values := []ast.Node{n}
	switch n := n.(type) {
	case *ast.SequenceNode:
		values = n.Values
	case *ast.NullNode:
		d.bad(n, field, "the list is empty; leave the key out")
		return
	}
	for i, v := range values {
		at := fmt.Sprintf("%s/%d", path, i)
		d.positions[at] = start(v)
		f(v, at)
	}
}

// kind names a node in a message.
func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode, nil:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias (write it out)"
	case *ast.TagNode:
		return "a tag (leave it out)"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	}
	return "text"
}

// text reads a scalar as it is written; what is the thing in messages: "a name".
func (d *document) text(n ast.Node, field, what string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value != nil {
			return strings.TrimSuffix(n.Value.Value, "\n"), true
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	d.bad(n, field, "%s is expected here, not %s", what, kind(n))
	return "", false
}

func (d *document) boolean(n ast.Node, field string) bool {
	if b, ok := n.(*ast.BoolNode); ok {
		return b.Value
	}
	d.bad(n, field, "use true or false, not %s", kind(n))
	return false
}

// number reads a decimal whole number.
func (d *document) number(n ast.Node, field string) int {
	s, ok := d.text(n, field, "a number")
	if !ok {
		return 0
	}
	v, err := strconv.Atoi(s)
	if err != nil || strings.HasPrefix(s, "+") {
		d.bad(n, field, "%q is not a whole number", s)
	}
	return v
}

// word reads one of a list of words and returns its place.
func (d *document) word(n ast.Node, field string, words []string) uint8 {
	s, ok := d.text(n, field, "a word")
	if !ok {
		return 0
	}
	i := slices.Index(words, s)
	if i < 0 || s == "" {
		d.bad(n, field, "%q is not possible; use %s%s", s, oneOf(words), didYouMean(s, words))
		return 0
	}
	return uint8(i)
}

// value reads a scalar by a function that refuses what is impossible.
func value[T any](d *document, n ast.Node, field, what string, parse func(string) (T, error)) (T, bool) {
	var zero T
	s, ok := d.text(n, field, what)
	if !ok {
		return zero, false
	}
	v, err := parse(s)
	if err != nil {
		d.bad(n, field, "%v", err)
		return zero, false
	}
	return v, true
}

// values reads a list by such a function.
func values[T any](d *document, n ast.Node, path, field, what string, parse func(string) (T, error)) []T {
	var out []T
	d.list(n, path, field, func(n ast.Node, _ string) {
		if v, ok := value(d, n, field, what, parse); ok {
			out = append(out, v)
		}
	})
	return out
}

// moment reads a moment of RFC 3339.
func (d *document) moment(n ast.Node, field string) time.Time {
	text, ok := d.text(n, field, "a moment like 2026-11-30T21:30:00+01:00")
	if !ok {
		return time.Time{}
	}
	at, err := parseMoment(text)
	if err != nil {
		d.bad(n, field, "%v", err)
	}
	return at
}
