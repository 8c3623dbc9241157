package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// assemble makes the indexes. The applications are sorted by id here; nothing may be claimed twice.
func assemble(version uint64, categories []Category, apps []App) (*Catalog, error) {
	if len(apps) > maxApps {
		return nil, fmt.Errorf("%d applications are too many, at most %d", len(apps), maxApps)
	}
	slices.SortFunc(apps, func(x, y App) int { return cmp.Compare(x.ID, y.ID) })
	c := &Catalog{version: version, categories: categories, apps: apps, protocols: map[string]int{}, prefixes: map[netip.Prefix]int{}}
	total := 0
	for _, a := range apps {
		total += len(a.Domains)
	}
	domains, owner := make([]Domain, 0, total), make([]uint16, 0, total)
	var errs []error
	for i := range apps {
		a := &apps[i]
		if i > 0 && apps[i-1].ID == a.ID {
			errs = append(errs, fmt.Errorf("application %s is there twice", a.ID))
		}
		if !c.HasCategory(a.Category) {
			errs = append(errs, fmt.Errorf("application %s: category %q is not known", a.ID, a.Category))
		}
		from := len(domains)
		domains = append(domains, a.Domains...)
		a.Domains = domains[from:len(domains):len(domains)]
		for range a.Domains {
			owner = append(owner, uint16(i))
		}
		for _, p := range a.Protocols {
			errs = append(errs, enter(c.protocols, p, "protocol "+p, i))
		}
		for _, p := range a.Prefixes {
			errs = append(errs, enter(c.prefixes, p, "address range "+p.String(), i))
			if l := (prefixLength{p.Addr().Is4(), p.Bits()}); !slices.Contains(c.lengths, l) {
				c.lengths = append(c.lengths, l)
			}
		}
		for _, p := range a.Ports {
			c.ports = append(c.ports, portEntry{p, i})
		}
	}
	slices.SortFunc(c.lengths, func(x, y prefixLength) int { return y.bits - x.bits })
	slices.SortFunc(c.ports, func(x, y portEntry) int { return cmp.Or(cmp.Compare(x.Proto, y.Proto), cmp.Compare(x.First, y.First)) })
	for i := 1; i < len(c.ports); i++ {
		if c.ports[i-1].overlaps(c.ports[i].Ports) {
			errs = append(errs, fmt.Errorf("port %d of %s is claimed twice", c.ports[i].First, c.ports[i].Proto))
		}
	}
	var err error
	if c.domains, err = newTable(domains, owner); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func enter[K comparable](index map[K]int, k K, what string, app int) error {
	if _, taken := index[k]; taken {
		return fmt.Errorf("%s is claimed twice", what)
	}
	index[k] = app
	return nil
}

// overlaps tells whether two ranges share a port.
func (p Ports) overlaps(o Ports) bool {
	return p.Proto == o.Proto && p.First <= o.Last && o.First <= p.Last
}
