package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

// few is the length up to which a list is searched from its start instead of through a map.
const few = 8

// matcher is a rule's What made fast. A dimension that is empty matches everything.
type matcher struct {
	byName     bool
	apps       stringSet
	categories stringSet
	domains    domainSet
	addresses  []netip.Prefix
	services   []Service
	dscp       uint64 // bit set of code points
	content    *contentMatch
}

func newMatcher(w What) matcher {
	m := matcher{
		byName:     len(w.Apps)+len(w.Categories)+len(w.Domains) > 0,
		apps:       newStringSet(w.Apps),
		categories: newStringSet(w.Categories),
		domains:    newDomainSet(w.Domains),
		addresses:  w.Addresses,
		services:   w.Services,
		content:    newContentMatch(&w),
	}
	for _, v := range w.DSCP {
		m.dscp |= 1 << v
	}
	return m
}

func (m *matcher) name(app, category, host string) bool {
	return !m.byName ||
		app != "" && m.apps.has(app) ||
		category != "" && m.categories.has(category) ||
		host != "" && m.domains.matches(host)
}

func (m *matcher) addr(a netip.Addr) bool {
	if len(m.addresses) == 0 {
		return true
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(m.addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (m *matcher) service(proto flow.Proto, port uint16) bool {
	return len(m.services) == 0 ||
		slices.ContainsFunc(m.services, func(s Service) bool { return s.Matches(proto, port) })
}

func (m *matcher) codePoint(dscp uint8) bool {
	return m.dscp == 0 || dscp < 64 && m.dscp&(1<<dscp) != 0
}

// Matches tells whether the service selects a protocol and destination port (0 for protocols without ports). A
// protocol of 0 is one not known and is selected by nothing.
func (s Service) Matches(proto flow.Proto, port uint16) bool {
	return proto != 0 && s.Proto.Matches(proto) && (s.First == 0 && s.Last == 0 || s.First <= port && port <= s.Last)
}

// stringSet is a set of strings: a short list, or a map.
type stringSet struct {
	list []string
	set  map[string]struct{}
}

func newStringSet(list []string) stringSet {
	s := stringSet{list: list}
	if len(list) > few {
		s.set = make(map[string]struct{}, len(list))
		for _, v := range list {
			s.set[v] = struct{}{}
		}
	}
	return s
}

func (s *stringSet) has(v string) bool {
	if s.set != nil {
		_, ok := s.set[v]
		return ok
	}
	return slices.Contains(s.list, v)
}

// domainSet is a set of domain selectors: a short list, or a map that is asked for the host and each name above it.
type domainSet struct {
	list []Domain
	set  map[Domain]struct{}
}

func newDomainSet(list []Domain) domainSet {
	s := domainSet{list: list}
	if len(list) > few {
		s.set = make(map[Domain]struct{}, len(list))
		for _, d := range list {
			s.set[d] = struct{}{}
		}
	}
	return s
}

func (s *domainSet) matches(host string) bool {
	if s.set == nil {
		return slices.ContainsFunc(s.list, func(d Domain) bool { return d.Matches(host) })
	}
	if _, ok := s.set[Domain{Name: host, Exact: true}]; ok {
		return true
	}
	for {
		if _, ok := s.set[Domain{Name: host}]; ok {
			return true
		}
		_, above, ok := strings.Cut(host, ".")
		if !ok {
			return false
		}
		host = above
	}
}

// HasName tells whether rule i asks for the application, category or host name.
func (c *Compiled) HasName(i int) bool { return c.rules[i].match.byName }

// HasAddr tells whether rule i asks for the address of the far end.
func (c *Compiled) HasAddr(i int) bool { return len(c.rules[i].match.addresses) > 0 }

// HasService tells whether rule i asks for protocol and port.
func (c *Compiled) HasService(i int) bool { return len(c.rules[i].match.services) > 0 }

// HasDSCP tells whether rule i asks for the DSCP.
func (c *Compiled) HasDSCP(i int) bool { return c.rules[i].match.dscp != 0 }

// Matches tells whether the What of rule i selects the target: all its dimensions do.
func (c *Compiled) Matches(i int, t Target) bool {
	m := &c.rules[i].match
	return m.opening(t) && m.content.matches(t.Content)
}

// opening tells whether all dimensions but content select the target: what a flow's first packet shows.
func (m *matcher) opening(t Target) bool {
	return m.name(t.App, t.Category, t.Host) && m.addr(t.Addr) && m.service(t.Proto, t.Port) && m.codePoint(t.DSCP)
}

// MatchesName is Matches for the name dimension alone. The host is lower case without a final dot; "" is unknown.
func (c *Compiled) MatchesName(i int, app, category, host string) bool {
	return c.rules[i].match.name(app, category, host)
}

// MatchesAddr is Matches for the address dimension alone.
func (c *Compiled) MatchesAddr(i int, a netip.Addr) bool { return c.rules[i].match.addr(a) }

// MatchesService is Matches for the dimension of protocol and port alone.
func (c *Compiled) MatchesService(i int, proto flow.Proto, port uint16) bool {
	return c.rules[i].match.service(proto, port)
}

// MatchesDSCP is Matches for the DSCP dimension alone.
func (c *Compiled) MatchesDSCP(i int, dscp uint8) bool { return c.rules[i].match.codePoint(dscp) }
