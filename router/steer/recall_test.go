package steer

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// flush writes a Flush as the tests below think of it.
type flush struct {
	Link   flow.LinkID
	Lent   bool
	Choice flow.ChoiceID // 0: any
}

func readable(t *testing.T, flushes []Flush) []flush {
	t.Helper()
	var out []flush
	for _, f := range flushes {
		if f.Mark&^f.Mask != 0 {
			t.Errorf("mark %#x has bits outside its mask %#x", uint32(f.Mark), uint32(f.Mask))
		}
		if f.Mask&flow.LinkMask == 0 || f.Why == "" {
			t.Errorf("%+v: no link or no reason", f)
		}
		if f.Mark.Lent() == (f.Mask&flow.InboundBit != 0) || f.Mark.Inbound() {
			t.Errorf("%+v: a dead link's flush spares inbound connections, and only that", f)
		}
		out = append(out, flush{f.Mark.Link(), f.Mark.Lent(), f.Mark.Choice()})
	}
	return out
}

func TestRecall(t *testing.T) {
	var (
		failover = policy.Steer{Use: use("fiber", "cable", "lte")}
		moving   = policy.Steer{Use: use("fiber", "cable", "lte"), Failback: policy.Move}
		killed   = policy.Steer{Use: use("fiber"), KillSwitch: true}
		careless = policy.Steer{Use: use("lte"), OverQuota: true}
		onLTE    = policy.Steer{Use: use("lte", "cable")}
		halves   = policy.Steer{Mode: policy.Balance, Sticky: policy.StickyHost, Use: []policy.LinkShare{
			{Link: "fiber", Weight: 1}, {Link: "cable", Weight: 1}, {Link: "wifi", Weight: 1}, {Link: "lte", Weight: 1}}}
		halvesMoving = halves
	)
	halvesMoving.Failback = policy.Move
	tests := []struct {
		name     string
		old, new []LinkCondition
		steers   []policy.Steer // choice 1, 2, ...
		want     []flush
	}{
		{"nothing changed", home(), home(), []policy.Steer{failover, moving, halves}, nil},
		{"a link dies: everything on it in one walk", home(), home(dead("fiber")), []policy.Steer{failover, halves},
			[]flush{{1, false, 0}}},
		{"a link dies and one rule has no other", home(), home(dead("fiber")), []policy.Steer{failover, killed},
			[]flush{{1, false, 1}}},
		{"the last link dies", home(dead("cable", "wifi", "lte")), home(dead("fiber", "cable", "wifi", "lte")), []policy.Steer{failover, killed}, nil},
		{"a living target comes back only now", home(dead("fiber", "cable", "wifi", "lte")), home(dead("fiber", "cable", "lte")), []policy.Steer{failover, killed},
			[]flush{{1, false, 1}, {2, false, 1}, {4, false, 1}}},
		{"drain", home(dead("fiber")), home(), []policy.Steer{failover}, nil},
		{"move", home(dead("fiber")), home(), []policy.Steer{failover, moving}, []flush{{2, true, 2}}},
		{"backup is left at once", home(dead("fiber", "cable")), home(dead("fiber")), []policy.Steer{failover},
			[]flush{{4, true, 0}}},
		{"backup is left by those who may", home(dead("fiber", "cable", "wifi")), home(dead("fiber", "wifi")),
			[]policy.Steer{failover, {Use: use("wifi", "lte")}}, []flush{{4, true, 1}}},
		{"a dead guest's host: no second flush", home(dead("fiber")), home(dead("fiber", "cable")), []policy.Steer{moving},
			[]flush{{2, false, 0}}},
		{"one of two dead members is back", home(dead("fiber", "cable")), home(dead("cable")), []policy.Steer{halves, halvesMoving},
			[]flush{{3, true, 2}, {4, true, 1}, {4, true, 2}}},
		{"quota spent", home(), home(spent("lte")), []policy.Steer{onLTE, careless, failover},
			[]flush{{4, false, 1}, {4, false, 3}}},
		{"quota spent and a guest of another's balance", home(dead("wifi")), home(dead("wifi"), spent("lte")), []policy.Steer{halves},
			[]flush{{4, false, 0}, {4, true, 0}}},
		{"at start: the dead and all guests", nil, home(dead("cable")), []policy.Steer{failover, moving},
			[]flush{{1, true, 2}, {2, false, 0}, {3, true, 2}, {4, true, 0}, {5, false, 0}}},
		{"no choices", home(), home(dead("fiber")), nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			choices := map[flow.ChoiceID]Choice{}
			for i, s := range tt.steers {
				choices[flow.ChoiceID(i+1)] = Resolve(s, tt.new)
			}
			if diff := cmp.Diff(tt.want, readable(t, Recall(tt.old, tt.new, choices))); diff != "" {
				t.Errorf("flushes (-want +got):\n%s", diff)
			}
		})
	}
}
