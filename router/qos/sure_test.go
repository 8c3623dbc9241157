package qos

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
)

func TestSure(t *testing.T) {
	in := Input{
		Links:   []Link{{ID: 1, Name: "fiber", Device: "wan1", Capacity: both(100 * mbit)}},
		Devices: []flow.DeviceID{1, 2, 3},
		Terms: []Term{
			{Rule: "laptop", Rank: RankMust, Devices: []flow.DeviceID{1}, Guarantee: both(20 * mbit)},
			{Rule: "calls", Rank: RankMust, Devices: []flow.DeviceID{1}, Apps: []flow.AppClass{5}, Guarantee: both(5 * mbit)},
			{Rule: "phone", Rank: RankMust, Devices: []flow.DeviceID{2}, Guarantee: both(10 * mbit)},
		},
		Demands: []Demand{
			{Class{1, 1, 0}, both(mbit)}, {Class{1, 1, 4}, both(mbit)}, {Class{1, 1, 5}, both(mbit)}, // priorities 3, 3 and 5
			{Class{1, 2, 0}, both(mbit)}, {Class{1, 3, 0}, both(mbit)},
		},
	}
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	tree := p.Down.Shaping("trenza-down", 14)
	got := map[Class]Rate{}
	var sum Rate
	for id, r := range Sure(tree) {
		got[ClassOf(flow.Mark(id))] = (r + mbit/20) / (mbit / 10) // in tenths of a megabit: each leaf has a floor beside
		sum += r
	}
	if sum > 100*mbit {
		t.Errorf("%s are sure on a link of 100 Mbit/s", sum)
	}
	floor := got[Class{1, 3, 0}]
	want := map[Class]Rate{
		{1, 0, 0}: floor, {1, 3, 0}: floor, {1, 2, 0}: 100 + floor,
		{1, 1, 5}: 50 + floor, {1, 1, 0}: 75 + floor, {1, 1, 4}: 75 + floor,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in tenths of a megabit (-want +got):\n%s", diff)
	}
}
