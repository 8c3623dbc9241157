package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/qos"
	"github.com/trenza-router/trenza/router/resolver/upstream"
)

// Problem is something in a configuration file that cannot be, with its place; Line 0 is the file as a whole.
type Problem struct {
	File         string
	Line, Column int
	Text         string
}

func (p *Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// places are where the values of a file stand, by path: "links[0].weight".
type places map[string]*token.Position

// of finds the place of a path or, where the file does not say it, of what it would be in.
func (p places) of(path string) *token.Position {
	for path != "" {
		if at, ok := p[path]; ok {
			return at
		}
		path = parent.ReplaceAllString(path, "")
	}
	return nil
}

var (
	parent  = regexp.MustCompile(`(\.?[^.\[\]]+|\[\d+\])$`)
	indices = regexp.MustCompile(`\[\d+\]`)
	family  = regexp.MustCompile(`^links\[\]\.ipv[46]\.`) // what stands below links[].ipv4
)

// survey reads where everything stands, and checks the plain values of which the decoder would only say that they do not fit.
func survey(name string, data []byte) (places, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, located(name, err)
	}
	p := places{}
	if len(file.Docs) > 1 {
		second := &Problem{File: name, Text: "a second document begins: a configuration is one document"}
		if start := file.Docs[1].Start; start != nil {
			second.Line, second.Column = start.Position.Line, start.Position.Column
		}
		return nil, second
	}
	for _, d := range file.Docs {
		if err := p.walk(name, "", d.Body); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p places) walk(name, path string, node ast.Node) error {
	switch n := node.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil
	case *ast.MappingNode:
		for _, v := range n.Values {
			if err := p.walk(name, path, v); err != nil {
				return err
			}
		}
		return nil
	case *ast.MappingValueNode:
		key := n.Key.GetToken().Value
		if path != "" {
			key = path + "." + key
		}
		p[key] = n.Key.GetToken().Position
		if family.MatchString(indices.ReplaceAllString(key, "[]")) && !strings.HasSuffix(key, ".gateway") {
			return &Problem{name, p[key].Line, p[key].Column, "use dhcp, auto, off or {gateway: ADDRESS}"}
		}
		return p.walk(name, key, n.Value)
	case *ast.SequenceNode:
		for i, v := range n.Values {
			item := fmt.Sprintf("%s[%d]", path, i)
			p[item] = v.GetToken().Position
			if err := p.walk(name, item, v); err != nil {
				return err
			}
		}
		return nil
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		at := n.GetToken().Position
		return &Problem{name, at.Line, at.Column, "anchors, aliases and tags have no place in a configuration: write the value"}
	case ast.ScalarNode:
		at := n.GetToken().Position
		p[path] = at
		if fits := plainValue(indices.ReplaceAllString(path, "[]")); fits != nil {
			if err := fits(n.GetToken().Value); err != nil {
				return &Problem{name, at.Line, at.Column, err.Error()}
			}
		}
		return nil
	}
	return nil
}

// plainValue is how to check the value of a path, nil where the decoder says it well.
func plainValue(path string) func(string) error {
	number := func(low, high int) func(string) error {
		return func(s string) error {
			if n, err := strconv.Atoi(s); err != nil || n < low || n > high {
				return fmt.Errorf("%s: use a number from %d to %d", s, low, high)
			}
			return nil
		}
	}
	switch path {
	case "links[].role":
		return func(s string) error { _, err := flow.ParseRole(s); return err }
	case "links[].id":
		return number(1, int(flow.MaxLink))
	case "links[].weight":
		return number(1, 1000)
	case "links[].quota.reset_day":
		return number(1, 31)
	case "links[].hardware.tag":
		return number(1, 4094)
	case "links[].hardware.roaming", "links[].metered", "resolver.redirect", "resolver.allow_rebind", "resolver.no_browser_doh", "resolver.no_private_relay", "resolver.strip_ech", "resolver.refuse_blocked":
		return func(s string) error {
			if s != "true" && s != "false" {
				return fmt.Errorf("%s: use true or false", s)
			}
			return nil
		}
	case "links[].dns[]", "resolver.upstreams[]":
		return func(s string) error { _, err := upstream.ParseServer(s); return err }
	case "resolver.rebind_names[]":
		return func(s string) error {
			if _, ok := dns.IsDomainName(s); !ok || strings.Trim(s, ".") == "" {
				return fmt.Errorf("%q: use a domain like example.com; allow_rebind is for all", s)
			}
			return nil
		}
	case "links[].ipv4.gateway", "links[].ipv6.gateway", "links[].shape.reflectors[]":
		return func(s string) error {
			if _, err := netip.ParseAddr(s); err != nil {
				return fmt.Errorf("%q: use an IP address", s)
			}
			return nil
		}
	case "links[].ipv4", "links[].ipv6":
		return func(s string) error { _, err := parseMode(s); return err }
	case "links[].quota.limit":
		return func(s string) error { _, err := parseBytes(s); return err }
	case "links[].shape.mode":
		return func(s string) error { _, err := ParseShapeMode(s); return err }
	case "links[].shape.framing":
		return func(s string) error { _, err := qos.ParseFraming(s); return err }
	case "links[].rate.down", "links[].rate.up", "links[].shape.min.down", "links[].shape.min.up":
		return func(s string) error { _, err := parseRate(s); return err }
	case "links[].probes.interval":
		return func(s string) error { _, err := parseDuration(s); return err }
	case "forwards[].port":
		return number(1, 65535)
	case "forwards[].to":
		return func(s string) error {
			if _, err := netip.ParseAddrPort(s); err != nil {
				return fmt.Errorf("%q: use an address and a port like 192.168.1.20:443", s)
			}
			return nil
		}
	}
	return nil
}
