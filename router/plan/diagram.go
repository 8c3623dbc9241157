package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// dimension is a question that a node asks of a flow. The order is the order on the way down.
type dimension uint8

const (
	byName dimension = iota
	byAddr
	byService
	byDSCP
	atLeaf
)

// diagram builds the decision diagram of one aspect. Its chains are shared by all devices.
type diagram struct {
	aspect policy.Aspect
	policy *policy.Compiled
	names  nameIndex
	// leaf turns the verdict of the rules that match into the chain that ends the walk; see verdict.go.
	leaf   func(policy.Verdict) (Chain, error)
	memo   map[string]string
	chains *chainSet
}

// chainSet collects chains by name; those of one name are equal.
type chainSet struct {
	byName map[string]bool
	list   []Chain
}

func newChainSet() *chainSet { return &chainSet{byName: map[string]bool{}} }

func (s *chainSet) add(c Chain) string {
	if !s.byName[c.Name] {
		s.byName[c.Name] = true
		s.list = append(s.list, c)
	}
	return c.Name
}

// addHashed names a chain after what it does.
func (s *chainSet) addHashed(prefix string, rules []string) string {
	sum := sha256.Sum256([]byte(strings.Join(rules, "\n")))
	return s.add(Chain{Name: prefix + "_" + hex.EncodeToString(sum[:6]), Rules: rules})
}

func (d *diagram) what(i int) *policy.What { return &d.policy.Rule(i).What }

// looks tells whether rule i asks about a dimension.
func (d *diagram) looks(dim dimension, i int) bool {
	w := d.what(i)
	switch dim {
	case byName:
		return len(w.Apps)+len(w.Categories)+len(w.Domains) > 0
	case byAddr:
		return len(w.Addresses) > 0
	case byService:
		return len(w.Services) > 0
	case byDSCP:
		return len(w.DSCP) > 0
	}
	return false
}

// build returns the chain that decides among rules, of which everything before dim is known to match.
func (d *diagram) build(dim dimension, rules ruleSet) (string, error) {
	rules = d.policy.Prune(d.aspect, rules, func(i int) bool { return d.settled(dim, i) })
	for dim < atLeaf && !slices.ContainsFunc(rules, func(i int) bool { return d.looks(dim, i) }) {
		dim++
	}
	memo := string(rune('0'+dim)) + rules.key()
	if name, ok := d.memo[memo]; ok {
		return name, nil
	}
	var name string
	var err error
	switch dim {
	case byName:
		name, err = d.nameNode(rules)
	case byAddr:
		name, err = d.addrNode(rules)
	case byService:
		name, err = d.serviceNode(rules)
	case byDSCP:
		name, err = d.dscpNode(rules)
	default:
		var leaf Chain
		if leaf, err = d.leaf(d.policy.Verdict(policy.Subject{}, rules)); err == nil {
			name = d.chains.add(leaf)
		}
	}
	if err != nil {
		return "", err
	}
	d.memo[memo] = name
	return name, nil
}

// settled tells whether rule i asks no question from dim on: it matches for certain.
func (d *diagram) settled(dim dimension, i int) bool {
	for ; dim < atLeaf; dim++ {
		if d.looks(dim, i) {
			return false
		}
	}
	return true
}

// branches collects the elements of one node's verdict maps and leaves out those that go where the default goes.
type branches struct {
	fallback string
	elements []string
}

func (b *branches) add(key, target string) {
	if target != b.fallback {
		b.elements = append(b.elements, key+" : goto "+target)
	}
}

// rule is the nft rule "expr vmap { ... }", or nothing if all ways are the default.
func (b *branches) rule(expr string) []string {
	if len(b.elements) == 0 {
		return nil
	}
	return []string{expr + " vmap { " + strings.Join(b.elements, ", ") + " }"}
}

func (d *diagram) node(prefix, fallback string, rules ...[]string) string {
	all := slices.Concat(rules...)
	if len(all) == 0 {
		return fallback
	}
	return d.chains.addHashed(prefix, append(all, "goto "+fallback))
}

func (d *diagram) nameNode(rules ruleSet) (string, error) {
	with, without := rules.split(func(i int) bool { return d.looks(byName, i) })
	fallback, err := d.build(byAddr, without)
	if err != nil {
		return "", err
	}
	matching := map[flow.NameClass]ruleSet{}
	for _, i := range with {
		for _, c := range d.names.classes(d.what(i)) {
			matching[c] = append(matching[c], i)
		}
	}
	b := branches{fallback: fallback}
	for _, c := range sortedKeys(matching) {
		child, err := d.build(byAddr, merge(matching[c], without))
		if err != nil {
			return "", err
		}
		b.add(fmt.Sprintf("%#x", uint16(c)), child)
	}
	return d.node("name", fallback, b.rule(fmt.Sprintf("meta mark & %#x", uint32(flow.NameMask)))), nil
}

func (d *diagram) addrNode(rules ruleSet) (string, error) {
	with, without := rules.split(func(i int) bool { return d.looks(byAddr, i) })
	fallback, err := d.build(byService, without)
	if err != nil {
		return "", err
	}
	var parts [2][]string
	for n, v6 := range []bool{false, true} {
		b := branches{fallback: fallback}
		for _, s := range addrSpans(with, d.what, v6) {
			child, err := d.build(byService, merge(s.rules, without))
			if err != nil {
				return "", err
			}
			b.add(interval(s.first.String(), s.last.String()), child)
		}
		parts[n] = b.rule([]string{"ip daddr", "ip6 daddr"}[n])
	}
	return d.node("addr", fallback, parts[0], parts[1]), nil
}

func (d *diagram) serviceNode(rules ruleSet) (string, error) {
	with, without := rules.split(func(i int) bool { return d.looks(byService, i) })
	fallback, err := d.build(byDSCP, without)
	if err != nil {
		return "", err
	}
	b := branches{fallback: fallback}
	for _, proto := range protocols(with, d.what) {
		spans := portSpans(with, d.what, proto)
		child, err := d.portNode(without, fallback, spans)
		if err != nil {
			return "", err
		}
		b.add(nftProto(proto), child)
	}
	return d.node("proto", fallback, b.rule("meta l4proto")), nil
}

// portNode decides by port within a protocol; for protocols without ports there is one span over everything.
func (d *diagram) portNode(without ruleSet, fallback string, spans []portSpan) (string, error) {
	if len(spans) == 1 && spans[0].first == 0 && spans[0].last == 1<<16-1 {
		return d.build(byDSCP, merge(spans[0].rules, without))
	}
	b := branches{fallback: fallback}
	for _, s := range spans {
		child, err := d.build(byDSCP, merge(s.rules, without))
		if err != nil {
			return "", err
		}
		b.add(interval(fmt.Sprint(s.first), fmt.Sprint(s.last)), child)
	}
	return d.node("port", fallback, b.rule("th dport")), nil
}

func (d *diagram) dscpNode(rules ruleSet) (string, error) {
	with, without := rules.split(func(i int) bool { return d.looks(byDSCP, i) })
	fallback, err := d.build(atLeaf, without)
	if err != nil {
		return "", err
	}
	matching := map[uint8]ruleSet{}
	for _, i := range with {
		values := slices.Clone(d.what(i).DSCP)
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			matching[v] = append(matching[v], i)
		}
	}
	b := branches{fallback: fallback}
	for _, v := range sortedKeys(matching) {
		child, err := d.build(atLeaf, merge(matching[v], without))
		if err != nil {
			return "", err
		}
		b.add(fmt.Sprint(v), child)
	}
	return d.node("dscp", fallback, b.rule("ip dscp"), b.rule("ip6 dscp")), nil
}

func interval(first, last string) string {
	if first == last {
		return first
	}
	return first + "-" + last
}

// nftProto is a protocol as nft writes it.
func nftProto(p flow.Proto) string {
	if p == flow.ProtoICMPv6 {
		return "ipv6-icmp"
	}
	return p.String()
}
