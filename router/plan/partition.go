package plan

import (
	"cmp"
	"crypto/sha256"
	"net/netip"
	"slices"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// ruleSet is a list of rule indices in canonical order, which is ascending (see policy.Compiled). It is a value: never
// changed after it was made.
type ruleSet []int

// setKey identifies a set of rules: a hash, since the sets of a large policy are long and many.
type setKey [16]byte

// key makes a set of rules comparable.
func (r ruleSet) key() setKey {
	b := make([]byte, 0, 3*len(r))
	for _, i := range r {
		b = append(b, byte(i>>16), byte(i>>8), byte(i))
	}
	sum := sha256.Sum256(b)
	return setKey(sum[:])
}

// split divides a node's rules: those that look at a dimension and those that match any value of it.
func (r ruleSet) split(looks func(i int) bool) (with, without ruleSet) {
	for _, i := range r {
		if looks(i) {
			with = append(with, i)
		} else {
			without = append(without, i)
		}
	}
	return with, without
}

// merge joins two disjoint sets.
func merge(a, b ruleSet) ruleSet {
	out := make(ruleSet, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// nameIndex finds the classes that a rule's name selectors mean.
type nameIndex struct {
	byApp, byCategory map[string][]flow.NameClass
	byDomain          map[policy.Domain][]flow.NameClass
}

func newNameIndex(classes []NameClass) nameIndex {
	x := nameIndex{map[string][]flow.NameClass{}, map[string][]flow.NameClass{}, map[policy.Domain][]flow.NameClass{}}
	for _, c := range classes {
		if c.App != "" {
			x.byApp[c.App] = append(x.byApp[c.App], c.Class)
		}
		if c.Category != "" {
			x.byCategory[c.Category] = append(x.byCategory[c.Category], c.Class)
		}
		for _, d := range c.Domains {
			x.byDomain[d] = append(x.byDomain[d], c.Class)
		}
	}
	return x
}

// classes lists, without repetition, the classes that w selects by name.
func (x nameIndex) classes(w *policy.What) []flow.NameClass {
	var out []flow.NameClass
	for _, a := range w.Apps {
		out = append(out, x.byApp[a]...)
	}
	for _, c := range w.Categories {
		out = append(out, x.byCategory[c]...)
	}
	for _, d := range w.Domains {
		out = append(out, x.byDomain[d]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// span is a closed interval of addresses with the rules that match all of it.
type span struct {
	first, last netip.Addr
	rules       ruleSet
}

// openRules are the rules whose intervals hold the place that a sweep has reached, each with how many of them do: a rule may
// name a place twice.
type openRules struct {
	rules  ruleSet
	counts map[int]int
}

func (o *openRules) change(rule, by int) {
	before := o.counts[rule]
	o.counts[rule] = before + by
	at, _ := slices.BinarySearch(o.rules, rule)
	switch {
	case before == 0:
		o.rules = slices.Insert(o.rules, at, rule)
	case before+by == 0:
		o.rules = slices.Delete(o.rules, at, at+1)
	}
}

// addrSpans cuts one family's addresses into the elementary intervals of the rules' prefixes; the gaps are left out.
// Intervals do not overlap and stand in order.
func addrSpans(with ruleSet, what func(i int) *policy.What, v6 bool) []span {
	type edge struct {
		at          netip.Addr
		rule, delta int
	}
	var edges []edge
	for _, i := range with {
		for _, p := range disjoint(what(i).Addresses, v6) {
			edges = append(edges, edge{p.Addr(), i, 1}, edge{lastAddr(p).Next(), i, -1})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int {
		// An interval that ends with the last address of all has no next address: it sorts behind everything.
		switch {
		case a.at.IsValid() != b.at.IsValid():
			if a.at.IsValid() {
				return -1
			}
			return 1
		case !a.at.IsValid():
			return 0
		}
		return a.at.Compare(b.at)
	})
	open := openRules{counts: map[int]int{}}
	var out []span
	for n, e := range edges {
		open.change(e.rule, e.delta)
		if n+1 == len(edges) || edges[n+1].at == e.at || len(open.rules) == 0 {
			continue
		}
		s := span{first: e.at, rules: slices.Clone(open.rules)}
		if next := edges[n+1].at; next.IsValid() {
			s.last = next.Prev()
		} else {
			s.last = lastAddr(netip.PrefixFrom(e.at, 0).Masked())
		}
		out = append(out, s)
	}
	return out
}

// disjoint keeps the prefixes of one family that no other of the list contains.
func disjoint(prefixes []netip.Prefix, v6 bool) []netip.Prefix {
	var own []netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Unmap().Is6() == v6 {
			own = append(own, p.Masked())
		}
	}
	// A prefix stands right behind those that it lies in.
	slices.SortFunc(own, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	var out []netip.Prefix
	for _, p := range own {
		if len(out) == 0 || !out[len(out)-1].Contains(p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

// lastAddr is the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr()
	b := a.AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// portSpan is a closed interval of destination ports of one protocol with the rules that match all of it.
type portSpan struct {
	first, last uint16
	rules       ruleSet
}

// portSpans cuts the ports of a protocol into the elementary intervals of the rules' services; the gaps are left out.
func portSpans(with ruleSet, what func(i int) *policy.What, proto flow.Proto) []portSpan {
	type edge struct{ at, rule, delta int }
	var edges []edge
	for _, i := range with {
		for _, s := range what(i).Services {
			if !s.Proto.Matches(proto) {
				continue
			}
			first, end := int(s.First), int(s.Last)+1
			if s.First == 0 && s.Last == 0 {
				end = 1 << 16
			}
			edges = append(edges, edge{first, i, 1}, edge{end, i, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at - b.at })
	open := openRules{counts: map[int]int{}}
	var out []portSpan
	for n, e := range edges {
		open.change(e.rule, e.delta)
		if n+1 == len(edges) || edges[n+1].at == e.at || len(open.rules) == 0 {
			continue
		}
		out = append(out, portSpan{uint16(e.at), uint16(edges[n+1].at - 1), slices.Clone(open.rules)})
	}
	return out
}

// protocols lists the protocols that the rules' services tell apart: icmp stands for both. No service is of any protocol
// (see policy.Compile).
func protocols(with ruleSet, what func(i int) *policy.What) []flow.Proto {
	var out []flow.Proto
	for _, i := range with {
		for _, s := range what(i).Services {
			out = append(out, s.Proto)
			if s.Proto == flow.ProtoICMP {
				out = append(out, flow.ProtoICMPv6)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
