package qos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

const familyPolicy = `
people: [{id: leo}, {id: ana}]
devices:
  - {id: phone, owner: leo, macs: ["02:00:00:00:00:01"]}
  - {id: console, owner: leo, macs: ["02:00:00:00:00:02"]}
  - {id: laptop, owner: ana, macs: ["02:00:00:00:00:03"]}
  - {id: tv, macs: ["02:00:00:00:00:04"]}
groups: [{id: screens, devices: [tv, console]}]
house:
  - {id: calls, force: must, what: {services: [udp/5000-6000]}, qos: {class: realtime, guarantee: {up: 2mbit, down: 4mbit}}}
  - {id: leo-cap, force: must, who: {people: [leo]}, qos: {cap: {down: 20mbit}}}
  - {id: screens-cap, force: bound, who: {groups: [screens]}, qos: {cap: {down: 30mbit}, guarantee: {down: 5mbit}}}
  - {id: slow-copies, force: bound, what: {services: [tcp/873]}, qos: {cap: {up: 1mbit}}}
personal:
  ana:
    - {id: ana-all, qos: {guarantee: {up: 1mbit}}}
    - {id: ana-copies, what: {services: [tcp/873]}, qos: {class: bulk}}
`

func family(t *testing.T) (*policy.Compiled, []Subject) {
	t.Helper()
	p, err := policy.Parse("test", []byte(familyPolicy))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := policy.Compile(p, policy.Known{})
	if err != nil {
		t.Fatal(err)
	}
	var all []Subject
	for i, id := range []string{"phone", "console", "laptop", "tv", "stranger"} {
		all = append(all, Subject{flow.DeviceID(i + 1), c.Subject(id)})
	}
	return c, all
}

// TestTerms: a person's amount is one over the person's devices, others are each device's; flows that are promised something have a
// class of their own, with the priority of the class that they are said to be of.
func TestTerms(t *testing.T) {
	c, all := family(t)
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	calls := func(d flow.DeviceID) []Term {
		who, apps := []flow.DeviceID{d}, []flow.AppClass{7}
		return []Term{
			{Rule: "calls", Rank: RankMust, Devices: who, Apps: apps, Guarantee: Rates{Up: 2 * mbit, Down: 4 * mbit}},
			{Rule: "calls", Rank: RankMust, Devices: who, Apps: apps, Priority: number(0)},
		}
	}
	copies := func(d flow.DeviceID, priority uint8) []Term {
		who, apps := []flow.DeviceID{d}, []flow.AppClass{8}
		return []Term{
			{Rule: "slow-copies", Rank: RankBound, Devices: who, Apps: apps, Cap: Rates{Up: mbit}},
			{Rule: "slow-copies", Rank: RankBound, Devices: who, Apps: apps, Priority: number(priority)},
		}
	}
	var want []Term
	for d := range flow.DeviceID(5) {
		d++
		want = append(want, calls(d)...)
		priority := uint8(3)
		if d == 3 {
			priority = 5 // ana says that her copies are bulk
		}
		want = append(want, copies(d, priority)...)
	}
	want = append(want,
		Term{Rule: "leo-cap", Rank: RankMust, Person: "leo", Devices: []flow.DeviceID{1, 2}, Cap: Rates{Down: 20 * mbit}},
		Term{Rule: "ana-all", Rank: RankUser, Person: "ana", Devices: []flow.DeviceID{3}, Guarantee: Rates{Up: mbit}},
		Term{Rule: "screens-cap", Rank: RankBound, Devices: []flow.DeviceID{2}, Budget: Rates{Down: 5 * mbit}},
		Term{Rule: "screens-cap", Rank: RankBound, Devices: []flow.DeviceID{4}, Budget: Rates{Down: 5 * mbit}},
		Term{Rule: "screens-cap", Rank: RankBound, Devices: []flow.DeviceID{4}, Cap: Rates{Down: 30 * mbit}},
	)
	got := Terms(c, at, all)
	order := cmpopts.SortSlices(func(a, b Term) bool { return text(a) < text(b) })
	if diff := cmp.Diff(want, got, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// All of it together is a tree.
	in := Input{Links: []Link{{ID: 1, Name: "fiber", Device: "wan1", Capacity: Rates{Up: 10 * mbit, Down: 50 * mbit}, Header: 14}}, Terms: got, Devices: []flow.DeviceID{1, 2, 3, 4, 5}}
	for d := range flow.DeviceID(5) {
		in.Demands = append(in.Demands, Demand{Class: Class{1, d + 1, 0}}, Demand{Class: Class{1, d + 1, 7}}, Demand{Class: Class{1, d + 1, 8}})
	}
	if _, err := Build(in); err != nil {
		t.Error(err)
	}
}

func text(t Term) string {
	p := ""
	if t.Priority != nil {
		p = string('0' + rune(*t.Priority))
	}
	return t.Rule + p + string(rune('a'+len(t.Devices))) + string('0'+rune(t.Devices[0])) + t.Guarantee.Down.String() + t.Cap.Down.String() + t.Budget.Down.String()
}

// TestFlowsHaveTheClassOfTheirRule: the decision about a flow names the class that its terms are for.
func TestFlowsHaveTheClassOfTheirRule(t *testing.T) {
	c, _ := family(t)
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		to   policy.Target
		want flow.AppClass
	}{
		{policy.Target{Proto: flow.ProtoUDP, Port: 5001}, 7},
		{policy.Target{Proto: flow.ProtoTCP, Port: 873}, 8},
		{policy.Target{Proto: flow.ProtoTCP, Port: 443}, 0},
	} {
		if d := c.Decide(policy.Query{Subject: c.Subject("laptop"), Target: tt.to, Time: at}); d.Class != tt.want {
			t.Errorf("a flow to port %d has class %d, want %d", tt.to.Port, d.Class, tt.want)
		}
	}
}

// TestScheduleAndQuotaThrottle: a cap with a schedule is there in its time alone; what a rule says of spent links is a term of its own.
func TestScheduleAndQuotaThrottle(t *testing.T) {
	p, err := policy.Parse("test", []byte(`
time_zone: UTC
devices: [{id: tv, macs: ["02:00:00:00:00:04"]}]
house:
  - {id: night, force: must, when: ["22:00-06:00"], qos: {cap: {down: 256kbit}}}
  - {id: spent, force: bound, qos: {throttle: {down: 512kbit, up: 64kbit}}}
  - {id: copies, force: must, what: {services: [tcp/873]}, qos: {class: bulk, throttle: {up: 16kbit}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := policy.Compile(p, policy.Known{})
	if err != nil {
		t.Fatal(err)
	}
	tv := []flow.DeviceID{4}
	always := []Term{
		{Rule: "spent", Rank: RankBound, Devices: tv, Spent: true, Cap: Rates{Up: 64 * kbit, Down: 512 * kbit}},
		{Rule: "copies", Rank: RankMust, Devices: tv, Apps: []flow.AppClass{7}, Spent: true, Cap: Rates{Up: 16 * kbit}},
		{Rule: "copies", Rank: RankMust, Devices: tv, Apps: []flow.AppClass{7}, Priority: number(5)},
	}
	night := append([]Term{{Rule: "night", Rank: RankMust, Devices: tv, Cap: Rates{Down: 256 * kbit}}}, always...)
	for hour, want := range map[int][]Term{12: always, 23: night} {
		got := Terms(c, time.Date(2026, 3, 4, hour, 0, 0, 0, time.UTC), []Subject{{4, c.Subject("tv")}})
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("at %d o'clock: %s", hour, diff)
		}
	}
}
