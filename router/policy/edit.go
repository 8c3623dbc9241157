package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/token"
)

// ParseRule reads one rule in the YAML form of docs/POLICY.md, or in JSON, which is YAML, too. owner is the person whose rule it is;
// "" for one of the house. It is checked by itself; what it must hold to among others, Compile checks. The error is of type Problems.
func ParseRule(data []byte, owner string) (Rule, error) {
	d := document{positions: map[string]*token.Position{}, spoiled: map[string]bool{}}
	body := d.read(data)
	r := Rule{Tier: Main, Owner: owner}
	if owner != "" {
		r.Tier = User
	}
	switch {
	case body == nil && len(d.problems) == 0:
		return Rule{}, Problems{{Text: "there is no rule"}}
	case body != nil:
		r = d.rule(body, "rule", r)
	}
	if len(d.problems) > 0 {
		return Rule{}, d.problems
	}
	return r, nil
}

// ErrNoEntry: an edit is about a rule, person, device or group that the policy does not have.
var ErrNoEntry = errors.New("the policy has no such entry")

// Editor changes a copy of a policy, entry by entry. Nothing is checked as a whole before Compile.
type Editor struct{ p Policy }

// Edit begins to change a copy of p.
func Edit(p Policy) *Editor { return &Editor{clonePolicy(p)} }

// Policy is what has become of the copy.
func (e *Editor) Policy() Policy { return e.p }

// PutRule adds a rule, or replaces the one with its id in its place. A rule that changes its tier or owner moves.
func (e *Editor) PutRule(r Rule) {
	list, other := &e.p.Main, &e.p.User
	if r.Tier == User {
		list, other = other, list
	}
	same := func(o Rule) bool { return o.ID == r.ID }
	*other = slices.DeleteFunc(*other, same)
	if i := slices.IndexFunc(*list, same); i >= 0 {
		(*list)[i] = cloneRule(r)
		return
	}
	*list = append(*list, cloneRule(r))
}

// Rule finds a rule of either tier.
func (e *Editor) Rule(id string) (Rule, bool) {
	for _, list := range [][]Rule{e.p.Main, e.p.User} {
		if i := slices.IndexFunc(list, func(r Rule) bool { return r.ID == id }); i >= 0 {
			return list[i], true
		}
	}
	return Rule{}, false
}

// DeleteRule takes a rule away.
func (e *Editor) DeleteRule(id string) error {
	if _, ok := e.Rule(id); !ok {
		return fmt.Errorf("rule %q: %w", id, ErrNoEntry)
	}
	gone := func(r Rule) bool { return r.ID == id }
	e.p.Main, e.p.User = slices.DeleteFunc(e.p.Main, gone), slices.DeleteFunc(e.p.User, gone)
	return nil
}

// Order gives rules priorities so that they are looked at in the order given. They must be of one tier, owner and force, since only
// among those the order says anything. The spread leaves rules that are not listed where they are, as far as that can be.
func (e *Editor) Order(ids []string) error {
	var first Rule
	for i, id := range ids {
		r, ok := e.Rule(id)
		switch {
		case !ok:
			return fmt.Errorf("rule %q: %w", id, ErrNoEntry)
		case i == 0:
			first = r
		case r.Tier != first.Tier || r.Owner != first.Owner || r.Force != first.Force:
			return fmt.Errorf("rules %q and %q are not of one kind: only rules of the same person and force have an order among each other", first.ID, id)
		case slices.Contains(ids[:i], id):
			return fmt.Errorf("rule %q is listed twice", id)
		}
	}
	// The highest priority that any of them had stays the top.
	top := -maxPriority
	for _, id := range ids {
		r, _ := e.Rule(id)
		top = max(top, r.Priority)
	}
	if top = min(max(top, len(ids)-1-maxPriority), maxPriority); len(ids) > 2*maxPriority {
		return fmt.Errorf("%d rules are too many to be put in an order", len(ids))
	}
	for i, id := range ids {
		r, _ := e.Rule(id)
		r.Priority = top - i
		e.PutRule(r)
	}
	return nil
}

// PutPerson adds a person or renames them.
func (e *Editor) PutPerson(p Person) { put(&e.p.People, p, func(p Person) string { return p.ID }) }

// PutDevice names a device, or changes its name, owner and addresses.
func (e *Editor) PutDevice(d Device) { put(&e.p.Devices, d, func(d Device) string { return d.ID }) }

// PutGroup adds a group or changes it.
func (e *Editor) PutGroup(g Group) { put(&e.p.Groups, g, func(g Group) string { return g.ID }) }

func put[T any](list *[]T, v T, id func(T) string) {
	if i := slices.IndexFunc(*list, func(o T) bool { return id(o) == id(v) }); i >= 0 {
		(*list)[i] = v
		return
	}
	*list = append(*list, v)
}

// Device finds a device that the policy names.
func (e *Editor) Device(id string) (Device, bool) {
	i := slices.IndexFunc(e.p.Devices, func(d Device) bool { return d.ID == id })
	if i < 0 {
		return Device{}, false
	}
	return e.p.Devices[i], true
}

// DeleteEntry takes a "person", "device" or "group" away. What still names it is told by Compile.
func (e *Editor) DeleteEntry(kind, id string) error {
	n := len(e.p.People) + len(e.p.Devices) + len(e.p.Groups)
	switch kind {
	case "person":
		e.p.People = slices.DeleteFunc(e.p.People, func(p Person) bool { return p.ID == id })
	case "device":
		e.p.Devices = slices.DeleteFunc(e.p.Devices, func(d Device) bool { return d.ID == id })
	case "group":
		e.p.Groups = slices.DeleteFunc(e.p.Groups, func(g Group) bool { return g.ID == id })
	}
	if len(e.p.People)+len(e.p.Devices)+len(e.p.Groups) == n {
		return fmt.Errorf("%s %q: %w", kind, id, ErrNoEntry)
	}
	return nil
}

// Limit is a rule of the house that stands above a person's rule: it decides or bounds where both apply.
type Limit struct {
	Rule   *Rule // of the house, must or bound; shared: do not change it
	Aspect Aspect
	Locked bool // it decides: the person's rule has no effect wherever this one applies
}

// Limits lists what stands above the rule with an id, in canonical order.
func (c *Compiled) Limits(id string) []Limit {
	b := slices.IndexFunc(c.rules, func(r compiledRule) bool { return r.ID == id })
	if b < 0 || c.rules[b].Tier != User {
		return nil
	}
	f := finder{Compiled: c, reach: c.reaches()}
	var out []Limit
	for a := range c.rules {
		r := &c.rules[a]
		if r.Force != Must && r.Force != Bound || !f.meets(a, b) {
			continue
		}
		for aspect := AspectSteer; aspect < AspectLog; aspect++ {
			if r.says(aspect) && c.rules[b].says(aspect) {
				out = append(out, Limit{Rule: r.Rule, Aspect: aspect, Locked: r.Force == Must})
			}
		}
	}
	return out
}
