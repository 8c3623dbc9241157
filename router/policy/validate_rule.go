package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// maxPriority is the largest Rule.Priority, and the smallest is its negative.
const maxPriority = 1000

// maxRate is more than any link carries: a larger number is a slip.
const maxRate Rate = 1e12

// ruleCheck checks one rule.
type ruleCheck struct {
	*validator
	path string
	r    *Rule
}

// bad records a problem with a field named as in YAML ("steer.use").
func (c ruleCheck) bad(field, format string, args ...any) {
	path := c.path
	if field != "" {
		path += "/" + strings.ReplaceAll(field, ".", "/")
	}
	c.problems = append(c.problems, Problem{path: path, RuleID: c.r.ID, Field: field, Text: fmt.Sprintf(format, args...)})
}

// badAt records a problem with element n of a list.
func (c ruleCheck) badAt(field string, n int, format string, args ...any) {
	c.bad(field, format, args...)
	last := &c.problems[len(c.problems)-1]
	last.path = fmt.Sprintf("%s/%d", last.path, n)
}

func (v *validator) checkRule(path string, r *Rule, tier Tier) {
	c := ruleCheck{v, path, r}
	switch {
	case !isSlug(r.ID):
		c.bad("id", "rule id %q: use 1 to %d of a-z, 0-9 and '-', first a letter or digit", r.ID, maxIDLength)
	case v.rules[r.ID]:
		c.bad("id", "the id is there twice; ids are unique over the rules of the house and of all people")
	}
	v.rules[r.ID] = true
	v.name(path+"/name", r.Name)
	if r.Priority < -maxPriority || r.Priority > maxPriority {
		c.bad("priority", "%d is out of range; use -%d to %d", r.Priority, maxPriority, maxPriority)
	}
	if r.Tier != tier {
		c.bad("", "the rule says it is of the %s tier and stands among those of the %s tier", r.Tier, tier)
		return
	}
	c.checkForce()
	c.checkWho()
	c.checkWhat()
	c.checkWhen()
	if r.Steer == nil && r.QoS == nil && r.Filter == nil && !r.Log {
		c.bad("", "the rule does nothing; give it steer, qos, filter or log")
	}
	if r.Steer != nil {
		c.checkSteer(r.Steer)
	}
	if r.QoS != nil {
		c.checkQoS(r.QoS)
	}
	if r.Filter != nil {
		c.checkFilter(r.Filter)
	}
}

func (c ruleCheck) checkForce() {
	switch {
	case c.r.Tier == User && c.r.Force != ForceNone:
		c.bad("force", "a personal rule has no force; only the house's rules do")
	case c.r.Tier == User && !c.people[c.r.Owner]:
		c.bad("", "its owner %q is not among people%s", c.r.Owner, didYouMean(c.r.Owner, c.peopleIDs()))
	case c.r.Tier == Main && c.r.Owner != "":
		c.bad("", "a rule of the house has no owner; %q may write it among their own", c.r.Owner)
	case c.r.Tier == Main && (c.r.Force == ForceNone || c.r.Force > Default):
		c.bad("force", "a rule of the house says how it binds: must, bound or default")
	}
}

func (c ruleCheck) checkWho() {
	w := c.r.Who
	complain := func(field string, n int, text string) { c.badAt("who."+field, n, "%s", text) }
	c.checkRefs("devices", w.Devices, complain)
	c.checkRefs("people", w.People, complain)
	c.checkRefs("groups", w.Groups, complain)
	if w.Router && whoSpecificity(Who{Devices: w.Devices, People: w.People, Groups: w.Groups}) > 0 {
		c.bad("who.router", "the router's own traffic stands alone; make a second rule for devices, people and groups")
	}
	if c.r.Tier != User || !c.people[c.r.Owner] {
		return
	}
	if w.Router {
		c.bad("who.router", "only the house makes rules for the router's own traffic")
	}
	for n, id := range w.Devices {
		if d := c.devices[id]; d != nil && d.Owner != c.r.Owner {
			c.badAt("who.devices", n, "%s is not %s's; a personal rule is about devices that its person owns: %s",
				id, c.r.Owner, cmp.Or(oneOf(c.owned(c.r.Owner)), "none so far"))
		}
	}
	for n, id := range w.People {
		if c.people[id] && id != c.r.Owner {
			c.badAt("who.people", n, "a personal rule of %s cannot be about %s", c.r.Owner, id)
		}
	}
	for n, id := range w.Groups {
		if g := c.groups[id]; g != nil {
			if other := c.foreign(g, c.r.Owner); other != "" {
				c.badAt("who.groups", n, "group %s has %s, which is not %s's; a personal rule is about devices that its person owns",
					id, other, c.r.Owner)
			}
		}
	}
}

// owned lists the devices of a person.
func (v *validator) owned(person string) []string {
	var out []string
	for _, d := range v.p.Devices {
		if d.Owner == person {
			out = append(out, d.ID)
		}
	}
	return out
}

// foreign names a member of a group that is not the person's.
func (v *validator) foreign(g *Group, person string) string {
	for _, id := range g.Devices {
		if d := v.devices[id]; d != nil && d.Owner != person {
			return id
		}
	}
	for _, id := range g.People {
		if id != person {
			return id
		}
	}
	return ""
}

func (c ruleCheck) checkWhat() {
	w := c.r.What
	for n, a := range w.Apps {
		switch {
		case !isWord(a):
			c.badAt("what.apps", n, "%q is not an application id", a)
		case c.known.Categories != nil:
			if _, ok := c.known.Categories(a); !ok {
				c.badAt("what.apps", n, "the catalogue has no application %q", a)
			}
		}
	}
	for n, id := range w.Categories {
		switch {
		case !isWord(id):
			c.badAt("what.categories", n, "%q is not a category id", id)
		case c.known.Category != nil && !c.known.Category(id):
			c.badAt("what.categories", n, "the catalogue has no category %q", id)
		}
	}
	for n, d := range w.Domains {
		if err := checkDomain(d.Name); err != nil {
			c.badAt("what.domains", n, "%v", err)
		}
	}
	for n, p := range w.Addresses {
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
			c.badAt("what.addresses", n, "%s is not an address range; write 203.0.113.0/24 or 2001:db8::/32", p)
		case p.Masked() != p:
			c.badAt("what.addresses", n, "%s has bits behind its length; write %s or %s", p, p.Masked(), p.Addr())
		}
	}
	for n, s := range w.Services {
		switch {
		case s.Proto == flow.ProtoAny:
			c.badAt("what.services", n, "any selects everything; name a protocol, or leave services out")
		case s.First > s.Last:
			c.badAt("what.services", n, "ports run upwards; write %s/%d-%d", s.Proto, s.Last, s.First)
		case !s.Proto.HasPorts() && s.Last != 0:
			c.badAt("what.services", n, "%s has no ports; write %s alone", s.Proto, s.Proto)
		}
	}
	for n, v := range w.DSCP {
		if v > 63 {
			c.badAt("what.dscp", n, "%d is out of range; use 0 to 63", v)
		}
	}
	say := func(field string) func(n int) { return func(n int) { c.badAt(field, n, "is there twice") } }
	twice(w.Apps, say("what.apps"))
	twice(w.Categories, say("what.categories"))
	twice(w.Domains, say("what.domains"))
	twice(w.Addresses, say("what.addresses"))
	twice(w.Services, say("what.services"))
	twice(w.DSCP, say("what.dscp"))
	c.checkContent()
}

// checkDomain checks a selector's name: lower case, ASCII, RFC 1035 section 2.3.4 lengths, no final dot, no wildcard.
func checkDomain(name string) error {
	if strings.HasPrefix(name, "*.") {
		return fmt.Errorf("%q: write %q, which includes all names below it", name, strings.TrimPrefix(name, "*."))
	}
	if name == "" || len(name) > 253 {
		return fmt.Errorf("%.60q is not a domain name", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
		}) {
			return fmt.Errorf("%.60q is not a domain name; write it like example.org, in lower case and without a final dot", name)
		}
	}
	return nil
}

func (c ruleCheck) checkWhen() {
	for n, w := range c.r.When {
		switch {
		case w.Days == 0 || w.Days > everyDay:
			c.badAt("when", n, "the window names no day")
		case w.From < 0 || w.From >= minutesPerDay:
			c.badAt("when", n, "a window starts between 00:00 and 23:59")
		case w.To < 0 || w.To > minutesPerDay:
			c.badAt("when", n, "a window ends between 00:00 and 24:00")
		}
	}
	twice(c.r.When, func(n int) { c.badAt("when", n, "is there twice") })
	for _, m := range []struct {
		field string
		at    time.Time
	}{{"from", c.r.From}, {"until", c.r.Until}} {
		if y := m.at.UTC().Year(); !m.at.IsZero() && (y < 1970 || y > 9999 || m.at.Nanosecond() != 0) {
			c.bad(m.field, "a moment lies between the years 1970 and 9999 and has whole seconds")
		}
	}
	if !c.r.From.IsZero() && !c.r.Until.IsZero() && !c.r.From.Before(c.r.Until) {
		c.bad("until", "the rule ends before it begins: until must be later than from")
	}
}

// checkLinks checks names of links and remembers them; unknown ones are a warning.
func (c ruleCheck) checkLinks(field string, links []string) {
	for n, l := range links {
		switch {
		case !isWord(l):
			c.badAt(field, n, "%q is not the name of a link", l)
			continue
		case !slices.Contains(c.links, l):
			c.links = append(c.links, l)
		}
		if len(c.known.Links) > 0 && !slices.Contains(c.known.Links, l) {
			c.warnings = append(c.warnings, Warning{c.r.ID, fmt.Sprintf("%s: there is no link %q, it counts as dead; links are %s%s",
				field, l, strings.Join(c.known.Links, ", "), didYouMean(l, c.known.Links))})
		}
	}
	twice(links, func(n int) { c.badAt(field, n, "%s is there twice", links[n]) })
}
