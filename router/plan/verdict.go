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

// verdicts are the diagrams over one policy, one for each aspect, and the chains of their leaves. They run in the order of
// the fields: a blocked flow needs no more, and steering speaks the final word.
type verdicts struct {
	filter, log, qos, steer *diagram
	chains                  *chainSet
	choices                 *choices
}

func newVerdicts(p *policy.Compiled, names []NameClass) *verdicts {
	v := &verdicts{chains: newChainSet(), choices: newChoices()}
	index, asked, work := newNameIndex(names), questions(p), &budget{}
	start := func(a policy.Aspect, leaf func(policy.Verdict) (Chain, error)) *diagram {
		return &diagram{
			aspect: a, policy: p, names: index, leaf: leaf, asked: map[question]string{}, memo: map[step]string{}, bases: map[string]nameBase{}, chains: v.chains, budget: work,
			questions: asked, effects: map[string]int{}, effectOf: map[int]int{},
		}
	}
	v.filter = start(policy.AspectFilter, filterLeaf)
	v.log = start(policy.AspectLog, logLeaf)
	v.qos = start(policy.AspectQoS, qosLeaf)
	v.steer = start(policy.AspectSteer, v.steerLeaf)
	return v
}

// profile returns the chain that judges the flows of all devices to which exactly these rules apply.
func (v *verdicts) profile(rules ruleSet) (string, error) {
	var body []string
	for _, d := range []*diagram{v.filter, v.log, v.qos, v.steer} {
		entry, err := d.entry(rules)
		switch {
		case err != nil:
			return "", err
		case entry == passChain:
			continue
		case d == v.steer:
			body = append(body, "goto "+entry)
		default:
			body = append(body, "jump "+entry)
		}
		if d == v.filter {
			body = append(body, fmt.Sprintf("ct mark & %#x != 0 return", uint32(flow.BlockedBit)))
		}
	}
	name, _ := v.chains.addHashed("rules", body)
	return name, nil
}

// passChain is the leaf that changes nothing.
const passChain = "pass"

func pass() Chain { return Chain{Name: passChain, Rules: []string{"return"}} }

// filterLeaf ends the walk of the filter's diagram. A refused flow goes on with the blocked bit, since the answer
// (a reset or an ICMP error) is sent in the forward hook; a silent one ends here.
func filterLeaf(d policy.Verdict) (Chain, error) {
	switch {
	case d.Blocked && d.Silent:
		return Chain{Name: "drop_silently", Rules: []string{logCopy("drop"), "counter drop"}}, nil
	case d.Blocked:
		return Chain{Name: "refuse_flow", Rules: []string{
			logCopy("refuse"),
			fmt.Sprintf("counter ct mark set ct mark | %#x", uint32(flow.BlockedBit)),
		}}, nil
	}
	return pass(), nil
}

// logLeaf tells the daemon of a flow that a rule wants logged. Blocked flows are logged where they are blocked.
func logLeaf(d policy.Verdict) (Chain, error) {
	if !d.Log {
		return pass(), nil
	}
	return Chain{Name: "log_flow", Rules: []string{logCopy("log")}}, nil
}

func logCopy(word string) string {
	return fmt.Sprintf("limit rate 20/second burst 40 packets log prefix %q group %d snaplen 128", word, VerdictGroup)
}

// qosLeaf writes the application class.
func qosLeaf(d policy.Verdict) (Chain, error) {
	if d.Class == 0 {
		return pass(), nil
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
