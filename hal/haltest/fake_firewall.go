package haltest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/trenza-router/trenza/hal"
)

// ourTable is the table that package hal speaks of.
const ourTable = "inet trenza"

// Load runs a ruleset text: tables with chains, sets, maps and counters, and the commands that add, flush, delete and destroy
// them. It refuses what does not parse, what refers to something that is not there, and what FailNext says.
func (f *Fake) Load(ctx context.Context, text string) error {
	return f.change(ctx, "Load", fmt.Sprintf("%d bytes", len(text)), func() error {
		next, err := f.try(text)
		if err != nil {
			return fmt.Errorf("load the ruleset: %w", err)
		}
		f.tables, f.loaded = next, text
		return nil
	})
}

// Check is Load without the commit.
func (f *Fake) Check(ctx context.Context, text string) error {
	err := f.enter(ctx, "Check", "")
	defer f.mu.Unlock()
	if err == nil {
		if _, err = f.try(text); err != nil {
			err = fmt.Errorf("check the ruleset: %w", err)
		}
	}
	return err
}

func (f *Fake) try(text string) (*ruleset, error) {
	next := f.tables.clone()
	return next, next.apply(text, f.now)
}

// Loaded is the text of the last Load that was not refused.
func (f *Fake) Loaded() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loaded
}

// RulesetText prints as `nft list ruleset` does, elements ordered by key and without the time they have left.
func (f *Fake) RulesetText() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tables.print(true)
}

// Nft runs a ruleset text as another process would, and announces it.
func (f *Fake) Nft(text string) error {
	f.mu.Lock()
	next, err := f.try(text)
	if err == nil {
		f.tables = next
	}
	f.mu.Unlock()
	if err == nil {
		f.announce(hal.Event{Kind: hal.FirewallChanged})
	}
	return err
}

// Objects lists the names in the table.
func (f *Fake) Objects(ctx context.Context) (hal.FirewallObjects, error) {
	err := f.enter(ctx, "Objects", "")
	defer f.mu.Unlock()
	var o hal.FirewallObjects
	t := f.tables.table(ourTable)
	if err != nil || t == nil {
		return o, err
	}
	for _, c := range t.chains {
		o.Chains = append(o.Chains, c.name)
	}
	for _, s := range t.sets {
		if s.isMap {
			o.Maps = append(o.Maps, s.name)
		} else {
			o.Sets = append(o.Sets, s.name)
		}
	}
	o.Counters = slices.Sorted(maps.Keys(t.counters))
	slices.Sort(o.Chains)
	slices.Sort(o.Sets)
	slices.Sort(o.Maps)
	return o, nil
}

// Fingerprint hashes the listing of the table without learned elements and counts.
func (f *Fake) Fingerprint(ctx context.Context) (string, error) {
	err := f.enter(ctx, "Fingerprint", "")
	defer f.mu.Unlock()
	t := f.tables.table(ourTable)
	if err != nil || t == nil {
		return "", err
	}
	// The order in which chains and sets were made means nothing.
	n := &ruleset{tables: []*nftTable{t}}
	n = n.clone()
	slices.SortFunc(n.tables[0].chains, func(a, b *nftChain) int { return cmp.Compare(a.name, b.name) })
	slices.SortFunc(n.tables[0].sets, func(a, b *nftSet) int { return cmp.Compare(a.name, b.name) })
	sum := sha256.Sum256([]byte(n.print(false)))
	return hex.EncodeToString(sum[:16]), nil
}

// Counters reads the named counters.
func (f *Fake) Counters(ctx context.Context) (map[string]hal.Counter, error) {
	err := f.enter(ctx, "Counters", "")
	defer f.mu.Unlock()
	counters := make(map[string]hal.Counter)
	if t := f.tables.table(ourTable); t != nil {
		maps.Copy(counters, t.counters)
	}
	return counters, err
}

// SetCounter sets what a named counter has counted.
func (f *Fake) SetCounter(name string, c hal.Counter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tables.table(ourTable); t != nil {
		t.counters[name] = c
	}
}

// Elements reads a set or map, ordered by the text of the key.
func (f *Fake) Elements(ctx context.Context, set string) ([]hal.Element, error) {
	err := f.enter(ctx, "Elements", "")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s := f.tables.table(ourTable).set(set)
	if s == nil {
		return nil, fmt.Errorf("read elements of %s: %w", set, hal.ErrNotFound)
	}
	l := make([]hal.Element, 0, len(s.elements))
	for _, e := range s.elements {
		if !e.known {
			return nil, fmt.Errorf("read elements of %s: %s: %w", set, e.text, hal.ErrUnsupported)
		}
		v := e.value
		v.Key = slices.Clone(v.Key)
		if at, ok := s.expires[e.key]; ok {
			v.Expires = at.Sub(f.now)
		}
		l = append(l, v)
	}
	return l, nil
}

// SetElements adds or replaces elements, all or none.
func (f *Fake) SetElements(ctx context.Context, set string, elems []hal.Element) error {
	return f.editElements(ctx, "SetElements", set, elems, func(s *nftSet, all []nftElement) error {
		added := make(map[string]bool)
		for _, e := range all {
			if _, ok := s.find(e.key); !ok {
				added[e.key] = true
			}
		}
		if n := len(s.elements) + len(added); s.size > 0 && n > s.size {
			return fmt.Errorf("set %d elements of %s: it is full, at %d elements: %w", len(all), set, s.size, hal.ErrRefused)
		}
		s.putAll(all, f.now)
		return nil
	})
}

// DeleteElements removes elements by key.
func (f *Fake) DeleteElements(ctx context.Context, set string, elems []hal.Element) error {
	return f.editElements(ctx, "DeleteElements", set, elems, func(s *nftSet, all []nftElement) error {
		gone := make(map[string]bool, len(all))
		for _, e := range all {
			gone[e.key] = true
			delete(s.expires, e.key)
		}
		s.elements = slices.DeleteFunc(s.elements, func(e nftElement) bool { return gone[e.key] })
		return nil
	})
}

func (f *Fake) editElements(ctx context.Context, method, set string, elems []hal.Element, edit func(*nftSet, []nftElement) error) error {
	if len(elems) == 0 {
		return ctx.Err()
	}
	call := set
	for i, e := range elems {
		if i == 3 {
			call += fmt.Sprintf(" and %d more", len(elems)-i)
			break
		}
		call += " " + formatKey(e.Key)
	}
	return f.change(ctx, method, call, func() error {
		s := f.tables.table(ourTable).set(set)
		if s == nil {
			return fmt.Errorf("%s %s: %w", method, set, hal.ErrNotFound)
		}
		all := make([]nftElement, 0, len(elems))
		for _, e := range elems {
			if err := s.fits(e); err != nil {
				return fmt.Errorf("%s %s: %w", method, set, err)
			}
			e.Key, e.Expires = slices.Clone(e.Key), 0
			all = append(all, knownElement(e))
		}
		return edit(s, all)
	})
}
