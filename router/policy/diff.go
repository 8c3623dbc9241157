package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ChangeKind says what became of an entry of the policy.
type ChangeKind uint8

const (
	Added ChangeKind = iota
	Removed
	Changed
)

func (k ChangeKind) String() string { return nameOf([]string{"added", "removed", "changed"}, uint8(k)) }

// Change is one difference between two policies.
type Change struct {
	Kind   ChangeKind
	Entry  string // "time_zone", "person", "device", "group" or "rule"
	ID     string // "" for the time zone
	Name   string // the newer one
	Fields []FieldChange
}

// FieldChange is a field, named as in YAML ("steer.use"), with its values as YAML; "" is absent. A rule's field "tier"
// is "house" or "personal of" and the owner.
type FieldChange struct {
	Field, Before, After string
}

func (c Change) String() string {
	lines := []string{strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Kind, c.Entry, c.ID))}
	for _, f := range c.Fields {
		switch {
		case f.Before == "":
			lines = append(lines, fmt.Sprintf("  + %s: %s", f.Field, f.After))
		case f.After == "":
			lines = append(lines, fmt.Sprintf("  - %s: %s", f.Field, f.Before))
		default:
			lines = append(lines, fmt.Sprintf("  ~ %s: %s -> %s", f.Field, f.Before, f.After))
		}
	}
	return strings.Join(lines, "\n")
}

// Diff lists what must be added, removed and changed to get from a to b: the time zone, then people, devices, groups and
// rules, each by id. The order in which entries were written is no difference.
func Diff(a, b Policy) []Change {
	zone := func(p Policy) []diffEntry {
		if p.TimeZone == "" {
			return nil
		}
		return []diffEntry{{fields: mappingValue{{"time_zone", scalarValue(quote(p.TimeZone))}}}}
	}
	var out []Change
	out = diffEntries(out, "time_zone", zone(a), zone(b))
	out = diffEntries(out, "person", diffList(a.People, personFields), diffList(b.People, personFields))
	out = diffEntries(out, "device", diffList(a.Devices, deviceFields), diffList(b.Devices, deviceFields))
	out = diffEntries(out, "group", diffList(a.Groups, groupFields), diffList(b.Groups, groupFields))
	return diffEntries(out, "rule", diffRules(a), diffRules(b))
}

// diffEntry is an entry of a policy as flat fields.
type diffEntry struct {
	id, name string
	fields   mappingValue
}

func newDiffEntry(m mappingValue) diffEntry {
	e := diffEntry{}
	for _, f := range flatten("", m) {
		switch f.key {
		case "id":
			e.id = f.value.inline()
			continue
		case "name":
			e.name = f.value.inline()
		}
		e.fields = append(e.fields, f)
	}
	return e
}

// flatten joins the keys of nested mappings with dots. Shares of a balance stay one value.
func flatten(prefix string, m mappingValue) (out mappingValue) {
	for _, f := range m {
		if inner, ok := f.value.(mappingValue); ok && prefix+f.key != "steer.use" {
			out = append(out, flatten(prefix+f.key+".", inner)...)
			continue
		}
		out = append(out, fieldValue{prefix + f.key, f.value})
	}
	return out
}

func diffList[T any](list []T, fields func(T) mappingValue) []diffEntry {
	out := make([]diffEntry, len(list))
	for i, v := range list {
		out[i] = newDiffEntry(fields(v))
	}
	return out
}

func diffRules(p Policy) []diffEntry {
	return diffList(slices.Concat(p.Main, p.User), func(r Rule) mappingValue {
		tier := "house"
		if r.Tier == User {
			tier = "personal of " + r.Owner
		}
		return append(ruleFields(r), fieldValue{"tier", scalarValue(tier)})
	})
}

func diffEntries(out []Change, entry string, before, after []diffEntry) []Change {
	old := make(map[string]diffEntry, len(before))
	for _, e := range before {
		old[e.id] = e
	}
	var changes []Change
	for _, e := range after {
		was, ok := old[e.id]
		delete(old, e.id)
		kind := Changed
		if !ok {
			kind = Added
		}
		if fields := diffFields(was.fields, e.fields); len(fields) > 0 || kind == Added {
			changes = append(changes, Change{kind, entry, e.id, e.name, fields})
		}
	}
	for _, e := range old {
		changes = append(changes, Change{Removed, entry, e.id, e.name, diffFields(e.fields, nil)})
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.ID, b.ID) })
	return append(out, changes...)
}

// diffFields compares two flat mappings: first the fields of after in their order, then what is gone.
func diffFields(before, after mappingValue) []FieldChange {
	text := func(m mappingValue, key string) string {
		for _, f := range m {
			if f.key == key {
				return f.value.inline()
			}
		}
		return ""
	}
	var out []FieldChange
	for _, f := range after {
		if was, is := text(before, f.key), f.value.inline(); was != is {
			out = append(out, FieldChange{f.key, was, is})
		}
	}
	for _, f := range before {
		if text(after, f.key) == "" {
			out = append(out, FieldChange{f.key, f.value.inline(), ""})
		}
	}
	return out
}
