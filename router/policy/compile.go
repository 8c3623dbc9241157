package policy

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"
	_ "time/tzdata" // small routers have no zone files, and a policy must mean the same everywhere

	"github.com/trenza-router/trenza/router/flow"
)

// Known is what the configuration and the catalogue know. A nil field means that this check does not know: it accepts.
type Known struct {
	Links      []string                                    // names of the WAN links, in the order of the configuration
	Categories func(app string) (category string, ok bool) // the category of a catalogue application
	Category   func(id string) bool                        // whether the catalogue has the category
	Protocol   func(id string) bool                        // whether flows are read for the protocol
}

// Warning is something about a policy that is allowed and probably not meant.
type Warning struct {
	RuleID string
	Text   string
}

func (w Warning) String() string { return fmt.Sprintf("rule %s: %s", w.RuleID, w.Text) }

// Compiled is a policy made ready for deciding. It is immutable and safe for concurrent use.
//
// Rules have indices in the canonical order of evaluation: main must, main bound, user, main default; inside each by
// priority, specificity and id. Rules that are disabled have none.
type Compiled struct {
	policy    Policy
	known     Known
	zone      *time.Location
	rules     []compiledRule
	links     []string // Known.Links, then the others that the policy names, sorted
	linkBits  map[string]linkSet
	allLinks  linkSet
	schedules []schedule  // distinct ones; nil is not among them
	moments   []time.Time // at which some rule's From or Until comes, sorted
	edges     []int       // minutes of the week when one of them goes on or off, sorted

	subjects map[string]Subject
	everyone []int32            // rules for every device of the LAN
	router   []int32            // rules for the router's own traffic
	byDevice map[string][]int32 // rules that select a device, person or group
	byPerson map[string][]int32
	byGroup  map[string][]int32

	classes [flow.MaxAppClass + 1]classUse // that rules give to flows
	strict  bool                           // a rule resets flows that are found on a wrong link
}

// compiledRule is a rule with what the hot paths need of it precomputed.
type compiledRule struct {
	*Rule
	match    matcher
	schedule schedule
	aspects  uint8   // bit set of Aspect
	use      linkSet // links of Steer.Use
	allowed  linkSet // bound: what it leaves
	qos      qosValues
	own      flow.AppClass // class for the flows that it promises something to; 0: none
}

func (r *compiledRule) says(a Aspect) bool { return r.aspects&(1<<a) != 0 }

// Compile checks a policy against what is known and makes it ready. The error is of type Problems and holds everything
// that is wrong; warnings are about what is accepted.
func Compile(p Policy, k Known) (*Compiled, []Warning, error) {
	v := validator{p: &p, known: k}
	v.check()
	if len(v.problems) > 0 {
		return nil, nil, fmt.Errorf("checking the policy: %w", v.problems)
	}
	c := &Compiled{
		policy:   clonePolicy(p),
		known:    Known{Links: slices.Clone(k.Links), Categories: k.Categories, Category: k.Category, Protocol: k.Protocol},
		zone:     v.zone,
		subjects: make(map[string]Subject, len(p.Devices)),
		byDevice: map[string][]int32{},
		byPerson: map[string][]int32{},
		byGroup:  map[string][]int32{},
	}
	c.nameLinks(v.links)
	c.compileRules()
	c.indexSchedules()
	c.indexSubjects()
	c.indexRules()
	v.warnings = append(v.warnings, c.numberClasses()...)
	c.noteClasses()
	c.noteStrict()
	return c, v.warnings, nil
}

// Policy is the policy that was compiled. It is shared: do not change it.
func (c *Compiled) Policy() Policy { return c.policy }

// Rule is the rule with index i. It is shared: do not change it.
func (c *Compiled) Rule(i int) *Rule { return c.rules[i].Rule }

// Len is the number of rules with an index.
func (c *Compiled) Len() int { return len(c.rules) }

// Links lists Known.Links and then, sorted, the other links that the policy names (they are treated as dead).
func (c *Compiled) Links() []string { return slices.Clone(c.links) }

// Domains lists all distinct domain selectors, sorted by name, the exact one first.
func (c *Compiled) Domains() []Domain {
	var out []Domain
	for i := range c.rules {
		out = append(out, c.rules[i].What.Domains...)
	}
	slices.SortFunc(out, func(a, b Domain) int {
		if n := cmp.Compare(a.Name, b.Name); n != 0 || a.Exact == b.Exact {
			return n
		}
		if a.Exact {
			return -1
		}
		return 1
	})
	return slices.Compact(out)
}

func (c *Compiled) nameLinks(named []string) {
	c.links = slices.Clone(c.known.Links)
	for _, l := range named {
		if !slices.Contains(c.links, l) {
			c.links = append(c.links, l)
		}
	}
	slices.Sort(c.links[len(c.known.Links):])
	c.linkBits = make(map[string]linkSet, len(c.links))
	for i, l := range c.links {
		c.linkBits[l] = 1 << i
		c.allLinks |= 1 << i
	}
}

func (c *Compiled) compileRules() {
	order := make([]*Rule, 0, len(c.policy.Main)+len(c.policy.User))
	for _, tier := range [][]Rule{c.policy.Main, c.policy.User} {
		for i := range tier {
			if !tier[i].Disabled {
				order = append(order, &tier[i])
			}
		}
	}
	slices.SortFunc(order, canonical)
	c.rules = make([]compiledRule, len(order))
	for i, r := range order {
		c.rules[i] = c.compileRule(r)
	}
}

func (c *Compiled) compileRule(r *Rule) compiledRule {
	out := compiledRule{Rule: r, match: newMatcher(r.What), schedule: newSchedule(r.When), allowed: c.allLinks}
	if r.Steer != nil {
		out.aspects |= 1 << AspectSteer
		for _, share := range r.Steer.Use {
			out.use |= c.linkBits[share.Link]
		}
		if len(r.Steer.Allow) > 0 {
			out.allowed = c.setOf(r.Steer.Allow)
		}
		out.allowed &^= c.setOf(r.Steer.Forbid)
	}
	if r.QoS != nil {
		out.aspects |= 1 << AspectQoS
		out.qos = newQoSValues(r.QoS)
	}
	if r.Filter != nil {
		out.aspects |= 1 << AspectFilter
	}
	if r.Log {
		out.aspects |= 1 << AspectLog
	}
	return out
}

// canonical orders rules as they are looked at.
func canonical(a, b *Rule) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(b.Priority, a.Priority),
		cmp.Compare(whoSpecificity(b.Who), whoSpecificity(a.Who)),
		cmp.Compare(whatSpecificity(b.What), whatSpecificity(a.What)),
		cmp.Compare(a.ID, b.ID),
	)
}

// rank is the place of a rule's tier and force. Bounds stand before what they limit.
func rank(r *Rule) int {
	switch {
	case r.Tier == User:
		return 2
	case r.Force == Must:
		return 0
	case r.Force == Bound:
		return 1
	}
	return 3
}

// whoSpecificity and whatSpecificity look at the most specific kind of selector that a rule uses.
func whoSpecificity(w Who) int {
	switch {
	case len(w.Devices) > 0, w.Router:
		return 3
	case len(w.People) > 0:
		return 2
	case len(w.Groups) > 0:
		return 1
	}
	return 0
}

func whatSpecificity(w What) int {
	switch {
	case w.HasContent():
		return 6
	case len(w.Apps) > 0:
		return 5
	case len(w.Categories) > 0:
		return 4
	case len(w.Domains) > 0:
		return 3
	case len(w.Addresses) > 0:
		return 2
	case len(w.Services) > 0:
		return 1
	}
	return 0
}

func (c *Compiled) indexSchedules() {
	edges := map[int]struct{}{}
	seen := map[string]schedule{}
	for i := range c.rules {
		for _, m := range []time.Time{c.rules[i].From, c.rules[i].Until} {
			if !m.IsZero() {
				c.moments = append(c.moments, m)
			}
		}
		s := c.rules[i].schedule
		if s == nil {
			continue
		}
		key := s.key()
		if same, ok := seen[key]; ok {
			c.rules[i].schedule = same
			continue
		}
		seen[key] = s
		c.schedules = append(c.schedules, s)
		for _, m := range s.edges() {
			edges[m] = struct{}{}
		}
	}
	c.edges = slices.Sorted(maps.Keys(edges))
	slices.SortFunc(c.moments, time.Time.Compare)
}

func (c *Compiled) indexSubjects() {
	byDevice, byPerson := map[string][]string{}, map[string][]string{}
	for _, g := range c.policy.Groups {
		for _, d := range g.Devices {
			byDevice[d] = append(byDevice[d], g.ID)
		}
		for _, p := range g.People {
			byPerson[p] = append(byPerson[p], g.ID)
		}
	}
	for _, d := range c.policy.Devices {
		groups := slices.Concat(byDevice[d.ID], byPerson[d.Owner])
		slices.Sort(groups)
		c.subjects[d.ID] = Subject{Device: d.ID, Person: d.Owner, Groups: slices.Compact(groups)}
	}
}

func (c *Compiled) indexRules() {
	add := func(index map[string][]int32, ids []string, i int) {
		for _, id := range ids {
			index[id] = append(index[id], int32(i))
		}
	}
	for i := range c.rules {
		r := &c.rules[i]
		w := r.Who
		switch {
		case w.Router:
			c.router = append(c.router, int32(i))
		case whoSpecificity(w) > 0:
			add(c.byDevice, w.Devices, i)
			add(c.byPerson, w.People, i)
			add(c.byGroup, w.Groups, i)
		case r.Tier == User:
			add(c.byPerson, []string{r.Owner}, i)
		default:
			c.everyone = append(c.everyone, int32(i))
		}
	}
}

// Subject is the subject of a device's flows. A device that the policy does not name has its id alone.
func (c *Compiled) Subject(deviceID string) Subject {
	if s, ok := c.subjects[deviceID]; ok {
		s.Groups = slices.Clone(s.Groups)
		return s
	}
	return Subject{Device: deviceID}
}

// Active lists the indices of the rules that apply to the subject at a moment, whatever the flow is, in canonical order.
func (c *Compiled) Active(s Subject, at time.Time) []int {
	// A bit for each rule: lists overlap, and bits come out sorted.
	set := make([]uint64, (len(c.rules)+63)/64)
	n := 0
	add := func(list []int32) {
		n += len(list)
		for _, i := range list {
			set[i/64] |= 1 << (i % 64)
		}
	}
	if s.Router {
		add(c.router)
	} else {
		add(c.everyone)
		add(c.byDevice[s.Device])
		if s.Person != "" {
			add(c.byPerson[s.Person])
		}
		for _, g := range s.Groups {
			add(c.byGroup[g])
		}
	}
	minute := minuteOfWeek(at.In(c.zone))
	out := make([]int, 0, min(n, len(c.rules)))
	for n, word := range set {
		for ; word != 0; word &= word - 1 {
			i := n*64 + bits.TrailingZeros64(word)
			r := &c.rules[i]
			if r.schedule.holds(minute) && r.awake(at) && (r.Tier != User || r.Owner == s.Person) {
				out = append(out, i)
			}
		}
	}
	return out
}

// Decide answers a query: the rules that are active and match, combined.
func (c *Compiled) Decide(q Query) Decision {
	rules := slices.DeleteFunc(c.Active(q.Subject, q.Time), func(i int) bool { return !c.Matches(i, q.Target) })
	return c.Combine(q.Subject, rules)
}

// appClass is the flow class of a class name; 0 for none.
func appClass(name string) flow.AppClass { return flow.AppClass(slices.Index(ClassNames(), name) + 1) }
