package plan

import (
	"fmt"
	"slices"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// judgement is what a policy means for the devices that there are: the part of a plan in which no link's condition has a part.
// It is never changed after it was made.
type judgement struct {
	policy *policy.Compiled
	names  []NameClass
	asked  []subject

	chains        []Chain
	choices       *choices
	profiles      map[flow.DeviceID]string
	fallback, own string
}

// subject is someone whose flows are judged, with the rules that apply now.
type subject struct {
	who    string // for messages
	device flow.DeviceID
	rules  ruleSet
}

// subjects are all whose flows are judged: devices not seen before (number 0) first, since what holds for everyone is
// shared by the devices with rules of their own; then the devices; then the router itself.
func (in Input) subjects() []subject {
	list := make([]subject, 0, len(in.Devices)+2)
	add := func(who string, n flow.DeviceID, s policy.Subject) {
		// A first packet has no content: rules about it are the deep path's, see deep.go.
		rules := slices.DeleteFunc(in.Policy.Active(s, in.Now), in.Policy.HasContent)
		list = append(list, subject{who, n, rules})
	}
	add("devices not seen before", 0, policy.Subject{})
	for _, d := range in.Devices {
		add(fmt.Sprintf("device %q", d.ID), d.Number, in.Policy.Subject(d.ID))
	}
	add("the router itself", flow.RouterDevice, policy.Subject{Router: true})
	return list
}

// answers tells whether a judgement holds for other input, too.
func (j *judgement) answers(in Input, asked []subject) bool {
	return j != nil && j.policy == in.Policy &&
		slices.EqualFunc(j.asked, asked, func(a, b subject) bool {
			return a.device == b.device && slices.Equal(a.rules, b.rules)
		}) &&
		slices.EqualFunc(j.names, in.Names, func(a, b NameClass) bool {
			return a.Class == b.Class && a.App == b.App && a.Category == b.Category && slices.Equal(a.Domains, b.Domains)
		})
}

// judge builds the diagrams of all subjects. Subjects to whom the same rules apply share everything.
func judge(in Input, asked []subject) (*judgement, error) {
	v := newVerdicts(in.Policy, in.Names)
	byRules := map[setKey]string{}
	j := &judgement{policy: in.Policy, names: in.Names, asked: asked, choices: v.choices, profiles: map[flow.DeviceID]string{}}
	for _, s := range asked {
		profile, known := byRules[s.rules.key()]
		if !known {
			var err error
			if profile, err = v.profile(s.rules); err != nil {
				return nil, fmt.Errorf("planning the kernel's state for %s: %w", s.who, err)
			}
			byRules[s.rules.key()] = profile
		}
		switch s.device {
		case 0:
			j.fallback = profile
		case flow.RouterDevice:
			j.own = profile
		default:
			j.profiles[s.device] = profile
		}
	}
	j.chains = v.chains.list
	return j, nil
}
