package policy

import (
	"net/netip"
	"slices"
)

// whoCovers tells whether rule a applies to every device that rule b applies to.
func (c *Compiled) whoCovers(a, b *compiledRule) bool {
	if a.Who.Router || b.Who.Router {
		return a.Who.Router && b.Who.Router
	}
	if a.Tier == User && (b.Tier != User || a.Owner != b.Owner) {
		return false
	}
	if whoSpecificity(a.Who) == 0 {
		return true
	}
	if whoSpecificity(b.Who) == 0 {
		return b.Tier == User && c.whoHasPerson(a.Who, b.Owner)
	}
	return c.whoHasAll(a.Who, b.Who.Devices, b.Who.People) &&
		!slices.ContainsFunc(b.Who.Groups, func(id string) bool {
			return !slices.Contains(a.Who.Groups, id) && !c.whoHasGroup(a.Who, id)
		})
}

func (c *Compiled) whoHasGroup(w Who, id string) bool {
	for _, g := range c.policy.Groups {
		if g.ID == id {
			return c.whoHasAll(w, g.Devices, g.People)
		}
	}
	return false
}

func (c *Compiled) whoHasAll(w Who, devices, people []string) bool {
	return !slices.ContainsFunc(devices, func(id string) bool { return !c.whoHasDevice(w, id) }) &&
		!slices.ContainsFunc(people, func(id string) bool { return !c.whoHasPerson(w, id) })
}

func (c *Compiled) whoHasDevice(w Who, id string) bool {
	s := c.subjects[id]
	return slices.Contains(w.Devices, id) || s.Person != "" && slices.Contains(w.People, s.Person) ||
		slices.ContainsFunc(w.Groups, func(g string) bool { return slices.Contains(s.Groups, g) })
}

func (c *Compiled) whoHasPerson(w Who, id string) bool {
	if slices.Contains(w.People, id) {
		return true
	}
	return slices.ContainsFunc(c.policy.Groups, func(g Group) bool {
		return slices.Contains(w.Groups, g.ID) && slices.Contains(g.People, id)
	})
}

// whoMeets tells whether some device is meant by both rules. Of rules for everyone it is assumed.
func (c *Compiled) whoMeets(a, b *compiledRule) bool {
	if a.Who.Router || b.Who.Router {
		return a.Who.Router && b.Who.Router
	}
	if a.Tier == Main && whoSpecificity(a.Who) == 0 || b.Tier == Main && whoSpecificity(b.Who) == 0 {
		return true
	}
	for id, s := range c.subjects {
		if c.applies(a, id, s) && c.applies(b, id, s) {
			return true
		}
	}
	return false
}

func (c *Compiled) applies(r *compiledRule, id string, s Subject) bool {
	if r.Tier == User && r.Owner != s.Person {
		return false
	}
	return whoSpecificity(r.Who) == 0 || c.whoHasDevice(r.Who, id)
}

// whatCovers tells whether a selects every flow that b selects, as far as that can be told without looking at flows.
func (c *Compiled) whatCovers(a, b *compiledRule) bool {
	return (!a.match.byName || b.match.byName && c.namesCover(&a.What, &b.What)) &&
		covers(a.What.Addresses, b.What.Addresses, prefixCovers) &&
		covers(a.What.Services, b.What.Services, serviceCovers) &&
		(a.match.dscp == 0 || b.match.dscp != 0 && b.match.dscp&^a.match.dscp == 0)
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

// whatMeets tells whether the two rules can select one flow. An application, a category and a domain can always be
// one flow; two different applications cannot.
func whatMeets(a, b *What) bool {
	return namesMeet(a, b) &&
		meet(a.Addresses, b.Addresses, netip.Prefix.Overlaps) &&
		meet(a.Services, b.Services, func(x, y Service) bool {
			every := x.First == 0 && x.Last == 0 || y.First == 0 && y.Last == 0
			return (x.Proto.Matches(y.Proto) || y.Proto.Matches(x.Proto)) && (every || x.First <= y.Last && y.First <= x.Last)
		}) &&
		meet(a.DSCP, b.DSCP, func(x, y uint8) bool { return x == y })
}

func meet[T any](a, b []T, one func(a, b T) bool) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(x T) bool {
		return slices.ContainsFunc(b, func(y T) bool { return one(x, y) })
	})
}

func namesMeet(a, b *What) bool {
	kinds := func(w *What) (apps, categories, domains bool) {
		return len(w.Apps) > 0, len(w.Categories) > 0, len(w.Domains) > 0
	}
	aApps, aCategories, aDomains := kinds(a)
	bApps, bCategories, bDomains := kinds(b)
	if !aApps && !aCategories && !aDomains || !bApps && !bCategories && !bDomains {
		return true
	}
	if aApps && (bCategories || bDomains) || aCategories && (bApps || bDomains) || aDomains && (bApps || bCategories) {
		return true
	}
	return aApps && bApps && meet(a.Apps, b.Apps, func(x, y string) bool { return x == y }) ||
		aCategories && bCategories && meet(a.Categories, b.Categories, func(x, y string) bool { return x == y }) ||
		aDomains && bDomains && meet(a.Domains, b.Domains, func(x, y Domain) bool {
			return domainCovers(x, y) || domainCovers(y, x)
		})
}
