package plan

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/steer"
)

// Choice is a steering choice of the plan with what it comes to under the present condition of the links.
// V4 and V6 differ when a link lacks a family.
type Choice struct {
	ID     flow.ChoiceID
	Steer  policy.Steer
	V4, V6 steer.Choice
}

// choices interns steering choices. An id is a hash of what the choice says, so that it means the same before and after a
// restart: flows that were judged by an earlier run carry it in their mark.
type choices struct {
	byKey map[string]flow.ChoiceID
	taken map[flow.ChoiceID]string
	all   map[flow.ChoiceID]policy.Steer
}

func newChoices() *choices {
	return &choices{map[string]flow.ChoiceID{}, map[flow.ChoiceID]string{}, map[flow.ChoiceID]policy.Steer{}}
}

func (c *choices) intern(s policy.Steer) (flow.ChoiceID, error) {
	key := steer.Key(s)
	if id, ok := c.byKey[key]; ok {
		return id, nil
	}
	if len(c.all) >= int(flow.MaxChoice) {
		return 0, fmt.Errorf("the policy needs more than %d different ways to choose a link: merge rules that say the same", flow.MaxChoice)
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	id := flow.ChoiceID(h.Sum32()%uint32(flow.MaxChoice)) + 1
	for c.taken[id] != "" {
		id = id%flow.MaxChoice + 1
	}
	c.byKey[key], c.taken[id], c.all[id] = id, key, s
	return id, nil
}

// resolve says what each choice comes to now.
func (c *choices) resolve(links []Link) map[flow.ChoiceID]Choice {
	var v4, v6 []steer.LinkCondition
	for _, l := range links {
		v4 = append(v4, l.Condition(false))
		v6 = append(v6, l.Condition(true))
	}
	out := map[flow.ChoiceID]Choice{}
	for id, s := range c.all {
		out[id] = Choice{ID: id, Steer: s, V4: steer.Resolve(s, v4), V6: steer.Resolve(s, v6)}
	}
	return out
}

// Condition is the link's condition for one family: a link without a gateway for it takes no such flow.
func (l Link) Condition(v6 bool) steer.LinkCondition {
	c := l.LinkCondition
	if c.Usable && !l.gateway(v6).IsValid() {
		c.Usable, c.Lacks = false, map[bool]string{false: "IPv4", true: "IPv6"}[v6]
	}
	return c
}

func choiceChain(id flow.ChoiceID) string { return fmt.Sprintf("choose_%d", id) }

// choiceChains renders the choices and the link chains that they share.
func choiceChains(resolved map[flow.ChoiceID]Choice) []Chain {
	shared := newChainSet()
	var out []Chain
	for _, id := range slices.Sorted(maps.Keys(resolved)) {
		c := resolved[id]
		chain := Chain{Name: choiceChain(id), Comment: comment(c.Steer)}
		r4, r6 := bucketRules(shared, c.V4, false), bucketRules(shared, c.V6, true)
		if slices.Equal(r4, r6) {
			chain.Rules = r4
		} else {
			for _, r := range r4 {
				chain.Rules = append(chain.Rules, "meta nfproto ipv4 "+r)
			}
			for _, r := range r6 {
				chain.Rules = append(chain.Rules, "meta nfproto ipv6 "+r)
			}
		}
		out = append(out, chain)
	}
	return append(shared.list, out...)
}

// comment says in a person's words what a choice is, for whoever reads `nft list ruleset`.
func comment(s policy.Steer) string {
	var use []string
	for _, u := range s.Use {
		if s.Mode == policy.Balance {
			use = append(use, fmt.Sprintf("%s %d", u.Link, u.Weight))
		} else {
			use = append(use, u.Link)
		}
	}
	text := map[policy.SteerMode]string{policy.Failover: "failover", policy.Fixed: "fixed", policy.Balance: "balance", policy.Any: "any"}[s.Mode]
	if len(use) > 0 {
		text += ": " + strings.Join(use, ", ")
	}
	if len(text) > 120 { // the kernel keeps 128 bytes
		text = text[:117] + "..."
	}
	return text
}

// bucketRules are the rules that set the link bits of a flow's mark. steer.Choice repeats their arithmetic, so that "why"
// names the link that they pick.
func bucketRules(shared *chainSet, c steer.Choice, v6 bool) []string {
	if c.Refuse {
		return []string{fmt.Sprintf("ct mark set ct mark | %#x", uint32(flow.BlockedBit))}
	}
	if len(c.Buckets) == 1 {
		return []string{setLink(c.Buckets[0].Link, c.Buckets[0].Lent)}
	}
	var elements []string
	for _, r := range c.Ranges() {
		target := shared.add(linkChain(r.Link, r.Lent))
		elements = append(elements, fmt.Sprintf("%s : goto %s", interval(fmt.Sprint(r.First), fmt.Sprint(r.Last)), target))
	}
	mod := fmt.Sprintf("mod %d", c.Modulus())
	vmap := " vmap { " + strings.Join(elements, ", ") + " }"
	hash := func(of string) string { return fmt.Sprintf("jhash %s %s seed %#x%s", of, mod, steer.HashSeed, vmap) }
	// Also for packets without an Ethernet source: the router's own, and those from a tunnel.
	turn := "numgen inc " + mod + vmap
	switch c.Sticky {
	case policy.StickyHost:
		return []string{hash("ether saddr"), turn}
	case policy.StickySite:
		daddr := "ip daddr"
		if v6 {
			daddr = "ip6 daddr"
		}
		return []string{
			fmt.Sprintf("meta mark set meta mark & %#x", steer.SiteMark),
			"meta mark == 0 " + hash("ether saddr . "+daddr),
			hash("ether saddr . meta mark"),
			turn,
		}
	}
	return []string{turn}
}

// linkMask clears what a link chain sets.
const linkMask = ^uint32(flow.LinkMask | flow.LentBit)

func setLink(link flow.LinkID, lent bool) string {
	bits := uint32(link.Mark())
	if lent {
		bits |= uint32(flow.LentBit)
	}
	return fmt.Sprintf("ct mark set ct mark & %#x | %#x", linkMask, bits)
}

func linkChain(link flow.LinkID, lent bool) Chain {
	name := fmt.Sprintf("link_%d", link)
	if lent {
		name += "_lent"
	}
	return Chain{Name: name, Rules: []string{setLink(link, lent)}}
}
