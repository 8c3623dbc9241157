package classify

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// ClassInfo is what a name class stands for.
type ClassInfo struct {
	Class    flow.NameClass
	App      string          // "" for hosts without an application
	Category string          // of the application
	Host     string          // a host of this class
	Domains  []policy.Domain // the policy's selectors that match it, sorted
}

// Interner numbers the kinds of host that a policy can tell apart: an application together with the domain selectors
// that match. Class 0 is "no application, no selector". A class keeps its number for the life of the Interner.
type Interner struct {
	catalog *catalog.Catalog

	mu        sync.RWMutex
	selectors map[string]selected // by domain name
	classes   []ClassInfo         // by number
	byKey     map[string]flow.NameClass
	live      []bool // by number: can occur with the present selectors
}

// selected tells in which forms a domain is selected.
type selected struct{ suffix, exact bool }

// NewInterner numbers all applications of the catalogue, by id, from 1.
func NewInterner(c *catalog.Catalog) *Interner {
	in := &Interner{catalog: c, byKey: map[string]flow.NameClass{}}
	in.intern("", "", nil)
	in.SetSelectors(nil)
	return in
}

// maxClass is the highest number; a catalogue and a policy that need more share class 0.
const maxClass = 1<<16 - 1

// Intern returns the class of a host in the form of flow.CleanHost. isNew tells that the number did not exist before: then the
// plan does not know it yet. After SetSelectors that does not happen, for all classes a host can have are numbered there.
func (in *Interner) Intern(host string) (class flow.NameClass, isNew bool) {
	app, domains, class, ok := in.find(host)
	if ok {
		return class, false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.intern(app, host, domains)
}

// find is the common path: a class that exists.
func (in *Interner) find(host string) (app string, domains []policy.Domain, class flow.NameClass, ok bool) {
	app = in.catalog.AppOf(host)
	in.mu.RLock()
	defer in.mu.RUnlock()
	domains = in.match(host)
	class, ok = in.byKey[classKey(app, domains)]
	return app, domains, class, ok && in.live[class]
}

// match lists the selectors that match a host, sorted.
func (in *Interner) match(host string) []policy.Domain {
	var found []policy.Domain
	for name := host; len(in.selectors) > 0; {
		if s, ok := in.selectors[name]; ok {
			if s.exact && name == host {
				found = append(found, policy.Domain{Name: name, Exact: true})
			}
			if s.suffix {
				found = append(found, policy.Domain{Name: name})
			}
		}
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = rest
	}
	slices.SortFunc(found, compareDomains)
	return found
}

func compareDomains(a, b policy.Domain) int {
	exact := func(d policy.Domain) int {
		if d.Exact {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(exact(a), exact(b)))
}

func classKey(app string, domains []policy.Domain) string {
	if len(domains) == 0 {
		return app
	}
	var b strings.Builder
	b.WriteString(app)
	for _, d := range domains {
		b.WriteByte(' ')
		if d.Exact {
			b.WriteByte('=')
		}
		b.WriteString(d.Name)
	}
	return b.String()
}

// intern numbers a class and marks it live. The caller holds the lock.
func (in *Interner) intern(app, host string, domains []policy.Domain) (class flow.NameClass, isNew bool) {
	key := classKey(app, domains)
	if class, ok := in.byKey[key]; ok {
		isNew = !in.live[class]
		in.live[class] = true
		return class, isNew
	}
	if len(in.classes) > maxClass {
		return in.byKey[app], false // out of numbers: the selectors are lost, the application stays
	}
	class = flow.NameClass(len(in.classes))
	a, _ := in.catalog.App(app)
	in.classes = append(in.classes, ClassInfo{Class: class, App: app, Category: a.Category, Host: host, Domains: domains})
	in.live = append(in.live, true)
	in.byKey[key] = class
	return class, true
}

// SetSelectors replaces the policy's domain selectors and numbers every class that a host can have with them. It
// returns the classes that could not occur before, by number; after it, call Names.Relabel.
//
// The class of a host depends only on which catalogue domains and selectors it lies at or below. So the hosts that stand for
// all others are: each selector's name and a name below it, and the same for each catalogue domain below a selector.
func (in *Interner) SetSelectors(domains []policy.Domain) []ClassInfo {
	in.mu.Lock()
	defer in.mu.Unlock()
	before := slices.Clone(in.live)
	in.selectors = make(map[string]selected, len(domains))
	for _, d := range domains {
		s := in.selectors[d.Name]
		if d.Exact {
			s.exact = true
		} else {
			s.suffix = true
		}
		in.selectors[d.Name] = s
	}
	clear(in.live)
	in.live[0] = true
	for _, a := range in.catalog.Apps() {
		host := ""
		if len(a.Domains) > 0 {
			host = a.Domains[0].Name
		}
		in.intern(a.ID, host, nil)
	}
	for _, d := range domains {
		in.internAround(d.Name)
	}
	if len(domains) > 0 {
		for _, a := range in.catalog.Apps() {
			for _, d := range a.Domains {
				if len(in.match(d.Name)) > 0 {
					in.internAround(d.Name)
				}
			}
		}
	}
	var added []ClassInfo
	for i, live := range in.live {
		if live && (i >= len(before) || !before[i]) {
			added = append(added, in.classes[i])
		}
	}
	return added
}

// internAround numbers the class of a name and that of the names directly below it.
func (in *Interner) internAround(name string) {
	for _, host := range []string{name, "any." + name} {
		in.intern(in.catalog.AppOf(host), host, in.match(host))
	}
}

// Classes lists every class that a host can have with the present selectors, by number, class 0 excluded.
func (in *Interner) Classes() []ClassInfo {
	in.mu.RLock()
	defer in.mu.RUnlock()
	var list []ClassInfo
	for i, c := range in.classes {
		if i > 0 && in.live[i] {
			list = append(list, c)
		}
	}
	return list
}

// Class returns what a class stands for.
func (in *Interner) Class(class flow.NameClass) (ClassInfo, bool) {
	in.mu.RLock()
	defer in.mu.RUnlock()
	if int(class) >= len(in.classes) {
		return ClassInfo{}, false
	}
	return in.classes[class], true
}

// AppClass returns the class of an application's hosts that no selector matches; 0 for an unknown application.
func (in *Interner) AppClass(app string) flow.NameClass {
	in.mu.RLock()
	defer in.mu.RUnlock()
	return in.byKey[app]
}

// Label is what the kernel is told about a host: its class and the hash of its site.
func (in *Interner) Label(host string) flow.Label {
	class, _ := in.Intern(host)
	return flow.MakeLabel(class, catalog.SiteHash(host))
}
