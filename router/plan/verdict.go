package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

func sortedKeys[K ~uint8 | ~uint16 | ~uint32 | ~string, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

// NFLOG groups of the copies that the ruleset sends to the daemon.
const (
	NamesGroup   = 77 // first payload packets, to read names from
	VerdictGroup = 78 // first packets of flows that were blocked or that a rule wants logged
)

// verdicts are the three diagrams over one policy, and the chains of their leaves.
// Filter runs first, then QoS, then steering; the last one speaks the final word.
type verdicts struct {
	policy             *policy.Compiled
	names              nameIndex
	filter, qos, steer *diagram
	chains             *chainSet
	choices            *choices
}

func newVerdicts(p *policy.Compiled, names []NameClass) *verdicts {
	v := &verdicts{policy: p, names: newNameIndex(names), chains: newChainSet(), choices: newChoices()}
	v.start(policy.Subject{})
	return v
}

// forRouter judges the router's own traffic; chains and choices are shared with the devices'.
func (v *verdicts) forRouter() *verdicts {
	own := *v
	own.start(policy.Subject{Router: true})
	return &own
}

func (v *verdicts) start(s policy.Subject) {
	start := func(a policy.Aspect, leaf func(policy.Verdict) (Chain, error)) *diagram {
		return &diagram{
			aspect: a, policy: v.policy, names: v.names, memo: map[string]string{}, chains: v.chains,
			leaf: func(rules ruleSet) (Chain, error) { return leaf(v.policy.Verdict(s, rules)) },
		}
	}
	v.filter = start(policy.AspectFilter, filterLeaf)
	v.qos = start(policy.AspectQoS, qosLeaf)
	v.steer = start(policy.AspectSteer, v.steerLeaf)
}

// profile returns the chain that judges the flows of all devices to which exactly these rules apply.
func (v *verdicts) profile(rules ruleSet) (string, error) {
	var body []string
	for _, d := range []*diagram{v.filter, v.qos, v.steer} {
		entry, err := d.build(byName, rules)
		if err != nil {
			return "", err
		}
		switch {
		case d == v.steer:
			body = append(body, "goto "+entry)
		case entry == passChain:
		default:
			body = append(body, "jump "+entry)
		}
		if d == v.filter && entry != passChain {
			body = append(body, fmt.Sprintf("ct mark & %#x != 0 return", uint32(flow.BlockedBit)))
		}
	}
	return v.chains.addHashed("rules", body), nil
}

// passChain is the leaf that changes nothing.
const passChain = "pass"

// filterLeaf ends the walk of the filter's diagram. A refused flow goes on with the blocked bit, since the answer
// (a reset or an ICMP error) is sent in the forward hook; a silent one ends here.
func filterLeaf(d policy.Verdict) (Chain, error) {
	log := func(word string) string {
		return fmt.Sprintf("limit rate 20/second burst 40 packets log prefix %q group %d snaplen 128", word, VerdictGroup)
	}
	switch {
	case d.Blocked && d.Silent:
		return Chain{Name: "drop_silently", Rules: []string{log("drop"), "counter drop"}}, nil
	case d.Blocked:
		return Chain{Name: "refuse_flow", Rules: []string{
			log("refuse"),
			fmt.Sprintf("counter ct mark set ct mark | %#x", uint32(flow.BlockedBit)),
		}}, nil
	case d.Log:
		return Chain{Name: "log_flow", Rules: []string{log("log")}}, nil
	}
	return Chain{Name: passChain, Rules: []string{"return"}}, nil
}

// qosLeaf writes the application class.
func qosLeaf(d policy.Verdict) (Chain, error) {
	if d.Class == 0 {
		return Chain{Name: passChain, Rules: []string{"return"}}, nil
	}
	return Chain{Name: fmt.Sprintf("class_%d", d.Class), Rules: []string{
		fmt.Sprintf("ct mark set ct mark & %#x | %#x", ^uint32(flow.AppMask), uint32(d.Class.Mark())),
	}}, nil
}

// steerLeaf writes the choice and goes where it is made.
func (v *verdicts) steerLeaf(d policy.Verdict) (Chain, error) {
	id, err := v.choices.intern(d.Steer)
	if err != nil {
		return Chain{}, err
	}
	return Chain{Name: fmt.Sprintf("steer_%d", id), Rules: []string{
		fmt.Sprintf("ct mark set ct mark & %#x | %#x", ^uint32(flow.ChoiceMask), uint32(id.Mark()|flow.JudgedBit)),
		"goto " + choiceChain(id),
	}}, nil
}
