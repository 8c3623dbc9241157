package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
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
	asked  map[question]string
	memo   map[step]string
	chains *chainSet
	budget *budget
	root   ruleSet             // that the walk starts with
	bases  map[string]nameBase // by fallback

	questions []uint8        // see questions
	effects   map[string]int // numbers of what rules say
	effectOf  map[int]int    // by rule
}

// step is a place on the way down: the question that comes next and the rules that are left.
type step struct {
	dim   dimension
	rules setKey
}

// Bounds of one plan. Diagrams of real policies have about as many elements as the policy has selectors; one in which every
// name can meet every port has their product, and neither the kernel's memory nor the time of a swap allows that.
const (
	maxElements = 200_000
	maxVisits   = 20_000_000 // rules looked at, summed over the nodes: about a second of work
)

// budget counts what the diagrams of a plan cost.
type budget struct{ elements, visits int }

// spend refuses a policy whose diagram grows over the bounds.
func (d *diagram) spend(elements, visits int) error {
	d.budget.elements += elements
	d.budget.visits += visits
	if d.budget.elements <= maxElements && d.budget.visits <= maxVisits {
		return nil
	}
	var count [atLeaf]int
	for _, i := range d.root {
		for dim := byName; dim < atLeaf; dim++ {
			if d.looks(dim, i) {
				count[dim]++
			}
		}
	}
	return fmt.Errorf("the policy's rules cross in too many ways for the kernel (more than %d map elements): "+
		"about %s, %d rules that name applications or domains, %d that name addresses, %d that name ports and %d that name DSCP values can each meet; "+
		"give the rules about addresses and ports the same tier, force and priority as those about names, or let them name fewer devices",
		maxElements, d.aspect, count[byName], count[byAddr], count[byService], count[byDSCP])
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
func (s *chainSet) addHashed(prefix string, rules []string) (name string, isNew bool) {
	sum := sha256.Sum256([]byte(strings.Join(rules, "\n")))
	before := len(s.list)
	name = s.add(Chain{Name: prefix + "_" + hex.EncodeToString(sum[:6]), Rules: rules})
	return name, len(s.list) > before
}

func (d *diagram) what(i int) *policy.What { return &d.policy.Rule(i).What }

// looks tells whether rule i asks about a dimension.
func (d *diagram) looks(dim dimension, i int) bool { return d.questions[i]&(1<<dim) != 0 }

// settled tells whether rule i asks no question from dim on: it matches for certain.
func (d *diagram) settled(dim dimension, i int) bool { return d.questions[i]>>dim == 0 }

// questions tells for each rule which dimensions it asks about, as a bit set.
func questions(p *policy.Compiled) []uint8 {
	out := make([]uint8, p.Len())
	for i := range out {
		for dim, asks := range []bool{byName: p.HasName(i), byAddr: p.HasAddr(i), byService: p.HasService(i), byDSCP: p.HasDSCP(i)} {
			if asks {
				out[i] |= 1 << dim
			}
		}
	}
	return out
}

// effect numbers what rule i says about the diagram's aspect, and with which right. A verdict follows from the effects of the
// rules that match, in their order, and from nothing else.
func (d *diagram) effect(i int) int {
	if n, ok := d.effectOf[i]; ok {
		return n
	}
	r := d.policy.Rule(i)
	text := fmt.Sprintln(r.Tier, r.Force)
	switch {
	case d.aspect == policy.AspectSteer && r.Steer != nil:
		text += fmt.Sprintf("%#v", *r.Steer)
	case d.aspect == policy.AspectQoS && r.QoS != nil:
		text += fmt.Sprintln(r.QoS.Class, d.policy.OwnClass(i))
	case d.aspect == policy.AspectFilter && r.Filter != nil:
		text += fmt.Sprintf("%#v", *r.Filter)
	case d.aspect == policy.AspectLog:
		text += fmt.Sprint(r.Log)
	}
	n, ok := d.effects[text]
	if !ok {
		n = len(d.effects)
		d.effects[text] = n
	}
	d.effectOf[i] = n
	return n
}

// memoKey is a place on the way down. Rules that ask no more are told apart by their effects alone: that is why a thousand domains
// that are treated alike cost as much as one.
func (d *diagram) memoKey(dim dimension, rules ruleSet) step {
	same := make(ruleSet, len(rules))
	for n, i := range rules {
		if d.settled(dim, i) {
			same[n] = len(d.questions) + d.effect(i)
		} else {
			same[n] = i
		}
	}
	return step{dim, same.key()}
}

// entry returns the chain that decides among rules.
func (d *diagram) entry(rules ruleSet) (string, error) {
	d.root = rules
	return d.build(byName, rules)
}

// build returns the chain that decides among rules, of which everything before dim is known to match.
func (d *diagram) build(dim dimension, rules ruleSet) (string, error) {
	// Devices of one household mostly differ in a few rules: the same question comes up again and again.
	asked := question{dim: dim, rules: rules.key()}
	if name, ok := d.asked[asked]; ok {
		return name, nil
	}
	name, err := d.answer(dim, rules)
	if err == nil {
		d.asked[asked] = name
	}
	return name, err
}

// buildMerged is build of some rules and the rest, whose key is known: thousands of names meet the same long rest.
func (d *diagram) buildMerged(dim dimension, some, rest ruleSet, restKey setKey) (string, error) {
	asked := question{dim, some.key(), restKey}
	if name, ok := d.asked[asked]; ok {
		return name, nil
	}
	name, err := d.build(dim, merge(some, rest))
	if err == nil {
		d.asked[asked] = name
	}
	return name, err
}

// question is a place on the way down with the rules that arrive there: all of them, or some and the rest.
type question struct {
	dim   dimension
	rules setKey
	rest  setKey
}

// answer is build for a question that is new.
func (d *diagram) answer(dim dimension, rules ruleSet) (string, error) {
	rules = d.policy.Prune(d.aspect, rules, func(i int) bool { return d.settled(dim, i) })
	for dim < atLeaf && !slices.ContainsFunc(rules, func(i int) bool { return d.looks(dim, i) }) {
		dim++
	}
	if err := d.spend(0, len(rules)); err != nil {
		return "", err
	}
	memo := d.memoKey(dim, rules)
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

// branches collects the elements of one verdict map of a node and leaves out those that go where the default goes.
type branches struct {
	expr     string // what the map is asked for
	fallback string
	elements []string
}

func (b *branches) add(key, target string) {
	if target != b.fallback {
		b.elements = append(b.elements, key+" : goto "+target)
	}
}

// rule is the nft rule "expr vmap { ... }", or nothing if all ways are the default.
func (b *branches) rule() []string {
	if len(b.elements) == 0 {
		return nil
	}
	return []string{b.expr + " vmap { " + strings.Join(b.elements, ", ") + " }"}
}

// node is the chain of a node; where all ways are the default, the node is the default.
func (d *diagram) node(prefix, fallback string, maps ...branches) (string, error) {
	var rules []string
	elements := 0
	for _, m := range maps {
		rules = append(rules, m.rule()...)
		elements += len(m.elements)
	}
	if len(rules) == 0 {
		return fallback, nil
	}
	name, isNew := d.chains.addHashed(prefix, append(rules, "goto "+fallback))
	if isNew {
		return name, d.spend(elements, 0)
	}
	return name, nil
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
	targets := map[flow.NameClass]string{}
	rest := without.key()
	for _, c := range sortedKeys(matching) {
		child, err := d.buildMerged(byAddr, matching[c], without, rest)
		if err != nil {
			return "", err
		}
		if child != fallback {
			targets[c] = child
		}
	}
	base, ok := d.bases[fallback]
	if ok {
		if own := base.difference(targets, fallback); len(own) < len(targets)/2 {
			return d.nameChain(base.chain, own)
		}
	}
	name, err := d.nameChain(fallback, targets)
	if !ok && len(targets) >= worthSharing {
		d.bases[fallback] = nameBase{name, targets}
	}
	return name, err
}

// nameChain is the chain that goes by name where targets say, and else to fallback.
func (d *diagram) nameChain(fallback string, targets map[flow.NameClass]string) (string, error) {
	b := branches{expr: fmt.Sprintf("meta mark & %#x", uint32(flow.NameMask)), fallback: fallback}
	for _, c := range sortedKeys(targets) {
		b.add(fmt.Sprintf("%#x", uint16(c)), targets[c])
	}
	return d.node("name", fallback, b)
}

// nameBase is a large node that others share: a device with some names of its own under a long list for everyone has a
// chain of those some, which goes on to the list's. Without that every device would have its own copy of the list.
type nameBase struct {
	chain   string
	targets map[flow.NameClass]string
}

// worthSharing is the least size of such a node.
const worthSharing = 64

// difference is what a node with the same fallback has to say before it leaves the rest to the base.
func (b nameBase) difference(targets map[flow.NameClass]string, fallback string) map[flow.NameClass]string {
	own := map[flow.NameClass]string{}
	for c, t := range targets {
		if b.targets[c] != t {
			own[c] = t
		}
	}
	for c := range b.targets {
		if _, ok := targets[c]; !ok {
			own[c] = fallback
		}
	}
	return own
}

func (d *diagram) addrNode(rules ruleSet) (string, error) {
	with, without := rules.split(func(i int) bool { return d.looks(byAddr, i) })
	fallback, err := d.build(byService, without)
	if err != nil {
		return "", err
	}
	families := []branches{{expr: "ip daddr", fallback: fallback}, {expr: "ip6 daddr", fallback: fallback}}
	for n, v6 := range []bool{false, true} {
		b := &families[n]
		for _, s := range addrSpans(with, d.what, v6) {
			child, err := d.build(byService, merge(s.rules, without))
			if err != nil {
				return "", err
			}
			b.add(interval(s.first.String(), s.last.String()), child)
		}
	}
	return d.node("addr", fallback, families...)
}

func (d *diagram) serviceNode(rules ruleSet) (string, error) {
	with, without := rules.split(func(i int) bool { return d.looks(byService, i) })
	fallback, err := d.build(byDSCP, without)
	if err != nil {
		return "", err
	}
	b := branches{expr: "meta l4proto", fallback: fallback}
	for _, proto := range protocols(with, d.what) {
		spans := portSpans(with, d.what, proto)
		child, err := d.portNode(without, fallback, spans)
		if err != nil {
			return "", err
		}
		b.add(nftProto(proto), child)
	}
	return d.node("proto", fallback, b)
}

// portNode decides by port within a protocol; for protocols without ports there is one span over everything.
func (d *diagram) portNode(without ruleSet, fallback string, spans []portSpan) (string, error) {
	if len(spans) == 1 && spans[0].first == 0 && spans[0].last == 1<<16-1 {
		return d.build(byDSCP, merge(spans[0].rules, without))
	}
	b := branches{expr: "th dport", fallback: fallback}
	for _, s := range spans {
		child, err := d.build(byDSCP, merge(s.rules, without))
		if err != nil {
			return "", err
		}
		b.add(interval(fmt.Sprint(s.first), fmt.Sprint(s.last)), child)
	}
	return d.node("port", fallback, b)
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
	b := branches{expr: "ip dscp", fallback: fallback}
	for _, v := range sortedKeys(matching) {
		child, err := d.build(atLeaf, merge(matching[v], without))
		if err != nil {
			return "", err
		}
		b.add(fmt.Sprint(v), child)
	}
	v6 := b
	v6.expr = "ip6 dscp"
	return d.node("dscp", fallback, b, v6)
}

func interval(first, last string) string {
	if first == last {
		return first
	}
	return first + "-" + last
}

// nftProto is a protocol as nft reads it on every machine. Names other than those of its own grammar it looks up in /etc/protocols, which a
// small system (a container, OpenWrt) may not have.
func nftProto(p flow.Proto) string {
	switch p {
	case flow.ProtoTCP, flow.ProtoUDP, flow.ProtoSCTP, flow.ProtoICMP:
		return p.String()
	}
	return strconv.Itoa(int(p))
}
