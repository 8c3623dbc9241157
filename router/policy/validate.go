package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trenza-router/trenza/router/flow"
)

const (
	maxIDLength   = 63
	maxNameLength = 120 // characters
)

// validator checks a policy and collects what is wrong. Paths are "people/0/name", "devices/1/macs/0", "main/3/steer/use".
type validator struct {
	p        *Policy
	known    Known
	problems Problems
	warnings []Warning
	zone     *time.Location
	links    []string // distinct names in order of appearance

	people  map[string]bool
	devices map[string]*Device
	groups  map[string]*Group
	rules   map[string]bool
}

func (v *validator) bad(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{path: path, Text: fmt.Sprintf(format, args...)})
}

func (v *validator) check() {
	v.people, v.devices, v.groups = map[string]bool{}, map[string]*Device{}, map[string]*Group{}
	v.rules = map[string]bool{}
	v.zone = time.Local
	if v.p.TimeZone != "" {
		zone, err := time.LoadLocation(v.p.TimeZone)
		if err != nil || v.p.TimeZone == "Local" {
			v.bad("time_zone", "time zone %q is not known; use an IANA name such as Europe/Madrid", v.p.TimeZone)
		} else {
			v.zone = zone
		}
	}
	v.checkPeople()
	v.checkDevices()
	v.checkGroups()
	for i := range v.p.Main {
		v.checkRule(fmt.Sprintf("main/%d", i), &v.p.Main[i], Main)
	}
	for i := range v.p.User {
		v.checkRule(fmt.Sprintf("user/%d", i), &v.p.User[i], User)
	}
	all := slices.Clone(v.known.Links)
	for _, l := range v.links {
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	if len(all) > maxLinks {
		v.bad("", "%d different links are named; at most %d are possible", len(all), maxLinks)
	}
}

// entry checks the id and name of a person, device or group.
func (v *validator) entry(path, kind, id, name string, taken bool) {
	switch {
	case !isSlug(id):
		v.bad(path+"/id", "%s id %q: use 1 to %d of a-z, 0-9 and '-', first a letter or digit", kind, id, maxIDLength)
	case taken:
		v.bad(path+"/id", "%s %s is there twice; give each its own id", kind, id)
	}
	v.name(path+"/name", name)
}

func (v *validator) name(path, name string) {
	if utf8.RuneCountInString(name) > maxNameLength || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		v.bad(path, "name %.40q: use at most %d printable characters on one line", name, maxNameLength)
	}
}

func (v *validator) checkPeople() {
	for i, p := range v.p.People {
		v.entry(fmt.Sprintf("people/%d", i), "person", p.ID, p.Name, v.people[p.ID])
		v.people[p.ID] = true
	}
}

func (v *validator) checkDevices() {
	macs, addrs := map[flow.MAC]string{}, map[netip.Addr]string{}
	for i := range v.p.Devices {
		d := &v.p.Devices[i]
		path := fmt.Sprintf("devices/%d", i)
		v.entry(path, "device", d.ID, d.Name, v.devices[d.ID] != nil)
		v.devices[d.ID] = d
		if d.Owner != "" && !v.people[d.Owner] {
			v.bad(path+"/owner", "device %s: owner %q is not among people%s", d.ID, d.Owner, didYouMean(d.Owner, v.peopleIDs()))
		}
		for n, m := range d.MACs {
			at := fmt.Sprintf("%s/macs/%d", path, n)
			switch {
			case m.IsZero() || m[0]&1 != 0:
				v.bad(at, "device %s: %s is not the address of one device", d.ID, m)
			case macs[m] != "":
				v.bad(at, "device %s: device %s has the address %s already", d.ID, macs[m], m)
			}
			macs[m] = d.ID
		}
		for n, a := range d.Addrs {
			at := fmt.Sprintf("%s/addresses/%d", path, n)
			switch {
			case !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast():
				v.bad(at, "device %s: %s is not the address of one device", d.ID, a)
			case addrs[a] != "":
				v.bad(at, "device %s: device %s has the address %s already", d.ID, addrs[a], a)
			}
			addrs[a] = d.ID
		}
	}
}

func (v *validator) checkGroups() {
	for i := range v.p.Groups {
		g := &v.p.Groups[i]
		path := fmt.Sprintf("groups/%d", i)
		v.entry(path, "group", g.ID, g.Name, v.groups[g.ID] != nil)
		v.groups[g.ID] = g
		complain := func(field string, n int, text string) {
			v.bad(fmt.Sprintf("%s/%s/%d", path, field, n), "group %s: %s", g.ID, text)
		}
		v.checkRefs("devices", g.Devices, complain)
		v.checkRefs("people", g.People, complain)
	}
}

// checkRefs checks a list of ids of people, devices or groups: they exist and none is there twice.
func (v *validator) checkRefs(field string, ids []string, complain func(field string, n int, text string)) {
	known := func(id string) bool { return v.people[id] }
	all := v.peopleIDs
	switch field {
	case "devices":
		known = func(id string) bool { return v.devices[id] != nil }
		all = func() []string { return slices.Sorted(maps.Keys(v.devices)) }
	case "groups":
		known = func(id string) bool { return v.groups[id] != nil }
		all = func() []string { return slices.Sorted(maps.Keys(v.groups)) }
	}
	for n, id := range ids {
		if !known(id) {
			complain(field, n, fmt.Sprintf("%q is not among %s%s", id, field, didYouMean(id, all())))
		}
	}
	twice(ids, func(n int) { complain(field, n, fmt.Sprintf("%q is there twice", ids[n])) })
}

// twice calls f for each element that an earlier one equals.
func twice[T comparable](list []T, f func(n int)) {
	if len(list) <= few {
		for n, v := range list {
			if slices.Contains(list[:n], v) {
				f(n)
			}
		}
		return
	}
	seen := make(map[T]bool, len(list))
	for n, v := range list {
		if seen[v] {
			f(n)
		}
		seen[v] = true
	}
}

func (v *validator) peopleIDs() []string { return slices.Sorted(maps.Keys(v.people)) }

// isSlug tells whether an id has the form that all ids of a policy have.
func isSlug(id string) bool {
	if id == "" || len(id) > maxIDLength || id[0] == '-' {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// isWord tells whether a name of a link, application or category can be one: printable ASCII without spaces and
// without what YAML or nft would take for punctuation.
func isWord(s string) bool {
	if s == "" || len(s) > maxIDLength {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}
