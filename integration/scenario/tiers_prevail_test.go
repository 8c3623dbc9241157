package scenario

import (
	"slices"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/webui/api"
)

// tierCase is a rule of a person against rules of the house, and what the person's flow does while the house's
// rule holds and after it is lifted.
type tierCase struct {
	name     string
	house    string // the rule that prevails, without its "- "
	rest     string // more rules of the house, which stay: lines of YAML
	personal string // the person's rule, without its "- "
	aspect   string // "steer" or "filter"

	to string

	prevails string   // the rule that "why" names while the house's rule stands
	outcome  string   // of the person's rule then
	by       string   // the rule that "why" says it lost to
	links    []string // with the house's rule, whether the person has theirs or not; none when refused
	narrowed []string // set: where the person's rule may choose inside the house's
	freed    []string // when the house's rule is lifted
}

func (c tierCase) policy(house, personal bool) string {
	s := people + "house:\n  - {id: usual, force: default, steer: {mode: fixed, use: [fiber]}}\n"
	if c.rest != "" {
		s += "  - " + c.rest + "\n"
	}
	if house {
		s += "  - " + c.house + "\n"
	}
	if personal {
		s += "personal:\n  ana:\n    - " + c.personal + "\n"
	}
	return s
}

func tierCases() []tierCase {
	fiber, wifi, lte := []string{"fiber"}, []string{"wifi"}, []string{"lte"}
	return []tierCase{
		{
			name:     "must against a personal choice of link",
			house:    `{id: house, force: must, what: {apps: [netflix]}, steer: {mode: fixed, use: [wifi]}}`,
			personal: `{id: mine, what: {domains: ["=www.netflix.com"]}, priority: 1000, steer: {mode: fixed, use: [lte]}}`,
			aspect:   "steer", to: "www.netflix.com", prevails: "house", outcome: "overruled", by: "house", links: wifi, freed: lte,
		}, {
			name:     "must of everything against a rule for one device",
			house:    `{id: house, force: must, steer: {use: [wifi, fiber]}}`,
			personal: `{id: mine, who: {devices: [laptop]}, steer: {mode: fixed, use: [lte]}}`,
			aspect:   "steer", to: "198.51.100.120", prevails: "house", outcome: "overruled", by: "house", links: wifi, freed: lte,
		}, {
			name:     "a choice outside a bound",
			house:    `{id: house, force: bound, what: {categories: [video]}, steer: {forbid: [lte]}}`,
			personal: `{id: mine, what: {apps: [youtube]}, steer: {mode: fixed, use: [lte]}}`,
			aspect:   "steer", to: "www.youtube.com", prevails: "usual", outcome: "overruled", by: "house", links: fiber, freed: lte,
		}, {
			name:     "a choice partly outside a bound",
			house:    `{id: house, force: bound, steer: {allow: [fiber, wifi]}}`,
			personal: `{id: mine, what: {apps: [zoom]}, steer: {use: [lte, wifi]}}`,
			aspect:   "steer", to: "us04web.zoom.us", prevails: "mine", outcome: "clamped", by: "house", links: fiber, narrowed: wifi, freed: lte,
		}, {
			name:     "two bounds that leave one link",
			house:    `{id: house, force: bound, who: {people: [ana]}, steer: {forbid: [wifi]}}`,
			rest:     `{id: other, force: bound, steer: {forbid: [lte]}}`,
			personal: `{id: mine, what: {domains: [ing.de]}, steer: {use: [lte, wifi]}}`,
			aspect:   "steer", to: "www.ing.de", prevails: "usual", outcome: "overruled", links: fiber, freed: wifi,
		}, {
			name:     "must block against a personal allow",
			house:    `{id: house, force: must, what: {apps: [bet365]}, filter: {block: true}}`,
			personal: `{id: mine, what: {domains: [bet365.com]}, filter: {allow: true}}`,
			aspect:   "filter", to: "www.bet365.com", prevails: "house", outcome: "overruled", by: "house", links: nil, freed: fiber,
		}, {
			name:     "must allow against a personal block",
			house:    `{id: house, force: must, what: {apps: [github]}, filter: {allow: true}}`,
			personal: `{id: mine, what: {categories: [development]}, filter: {block: true}}`,
			aspect:   "filter", to: "github.com", prevails: "house", outcome: "overruled", by: "house", links: fiber, freed: nil,
		}, {
			name:     "least mode deny-all against a personal allow",
			house:    `{id: house, force: bound, who: {devices: [laptop]}, filter: {mode: deny-all}}`,
			personal: `{id: mine, what: {addresses: [203.0.113.0/24, "2001:db8:100:10::/64"]}, filter: {allow: true}}`,
			aspect:   "filter", to: "i.ytimg.com", prevails: "house", outcome: "overruled", by: "house", links: nil, freed: fiber,
		}, {
			name:     "least mode filter against a personal mode allow-all",
			house:    `{id: house, force: bound, filter: {mode: filter}}`,
			rest:     `{id: adverts, force: default, what: {categories: [advertising]}, filter: {block: true}}`,
			personal: `{id: mine, filter: {mode: allow-all}}`,
			aspect:   "filter", to: "googleads.g.doubleclick.net", prevails: "adverts", outcome: "clamped", by: "house", links: nil, freed: fiber,
		},
	}
}

// TestTiersPrevail: a person's rule against the house's changes nothing, "why" says which rule prevailed, and when the house
// lifts its rule the person's is in force for the next flow.
func TestTiersPrevail(t *testing.T) {
	h := newHouse(t, people)
	for _, c := range tierCases() {
		t.Run(c.name, func(t *testing.T) {
			const host = "laptop"
			h.setPolicy(t, c.policy(true, false))
			h.goes(t, host, c.to, c.links, "without the person's rule")
			h.setPolicy(t, c.policy(true, true))
			bound := c.links
			if c.narrowed != nil {
				bound = c.narrowed
			}
			a := h.goes(t, host, c.to, bound, "with the person's rule")
			if got := deciding(a, c.aspect); got != c.prevails {
				t.Errorf("%q prevails, want %q: %s", got, c.prevails, sentences(a, c.aspect))
			}
			r, ok := reasonOf(a, c.aspect, "mine")
			by := ""
			if r.By != nil {
				by = *r.By
			}
			if !ok || string(r.Outcome) != c.outcome || c.by != "" && by != c.by || r.Text == "" {
				t.Errorf("the person's rule is %q by %q, want %q by %q: %s", r.Outcome, by, c.outcome, c.by, sentences(a, c.aspect))
			}
			h.setPolicy(t, c.policy(false, true))
			a = h.goes(t, host, c.to, c.freed, "with the house's rule lifted")
			if got := deciding(a, c.aspect); got != "mine" {
				t.Errorf("with the house's rule lifted %q prevails, want the person's: %s", got, sentences(a, c.aspect))
			}
			h.setPolicy(t, c.policy(true, true))
			h.goes(t, host, c.to, bound, "with the house's rule back")
		})
	}
	// A rule is about its person's devices alone.
	c := tierCases()[0]
	h.setPolicy(t, c.policy(false, true))
	h.goes(t, "laptop", c.to, []string{"lte"}, "by its own person's rule")
	h.goes(t, "phone", c.to, []string{"fiber"}, "by another person's rule")
	h.goes(t, "tv", c.to, []string{"fiber"}, "by a person's rule, on a device of the house")
}

// TestTiersLiftable: what the house marks as liftable, a person may lift, and nobody else.
func TestTiersLiftable(t *testing.T) {
	const house = people + `
house:
  - {id: usual, force: default, steer: {mode: fixed, use: [fiber]}}
  - {id: no-gambling, force: must, what: {categories: [gambling]}, filter: {block: true, liftable: true}}
  - {id: closed, force: must, who: {devices: [phone]}, filter: {mode: deny-all, liftable: true}}
`
	h := newHouse(t, house)
	h.goes(t, "laptop", "www.bet365.com", nil, "while nobody lifts it")
	h.goes(t, "phone", "www.ing.de", nil, "in a closed house")
	h.setPolicy(t, house+`
personal:
  ana:
    - {id: ana-lifts, what: {apps: [bet365]}, filter: {allow: true}}
  leo:
    - {id: leo-bank, what: {apps: [ing]}, filter: {allow: true}}
`)
	a := h.goes(t, "laptop", "www.bet365.com", []string{"fiber"}, "lifted by its owner")
	if r, _ := reasonOf(a, "filter", "no-gambling"); r.Outcome != api.ReasonOutcomeOverruled {
		t.Errorf("the lifted rule is %q: %s", r.Outcome, sentences(a, "filter"))
	}
	h.goes(t, "tv", "www.bet365.com", nil, "lifted by somebody else")
	h.goes(t, "phone", "www.ing.de", []string{"fiber"}, "allowed by its owner")
	h.goes(t, "phone", "github.com", nil, "allowed by nobody")
}

// goes checks that "why" and the next flow of a host to a site agree on the links, none of them when it is to be refused.
func (h *house) goes(t testing.TB, host, to string, want []string, when string) *api.Answer {
	t.Helper()
	a := h.why(t, question{device: host, to: to, port: 443})
	for _, f := range a.Families {
		v6 := f.Family == 6
		if got := linksFor(a, v6); !slices.Equal(got, want) {
			t.Errorf("%s to %s %s: why says %v over IPv%d, want %v: %s", host, to, when, got, f.Family, want, a.Sentence)
		}
		flow := errand{kind: "h2", to: to, port: 443, family: map[bool]client.Family{false: client.V4, true: client.V6}[v6]}
		if mustNotBeName(to) {
			flow.kind, flow.port = "tcp", 7
		}
		r := h.try(t.Context(), nil, host, flow, len(want) == 0)
		switch {
		case len(want) == 0 && (len(r.seen) > 0 || r.cause != client.Refused):
			t.Errorf("%s to %s %s: %v was seen from %v and ended with %q (%v), want it refused", host, to, when, flow, r.seen, r.cause, r.err)
		case len(want) > 0 && (len(r.seen) != 1 || !slices.Contains(want, h.linkOf(r.seen[0]))):
			t.Errorf("%s to %s %s: %v was seen from %v (%v), want link %v", host, to, when, flow, r.seen, r.err, want)
		}
	}
	if a.Blocked != (len(want) == 0) {
		t.Errorf("%s to %s %s: why says blocked = %v: %s", host, to, when, a.Blocked, a.Sentence)
	}
	return a
}

// mustNotBeName tells an address from a name.
func mustNotBeName(to string) bool {
	return !strings.ContainsFunc(to, func(r rune) bool { return r >= 'g' && r <= 'z' })
}

// deciding is the rule that made the answer for an aspect. A bound that decides a mode counts as the decider.
func deciding(a *api.Answer, aspect string) string {
	if r := prevailing(a, aspect); r != "" {
		return r
	}
	for _, r := range a.Reasons {
		if string(r.Aspect) == aspect && r.Outcome == "limited" && r.Rule != nil {
			return *r.Rule
		}
	}
	return ""
}

// sentences are the reasons of an aspect, for messages.
func sentences(a *api.Answer, aspect string) string {
	var out []string
	for _, r := range a.Reasons {
		if string(r.Aspect) == aspect {
			out = append(out, r.Text)
		}
	}
	return strings.Join(out, " ")
}
