package steer

import (
	"cmp"
	"slices"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Bucket is a share of a choice. Weights are relative to each other; see Space.
type Bucket struct {
	Link   flow.LinkID
	Weight int
	Lent   bool // the link stands in for another one; flows are marked with flow.LentBit
}

// Choice is what the kernel does with new flows of a rule: one bucket is a fixed link, several are a balance, Refuse
// means that the flow is answered with an error at once (there are no buckets then).
type Choice struct {
	Policy  policy.Steer  // what was asked
	Sticky  policy.Sticky // what keeps flows together when there are several buckets
	Buckets []Bucket      // in the order of their slots
	Refuse  bool
	Why     string // one plain sentence
}

// Resolve decides which links new flows of a rule take, the links being as they are.
//
//   - Failover: the first link of Use that is open; lent unless it is the first of them that exists at all.
//   - Fixed: the one link, or a refusal.
//   - Balance: every member owns a range by weight; a member that is out lends its range to the others.
//   - Any: the best role that has an open link (primary, secondary, backup). Links of that role share by their
//     configured weights; while one of them is degraded, those that are not take its part. All is lent when a better role exists.
//     A Use that is not empty restricts the links.
//
// When no link of Use is open, the kill switch refuses; otherwise the flow is lent any open link by the order of Any, inside
// Allow and Forbid. When there is none at all the flow is refused too: an error at once lets a program
// tell its user or try again, where a black hole lets it hang for minutes.
//
// Links of role Never are no links here, whoever names them. A link with spent quota is out unless the rule
// says OverQuota.
func Resolve(s policy.Steer, links []LinkCondition) Choice {
	r := resolver{steer: canonical(s), links: byID(links)}
	c := r.choose()
	c.Policy, c.Sticky = s, r.steer.Sticky
	if len(c.Buckets) == 0 {
		c.Buckets, c.Refuse = nil, true
	}
	return c
}

type resolver struct {
	steer policy.Steer // canonical
	links []LinkCondition
}

func (r resolver) choose() Choice {
	use := r.named()
	if r.steer.Mode == policy.Fixed {
		return r.fixed(use)
	}
	if r.steer.Mode == policy.Any && len(r.steer.Use) == 0 {
		use = r.permitted()
	}
	if !slices.ContainsFunc(use, r.open) {
		return r.beyond(use)
	}
	switch r.steer.Mode {
	case policy.Failover:
		return r.failover(use)
	case policy.Balance:
		return r.balance(use)
	}
	return r.any(use)
}

// named lists the links of Use that exist and may be used at all: in the order of Use where it has a meaning, else
// of their ids.
func (r resolver) named() []LinkCondition {
	var out []LinkCondition
	for _, u := range r.steer.Use {
		for _, l := range r.permitted() {
			if l.Name == u.Link {
				out = append(out, l)
			}
		}
	}
	if r.steer.Mode == policy.Balance || r.steer.Mode == policy.Any {
		return byID(out)
	}
	return out
}

// permitted lists the links that no role and no bound keeps the rule from.
func (r resolver) permitted() []LinkCondition {
	return filter(r.links, func(l LinkCondition) bool {
		return l.Role != Never && !slices.Contains(r.steer.Forbid, l.Name) &&
			(len(r.steer.Allow) == 0 || slices.Contains(r.steer.Allow, l.Name))
	})
}

func (r resolver) open(l LinkCondition) bool { return l.open(r.steer) }

func (r resolver) fixed(use []LinkCondition) Choice {
	switch {
	case len(r.steer.Use) == 0:
		return Choice{Why: "The rule asks for one fixed link and names none."}
	case len(use) == 0:
		return Choice{Why: "There is no link " + r.steer.Use[0].Link + " that this rule may use, and it allows no other."}
	case !r.open(use[0]):
		return Choice{Why: r.state(use[0]) + " and the rule allows no other link."}
	}
	return Choice{Buckets: one(use[0], false), Why: "The rule is fixed to " + use[0].Name + "."}
}

func (r resolver) failover(use []LinkCondition) Choice {
	i := slices.IndexFunc(use, r.open)
	l := use[i]
	if i == 0 {
		return Choice{Buckets: one(l, false), Why: l.Name + " is the rule's first link."}
	}
	return Choice{Buckets: one(l, true), Why: r.states(use[:i]) + "; " + l.Name + " is the rule's next link and stands in."}
}

func (r resolver) balance(use []LinkCondition) Choice {
	weight := func(l LinkCondition) int {
		i := slices.IndexFunc(r.steer.Use, func(u policy.LinkShare) bool { return u.Link == l.Name })
		return r.steer.Use[i].Weight
	}
	out := filter(use, func(l LinkCondition) bool { return !r.open(l) })
	c := Choice{Buckets: layout(members(use, weight, r.open))}
	switch in := filter(use, r.open); {
	case len(use) == 1:
		c.Why = use[0].Name + " is the only link of the balance."
	case len(out) == 0:
		c.Why = "Balanced between " + list(names(in)) + " by weight."
	default:
		c.Why = r.states(out) + "; " + list(names(in)) + " " + verb(in, "takes", "take") + " that part of the balance."
	}
	return c
}

// any shares among the links of the best role that has an open one. The range of a link that is out or, while
// another one is healthy, degraded, is lent to the rest.
func (r resolver) any(use []LinkCondition) Choice {
	best, exists := Never, Never
	for _, l := range use {
		exists = min(exists, l.Role)
		if r.open(l) {
			best = min(best, l.Role)
		}
	}
	peers := filter(use, func(l LinkCondition) bool { return l.Role == best })
	serves := r.open
	if slices.ContainsFunc(peers, func(l LinkCondition) bool { return r.open(l) && !l.Degraded }) {
		serves = func(l LinkCondition) bool { return r.open(l) && !l.Degraded }
	}
	c := Choice{Buckets: layout(members(peers, func(l LinkCondition) int { return max(l.Weight, 1) }, serves))}
	in := filter(peers, serves)
	c.Why = r.anyWhy(use, peers, in)
	if best != exists {
		c.lend()
	}
	return c
}

func (r resolver) anyWhy(use, peers, in []LinkCondition) string {
	better := filter(use, func(l LinkCondition) bool { return l.Role < peers[0].Role })
	idle := filter(peers, func(l LinkCondition) bool { return !slices.Contains(in, l) })
	serve := list(names(in)) + " " + verb(in, "serves", "serve")
	switch {
	case len(better) > 0:
		return r.states(better) + "; " + serve + " until it is better."
	case len(idle) > 0:
		return r.states(idle) + "; " + serve + " alone meanwhile."
	case len(in) > 1:
		return "The router's own order: balanced between " + list(names(in)) + " by weight."
	}
	return "The router's own order: " + in[0].Name + " is the best link."
}

// beyond is for a rule none of whose links is open.
func (r resolver) beyond(use []LinkCondition) Choice {
	why := "The rule names no link that exists"
	if len(use) > 0 {
		why = r.states(use)
	}
	if r.steer.KillSwitch {
		return Choice{Why: why + " and the rule's kill switch forbids any other link."}
	}
	rest := r.permitted()
	if !slices.ContainsFunc(rest, r.open) {
		return Choice{Why: why + " and no other link can take the flow."}
	}
	c := r.any(rest)
	c.lend()
	in := filter(rest, func(l LinkCondition) bool {
		return slices.ContainsFunc(c.Buckets, func(b Bucket) bool { return b.Link == l.ID })
	})
	c.Why = why + "; " + list(names(in)) + " " + verb(in, "stands", "stand") + " in by the router's own order."
	return c
}

// lend marks every bucket as lent.
func (c *Choice) lend() {
	for i := range c.Buckets {
		c.Buckets[i].Lent = true
	}
	c.Buckets = merge(c.Buckets)
	if len(c.Buckets) == 1 {
		c.Buckets[0].Weight = 1
	}
}

func one(l LinkCondition, lent bool) []Bucket {
	return []Bucket{{Link: l.ID, Weight: 1, Lent: lent}}
}

func members(links []LinkCondition, weight func(LinkCondition) int, open func(LinkCondition) bool) []member {
	out := make([]member, len(links))
	for i, l := range links {
		out[i] = member{id: l.ID, weight: weight(l), open: open(l)}
	}
	return out
}

func byID(links []LinkCondition) []LinkCondition {
	links = slices.Clone(links)
	slices.SortFunc(links, func(a, b LinkCondition) int { return cmp.Compare(a.ID, b.ID) })
	return links
}

func filter(links []LinkCondition, keep func(LinkCondition) bool) []LinkCondition {
	var out []LinkCondition
	for _, l := range links {
		if keep(l) {
			out = append(out, l)
		}
	}
	return out
}
