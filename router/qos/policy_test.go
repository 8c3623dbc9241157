package qos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

const officePolicy = `
people: [{id: mara}]
devices: [{id: pc, owner: mara, macs: ["02:00:00:00:00:01"]}]
house:
  - {id: calls, force: must, what: {services: [udp/5000-6000]}, qos: {class: realtime, guarantee: {up: 2mbit, down: 4mbit}}}
  - {id: fair, force: bound, qos: {cap: {down: 50mbit}, priority: {min: 2, max: 4}}}
  - {id: usual, force: default, qos: {cap: {up: 8mbit}}}
personal:
  mara:
    - {id: quick, what: {services: [tcp/22]}, qos: {class: interactive, priority: 0, guarantee: {up: 100kbit}}}
`

// TestFromDecision: each thing that a decision says becomes a term of the rule that said it, with that rule's rank.
func TestFromDecision(t *testing.T) {
	p, err := policy.Parse("test", []byte(officePolicy))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := policy.Compile(p, policy.Known{})
	if err != nil {
		t.Fatal(err)
	}
	rule := func(id string) *policy.Rule {
		for i := range c.Len() {
			if r := c.Rule(i); r.ID == id {
				return r
			}
		}
		return nil
	}
	who := []flow.DeviceID{1}
	for _, tt := range []struct {
		name string
		to   policy.Target
		apps []flow.AppClass
		want []Term
	}{
		{"a must's guarantee, bounds' cap and range", policy.Target{Proto: flow.ProtoUDP, Port: 5001}, []flow.AppClass{1}, []Term{
			{Rule: "calls", Rank: RankMust, Devices: who, Apps: []flow.AppClass{1}, Guarantee: Rates{Up: 2 * mbit, Down: 4 * mbit}},
			{Rule: "usual", Rank: RankDefault, Devices: who, Apps: []flow.AppClass{1}, Cap: Rates{Up: 8 * mbit, Down: 50 * mbit}},
			{Rule: "fair", Rank: RankBound, Devices: who, Apps: []flow.AppClass{1}, Priority: number(2)},
		}},
		{"a user's, held in the range", policy.Target{Proto: flow.ProtoTCP, Port: 22}, []flow.AppClass{2}, []Term{
			{Rule: "quick", Rank: RankUser, Devices: who, Apps: []flow.AppClass{2}, Guarantee: Rates{Up: 100 * kbit}},
			{Rule: "usual", Rank: RankDefault, Devices: who, Apps: []flow.AppClass{2}, Cap: Rates{Up: 8 * mbit, Down: 50 * mbit}},
			{Rule: "quick", Rank: RankUser, Devices: who, Apps: []flow.AppClass{2}, Priority: number(2)},
		}},
		{"a device as a whole", policy.Target{}, nil, []Term{
			{Rule: "usual", Rank: RankDefault, Devices: who, Cap: Rates{Up: 8 * mbit, Down: 50 * mbit}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := c.Decide(policy.Query{Subject: c.Subject("pc"), Target: tt.to, Time: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)})
			if diff := cmp.Diff(tt.want, FromDecision(d, rule, who, tt.apps)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
