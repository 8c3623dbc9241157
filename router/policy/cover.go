package policy

import (
	"net/netip"
	"slices"
)

// reach is which devices a rule applies to, as the policy knows them.
type reach struct {
	router  bool
	every   bool     // every device of the LAN, also one that the policy does not name
	devices []uint64 // bit set of Policy.Devices
}

// reaches works out the reach of each rule.
func (c *Compiled) reaches() []reach {
	words := (len(c.policy.Devices) + 63) / 64
	out := make([]reach, len(c.rules))
	for i := range out {
		out[i].devices = make([]uint64, words)
		out[i].router = c.rules[i].Who.Router
	}
	for _, i := range c.everyone {
		out[i].every = true
	}
	for n, d := range c.policy.Devices {
		s := c.subjects[d.ID]
		lists := [][]int32{c.byDevice[d.ID]}
		if s.Person != "" {
			lists = append(lists, c.byPerson[s.Person])
		}
		for _, g := range s.Groups {
			lists = append(lists, c.byGroup[g])
		}
		for _, list := range lists {
			for _, i := range list {
				if r := &c.rules[i]; r.Tier != User || r.Owner == s.Person {
					out[i].devices[n/64] |= 1 << (n % 64)
				}
			}
		}
	}
	return out
}

// covers tells whether a applies wherever b does.
func (a reach) covers(b reach) bool {
	if a.router || b.router || a.every {
		return a.router == b.router
	}
	if b.every {
		return false
	}
	for n, word := range b.devices {
		if word&^a.devices[n] != 0 {
			return false
		}
	}
	return true
}

// meets tells whether some device is meant by both.
func (a reach) meets(b reach) bool {
	if a.router || b.router || a.every || b.every {
		return a.router == b.router
	}
	for n, word := range b.devices {
		if word&a.devices[n] != 0 {
			return true
		}
	}
	return false
}

// whatCovers tells whether a selects every flow that b selects, as far as that can be told without looking at flows.
func (c *Compiled) whatCovers(a, b *compiledRule) bool {
	return (!a.match.byName || b.match.byName && c.namesCover(&a.What, &b.What)) &&
		covers(a.What.Addresses, b.What.Addresses, prefixCovers) &&
		covers(a.What.Services, b.What.Services, serviceCovers) &&
		(a.match.dscp == 0 || b.match.dscp != 0 && b.match.dscp&^a.match.dscp == 0) &&
		contentCovers(&a.What, &b.What)
}

// covers tells whether a dimension of a covers that of b: it is empty, or each selector of b lies in one of a.
func covers[T any](a, b []T, one func(a, b T) bool) bool {
	if len(a) == 0 {
		return true
	}
	return len(b) > 0 && !slices.ContainsFunc(b, func(y T) bool {
		return !slices.ContainsFunc(a, func(x T) bool { return one(x, y) })
	})
}

func (c *Compiled) namesCover(a, b *What) bool {
	for _, app := range b.Apps {
		if slices.Contains(a.Apps, app) {
			continue
		}
		if c.known.Categories == nil {
			return false
		}
		if category, ok := c.known.Categories(app); !ok || !slices.Contains(a.Categories, category) {
			return false
		}
	}
	for _, category := range b.Categories {
		if !slices.Contains(a.Categories, category) {
			return false
		}
	}
	return len(b.Domains) == 0 || len(a.Domains) > 0 && covers(a.Domains, b.Domains, domainCovers)
}

func domainCovers(a, b Domain) bool { return a.Matches(b.Name) && (!a.Exact || b.Exact) }

func prefixCovers(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }

func serviceCovers(a, b Service) bool {
	if !a.Proto.Matches(b.Proto) {
		return false
	}
	return a.First == 0 && a.Last == 0 || (b.First != 0 || b.Last != 0) && a.First <= b.First && b.Last <= a.Last
}

// whatMeets tells whether the two rules can select one flow, as far as is known: an application or category and a
// domain may always be one flow.
func (c *Compiled) whatMeets(a, b *What) bool {
	return c.namesMeet(a, b) &&
		meet(a.Addresses, b.Addresses, netip.Prefix.Overlaps) &&
		meet(a.Services, b.Services, func(x, y Service) bool {
			every := x.First == 0 && x.Last == 0 || y.First == 0 && y.Last == 0
			return (x.Proto.Matches(y.Proto) || y.Proto.Matches(x.Proto)) && (every || x.First <= y.Last && y.First <= x.Last)
		}) &&
		meet(a.DSCP, b.DSCP, func(x, y uint8) bool { return x == y })
}

func meet[T any](a, b []T, one func(a, b T) bool) bool {
	return len(a) == 0 || len(b) == 0 || some(a, b, one)
}

func (c *Compiled) namesMeet(a, b *What) bool {
	if !named(a) || !named(b) {
		return true
	}
	equal := func(x, y string) bool { return x == y }
	return some(a.Apps, b.Apps, equal) ||
		some(a.Categories, b.Categories, equal) ||
		some(a.Apps, b.Categories, c.mayBeOf) ||
		some(b.Apps, a.Categories, c.mayBeOf) ||
		len(a.Domains) > 0 && len(b.Apps)+len(b.Categories) > 0 ||
		len(b.Domains) > 0 && len(a.Apps)+len(a.Categories) > 0 ||
		some(a.Domains, b.Domains, func(x, y Domain) bool { return domainCovers(x, y) || domainCovers(y, x) })
}

func named(w *What) bool { return len(w.Apps)+len(w.Categories)+len(w.Domains) > 0 }

// mayBeOf tells whether an application is of a category, or may be for all that is known.
func (c *Compiled) mayBeOf(app, category string) bool {
	if c.known.Categories == nil {
		return true
	}
	of, ok := c.known.Categories(app)
	return ok && of == category
}

// some tells whether a pair of elements satisfies one.
func some[T, U any](a []T, b []U, one func(a T, b U) bool) bool {
	return slices.ContainsFunc(a, func(x T) bool {
		return slices.ContainsFunc(b, func(y U) bool { return one(x, y) })
	})
}
