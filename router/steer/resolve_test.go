package steer

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/policy"
)

// home is a household with two primaries, a secondary, a metered backup and a link that nobody may use.
func home(change ...func(map[string]*LinkCondition)) []LinkCondition {
	links := []LinkCondition{
		{ID: 1, Name: "fiber", Role: Primary, Usable: true, Weight: 70},
		{ID: 2, Name: "cable", Role: Primary, Usable: true, Weight: 30},
		{ID: 3, Name: "wifi", Role: Secondary, Usable: true, Weight: 50},
		{ID: 4, Name: "lte", Role: Backup, Usable: true, Metered: true, Weight: 10},
		{ID: 5, Name: "lab", Role: Never, Usable: true, Weight: 10},
	}
	at := map[string]*LinkCondition{}
	for i := range links {
		at[links[i].Name] = &links[i]
	}
	for _, f := range change {
		f(at)
	}
	return links
}

func dead(names ...string) func(map[string]*LinkCondition) {
	return func(at map[string]*LinkCondition) {
		for _, n := range names {
			at[n].Usable = false
		}
	}
}

func degraded(names ...string) func(map[string]*LinkCondition) {
	return func(at map[string]*LinkCondition) {
		for _, n := range names {
			at[n].Degraded = true
		}
	}
}

func spent(names ...string) func(map[string]*LinkCondition) {
	return func(at map[string]*LinkCondition) {
		for _, n := range names {
			at[n].OverQuota = true
		}
	}
}

func use(names ...string) []policy.LinkShare {
	var out []policy.LinkShare
	for _, n := range names {
		out = append(out, policy.LinkShare{Link: n})
	}
	return out
}

func TestResolve(t *testing.T) {
	balance := policy.Steer{Mode: policy.Balance, Sticky: policy.StickyHost,
		Use: []policy.LinkShare{{Link: "fiber", Weight: 50}, {Link: "cable", Weight: 30}, {Link: "wifi", Weight: 20}}}
	tests := []struct {
		name  string
		steer policy.Steer
		links []LinkCondition
		want  []Bucket // nil: refused
		why   string
	}{
		{"failover: first", policy.Steer{Use: use("wifi", "fiber")}, home(),
			[]Bucket{{3, 1, false}}, "wifi is the rule's first link."},
		{"failover: second is lent", policy.Steer{Use: use("wifi", "fiber")}, home(dead("wifi")),
			[]Bucket{{1, 1, true}}, "wifi is out of use; fiber is the rule's next link and stands in."},
		{"failover: a backup that is named first is no guest", policy.Steer{Use: use("lte", "fiber")}, home(),
			[]Bucket{{4, 1, false}}, "lte is the rule's first link."},
		{"failover: a degraded link lives", policy.Steer{Use: use("wifi", "fiber")}, home(degraded("wifi")),
			[]Bucket{{3, 1, false}}, "wifi is the rule's first link."},
		{"failover: links that do not exist or never serve are passed over", policy.Steer{Use: use("lab", "dsl", "wifi")}, home(),
			[]Bucket{{3, 1, false}}, "wifi is the rule's first link."},
		{"failover: beyond the list by the router's order", policy.Steer{Use: use("wifi")}, home(dead("wifi", "cable")),
			[]Bucket{{1, 1, true}}, "wifi is out of use; fiber stands in by the router's own order."},
		{"failover: kill switch", policy.Steer{Use: use("wifi"), KillSwitch: true}, home(dead("wifi")),
			nil, "wifi is out of use and the rule's kill switch forbids any other link."},
		{"failover: never beyond a bound", policy.Steer{Use: use("wifi"), Forbid: []string{"fiber", "cable"}}, home(dead("wifi")),
			[]Bucket{{4, 1, true}}, "wifi is out of use; lte stands in by the router's own order."},
		{"failover: only inside what is allowed", policy.Steer{Use: use("wifi"), Allow: []string{"wifi"}}, home(dead("wifi")),
			nil, "wifi is out of use and no other link can take the flow."},
		{"failover: nothing lives", policy.Steer{Use: use("fiber", "wifi")}, home(dead("fiber", "cable", "wifi", "lte")),
			nil, "fiber is out of use and wifi is out of use and no other link can take the flow."},
		{"failover: spent quota", policy.Steer{Use: use("lte", "wifi")}, home(spent("lte")),
			[]Bucket{{3, 1, true}}, "lte has spent its data quota; wifi is the rule's next link and stands in."},
		{"failover: spent quota and a rule that does not care", policy.Steer{Use: use("lte", "wifi"), OverQuota: true}, home(spent("lte")),
			[]Bucket{{4, 1, false}}, "lte is the rule's first link."},

		{"fixed", policy.Steer{Mode: policy.Fixed, Use: use("lte")}, home(),
			[]Bucket{{4, 1, false}}, "The rule is fixed to lte."},
		{"fixed: dead", policy.Steer{Mode: policy.Fixed, Use: use("lte")}, home(dead("lte")),
			nil, "lte is out of use and the rule allows no other link."},
		{"fixed: unknown", policy.Steer{Mode: policy.Fixed, Use: use("dsl")}, home(),
			nil, "There is no link dsl that this rule may use, and it allows no other."},
		{"fixed: never", policy.Steer{Mode: policy.Fixed, Use: use("lab")}, home(),
			nil, "There is no link lab that this rule may use, and it allows no other."},

		{"balance: all live", balance, home(),
			[]Bucket{{1, 5000, false}, {2, 3000, false}, {3, 2000, false}}, "Balanced between fiber, cable and wifi by weight."},
		{"balance: the dead member's range is divided, the others stay", balance, home(dead("cable")),
			[]Bucket{{1, 5000, false}, {1, 2143, true}, {3, 857, true}, {3, 2000, false}},
			"cable is out of use; fiber and wifi take that part of the balance."},
		{"balance: one left", balance, home(dead("fiber", "cable")),
			[]Bucket{{3, 8000, true}, {3, 2000, false}}, "fiber is out of use and cable is out of use; wifi takes that part of the balance."},
		{"balance: none left", balance, home(dead("fiber", "cable", "wifi")),
			[]Bucket{{4, 1, true}}, "fiber is out of use, cable is out of use and wifi is out of use; lte stands in by the router's own order."},

		{"any: equal roles share", policy.Steer{Mode: policy.Any}, home(),
			[]Bucket{{1, 7000, false}, {2, 3000, false}}, "The router's own order: balanced between fiber and cable by weight."},
		{"any: a degraded peer rests", policy.Steer{Mode: policy.Any}, home(degraded("cable")),
			[]Bucket{{1, 7000, false}, {1, 3000, true}}, "cable is degraded; fiber serves alone meanwhile."},
		{"any: all degraded", policy.Steer{Mode: policy.Any}, home(degraded("cable", "fiber")),
			[]Bucket{{1, 7000, false}, {2, 3000, false}}, "The router's own order: balanced between fiber and cable by weight."},
		{"any: secondary", policy.Steer{Mode: policy.Any}, home(dead("cable", "fiber")),
			[]Bucket{{3, 1, true}}, "fiber is out of use and cable is out of use; wifi serves until it is better."},
		{"any: backup", policy.Steer{Mode: policy.Any}, home(dead("cable", "fiber", "wifi")),
			[]Bucket{{4, 1, true}}, "fiber is out of use, cable is out of use and wifi is out of use; lte serves until it is better."},
		{"any: nothing", policy.Steer{Mode: policy.Any}, home(dead("cable", "fiber", "wifi"), spent("lte")),
			nil, "fiber is out of use, cable is out of use, wifi is out of use and lte has spent its data quota and no other link can take the flow."},
		{"any of some", policy.Steer{Mode: policy.Any, Use: use("wifi", "lte")}, home(),
			[]Bucket{{3, 1, false}}, "The router's own order: wifi is the best link."},
		{"any of some: none lives", policy.Steer{Mode: policy.Any, Use: use("wifi", "lte")}, home(dead("wifi", "lte")),
			[]Bucket{{1, 7000, true}, {2, 3000, true}}, "wifi is out of use and lte is out of use; fiber and cable stand in by the router's own order."},
		{"no links at all", policy.Steer{Mode: policy.Any}, nil,
			nil, "The rule names no link that exists and no other link can take the flow."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Resolve(tt.steer, tt.links)
			if diff := cmp.Diff(tt.want, got.Buckets); diff != "" {
				t.Errorf("buckets (-want +got):\n%s", diff)
			}
			if got.Refuse != (tt.want == nil) {
				t.Errorf("refuse is %v with buckets %v", got.Refuse, got.Buckets)
			}
			if got.Why != tt.why {
				t.Errorf("why:\n got %s\nwant %s", got.Why, tt.why)
			}
		})
	}
}

func TestRanges(t *testing.T) {
	flowwise := policy.Steer{Mode: policy.Balance, Use: []policy.LinkShare{{Link: "fiber", Weight: 70}, {Link: "cable", Weight: 30}}}
	c := Resolve(flowwise, home())
	if c.Modulus() != Turns {
		t.Fatalf("modulus %d", c.Modulus())
	}
	var first []Range
	for _, r := range c.Ranges() {
		if r.First < 10 {
			first = append(first, r)
		}
	}
	// In ten flows seven and three, and never more than three in a row on one link.
	want := []Range{{0, 0, 1, false}, {1, 1, 2, false}, {2, 4, 1, false}, {5, 5, 2, false}, {6, 7, 1, false}, {8, 8, 2, false}, {9, 10, 1, false}}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("the first turns (-want +got):\n%s", diff)
	}

	sticky := flowwise
	sticky.Sticky = policy.StickySite
	want = []Range{{0, 6999, 1, false}, {7000, 9999, 2, false}}
	if diff := cmp.Diff(want, Resolve(sticky, home()).Ranges()); diff != "" {
		t.Errorf("sticky ranges (-want +got):\n%s", diff)
	}
	want = []Range{{0, 0, 1, false}}
	if diff := cmp.Diff(want, Resolve(policy.Steer{Use: use("fiber")}, home()).Ranges()); diff != "" {
		t.Errorf("ranges of a fixed link (-want +got):\n%s", diff)
	}
	if _, ok := Resolve(policy.Steer{Mode: policy.Fixed, Use: use("dsl")}, home()).At(0); ok {
		t.Error("a refusal has a slot")
	}
}

func TestKey(t *testing.T) {
	tests := []struct {
		steer policy.Steer
		want  string
	}{
		{policy.Steer{Use: use("fiber", "lte", "fiber")}, "failover fiber lte"},
		{policy.Steer{Mode: policy.Fixed, Use: use("lte"), KillSwitch: true}, "fixed lte"},
		{policy.Steer{Mode: policy.Balance, Use: []policy.LinkShare{{Link: "wifi", Weight: 30}, {Link: "fiber", Weight: 70}}, Sticky: policy.StickySite, Failback: policy.Move},
			"balance fiber:70 wifi:30 by site, move"},
		{policy.Steer{Mode: policy.Any}, "any"},
		{policy.Steer{Mode: policy.Any, Sticky: policy.StickyHost, Forbid: []string{"lte", "dsl"}, Allow: []string{"a b"}, OverQuota: true}, `any by host +"a b" -dsl -lte, over quota`},
		{policy.Steer{Use: use("x, move"), KillSwitch: true}, `failover "x, move", kill switch`},
	}
	for _, tt := range tests {
		if got := Key(tt.steer); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
