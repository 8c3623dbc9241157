package policytest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/policy"
)

// Policy draws a valid policy with up to the given numbers of rules in each tier. User rules of one person stand
// together, so that the policy survives Format and Parse unchanged.
func Policy(maxMain, maxUser int) *rapid.Generator[policy.Policy] {
	return rapid.Custom(func(t *rapid.T) policy.Policy {
		p := household()
		for i := range rapid.IntRange(0, maxMain).Draw(t, "main rules") {
			r := MainRule().Draw(t, "main rule")
			r.ID = fmt.Sprintf("m%d", i)
			p.Main = append(p.Main, r)
		}
		p.User = UserRules(maxUser).Draw(t, "user rules")
		return p
	})
}

// UserRules draws up to n rules of the world's people.
func UserRules(n int) *rapid.Generator[[]policy.Rule] {
	return rapid.Custom(func(t *rapid.T) []policy.Rule {
		var out []policy.Rule
		total := rapid.IntRange(0, n).Draw(t, "number")
		ofAna := rapid.IntRange(0, total).Draw(t, "of ana")
		for i := range total {
			owner := "ana"
			if i >= ofAna {
				owner = "ben"
			}
			r := UserRule(owner).Draw(t, "user rule")
			r.ID = fmt.Sprintf("u%d", i)
			out = append(out, r)
		}
		return out
	})
}

// MainRule draws a rule of the house without an id.
func MainRule() *rapid.Generator[policy.Rule] {
	return rapid.Custom(func(t *rapid.T) policy.Rule {
		r := rule(t, policy.Rule{Tier: policy.Main, Force: rapid.SampledFrom([]policy.Force{policy.Must, policy.Bound, policy.Default}).Draw(t, "force")})
		switch rapid.IntRange(0, 5).Draw(t, "who") {
		case 0:
			r.Who.Devices = some(t, "devices", []string{"ana-laptop", "ana-phone", "ben-pc", "tv", "shed"})
		case 1:
			r.Who.People = some(t, "people", []string{"ana", "ben"})
		case 2:
			r.Who.Groups = some(t, "groups", []string{"screens", "kids", "everything"})
		case 3:
			r.Who.Router = !r.What.HasContent() && rapid.Bool().Draw(t, "router")
		}
		return r
	})
}

// UserRule draws a rule of ana or ben without an id.
func UserRule(owner string) *rapid.Generator[policy.Rule] {
	return rapid.Custom(func(t *rapid.T) policy.Rule {
		r := rule(t, policy.Rule{Tier: policy.User, Owner: owner})
		own := map[string][]string{"ana": {"ana-laptop", "ana-phone"}, "ben": {"ben-pc"}}[owner]
		switch rapid.IntRange(0, 3).Draw(t, "who") {
		case 0:
			r.Who.Devices = some(t, "devices", own)
		case 1:
			r.Who.People = []string{owner}
		case 2:
			if owner == "ana" {
				r.Who.Groups = []string{"kids"}
			}
		}
		return r
	})
}

// moment draws one of the two weeks that Time draws from.
func moment(t *rapid.T) time.Time {
	return Time().Draw(t, "moment").Add(time.Duration(rapid.IntRange(0, 59).Draw(t, "second")) * time.Second)
}

// rule draws everything that both tiers have; the blank says tier and force.
func rule(t *rapid.T, r policy.Rule) policy.Rule {
	r.Name = rapid.SampledFrom([]string{"", "Calls: first", "# no 'comment'", "null", "ñandú 7", " spaces "}).Draw(t, "name")
	r.Priority = rapid.SampledFrom([]int{0, 0, 0, 5, -5}).Draw(t, "priority")
	r.Disabled = rapid.IntRange(0, 15).Draw(t, "disabled") == 0
	r.When = windows(t)
	switch rapid.IntRange(0, 23).Draw(t, "bounds") {
	case 0:
		r.From = moment(t)
	case 1:
		r.Until = moment(t)
	case 2:
		r.From = moment(t)
		r.Until = r.From.Add(time.Duration(rapid.IntRange(1, 7200).Draw(t, "length")) * time.Second)
	}
	mode := false
	aspects := rapid.IntRange(1, 7).Draw(t, "aspects")
	if aspects&1 != 0 {
		r.Steer = steer(t, r)
	}
	if aspects&2 != 0 {
		r.QoS = qos(t, r.Force == policy.Bound)
	}
	if aspects&4 != 0 {
		r.Filter = filter(t, r)
		mode = r.Filter.Mode != policy.ModeUnset
	}
	r.Log = rapid.IntRange(0, 5).Draw(t, "log") == 0
	if !mode {
		r.What = what(t)
	}
	if r.Filter != nil && r.Filter.Action == policy.Block && rapid.IntRange(0, 2).Draw(t, "content") == 0 {
		r.Steer, r.QoS, r.Log = nil, nil, false
		lookInto(t, &r.What)
	}
	return r
}

func some[T comparable](t *rapid.T, label string, from []T) []T {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, min(3, len(from)), rapid.ID[T]).Draw(t, label)
}

func what(t *rapid.T) policy.What {
	var w policy.What
	kinds := rapid.SampledFrom([]int{0, 0, 1, 2, 4, 8, 16, 32, 7, 24, 33, 63}).Draw(t, "what")
	if kinds&1 != 0 {
		w.Apps = some(t, "apps", apps())
	}
	if kinds&2 != 0 {
		w.Categories = some(t, "categories", categories())
	}
	if kinds&4 != 0 {
		w.Domains = some(t, "domains", domains())
	}
	if kinds&8 != 0 {
		w.Addresses = some(t, "addresses", prefixes())
	}
	if kinds&16 != 0 {
		w.Services = some(t, "services", services())
	}
	if kinds&32 != 0 {
		w.DSCP = some(t, "dscp", []uint8{0, 8, 46})
	}
	return w
}

// lookInto adds selectors of content, which only rules that block may have.
func lookInto(t *rapid.T, w *policy.What) {
	kinds := rapid.IntRange(1, 31).Draw(t, "content keys")
	if kinds&1 != 0 {
		w.Protocols = some(t, "protocols", protocols())
	}
	for n, list := range []*[]policy.Pattern{&w.TLSNames, &w.HTTP.Hosts, &w.HTTP.Paths, &w.Payload} {
		if kinds&(2<<n) != 0 {
			*list = some(t, "patterns", patterns())
		}
	}
}

func windows(t *rapid.T) []policy.Window {
	if rapid.IntRange(0, 2).Draw(t, "scheduled") > 0 {
		return nil
	}
	window := rapid.Custom(func(t *rapid.T) policy.Window {
		edge := func(label string, last int) int {
			return rapid.OneOf(rapid.IntRange(0, last), rapid.SampledFrom([]int{0, 60, 120, 150, 180, 480, 1320})).Draw(t, label)
		}
		return policy.Window{Days: uint8(rapid.IntRange(1, 127).Draw(t, "days")), From: edge("from", 1439), To: edge("to", 1440)}
	})
	return rapid.SliceOfNDistinct(window, 1, 3, rapid.ID[policy.Window]).Draw(t, "when")
}

func steer(t *rapid.T, r policy.Rule) *policy.Steer {
	s := &policy.Steer{KillSwitch: rapid.IntRange(0, 3).Draw(t, "kill switch") == 0}
	s.OverQuota = r.Tier == policy.Main && rapid.IntRange(0, 3).Draw(t, "over quota") == 0
	if r.Force == policy.Bound {
		switch rapid.IntRange(0, 2).Draw(t, "limits") {
		case 0:
			s.Allow = some(t, "allow", Links())
		case 1:
			s.Forbid = some(t, "forbid", Links())
		case 2:
			s.KillSwitch = true
		}
		return s
	}
	s.Mode = policy.SteerMode(rapid.IntRange(0, 3).Draw(t, "mode"))
	s.Delivery = policy.Delivery(rapid.IntRange(0, 3).Draw(t, "delivery"))
	s.Strict = s.Mode != policy.Any && rapid.IntRange(0, 3).Draw(t, "strict") == 0
	s.Failback = policy.Failback(rapid.IntRange(0, 1).Draw(t, "failback"))
	var links []string
	switch s.Mode {
	case policy.Fixed:
		links = some(t, "use", Links())[:1]
	case policy.Balance:
		links = some(t, "use", Links())
		s.Sticky = policy.Sticky(rapid.IntRange(0, 2).Draw(t, "sticky"))
	case policy.Failover:
		links = some(t, "use", Links())
	}
	for _, l := range links {
		share := policy.LinkShare{Link: l}
		if s.Mode == policy.Balance {
			share.Weight = rapid.IntRange(1, 1000).Draw(t, "weight")
		}
		s.Use = append(s.Use, share)
	}
	return s
}

func qos(t *rapid.T, bound bool) *policy.QoS {
	q := &policy.QoS{}
	number := func(label string, low, high int) *int {
		v := rapid.IntRange(low, high).Draw(t, label)
		return &v
	}
	rate := func(label string, low, high int) policy.Rate {
		if !rapid.Bool().Draw(t, label+" said") {
			return 0
		}
		return policy.Rate(rapid.IntRange(low, high).Draw(t, label)) * rapid.SampledFrom([]policy.Rate{1, 1e3, 1e6}).Draw(t, "unit")
	}
	q.GuaranteeDown, q.GuaranteeUp = rate("guarantee down", 1, 50), rate("guarantee up", 1, 50)
	q.CapDown, q.CapUp = rate("cap down", 1, 50), rate("cap up", 1, 50)
	q.ThrottleDown, q.ThrottleUp = rate("throttle down", 1, 50), rate("throttle up", 1, 50)
	if bound {
		q.MinPriority = number("min priority", 0, 7)
		q.MaxPriority = number("max priority", *q.MinPriority, 7)
		return q
	}
	if q.CapDown != 0 {
		q.GuaranteeDown = min(q.GuaranteeDown, q.CapDown)
	}
	if q.CapUp != 0 {
		q.GuaranteeUp = min(q.GuaranteeUp, q.CapUp)
	}
	if rapid.Bool().Draw(t, "dscp said") {
		q.DSCP = number("dscp", 0, policy.KeepDSCP)
	}
	if rapid.Bool().Draw(t, "class said") {
		q.Class = rapid.SampledFrom(policy.ClassNames()).Draw(t, "class")
	}
	if rapid.Bool().Draw(t, "priority said") || *q == (policy.QoS{}) {
		q.Priority = number("priority", 0, 7)
	}
	return q
}

func filter(t *rapid.T, r policy.Rule) *policy.Filter {
	f := &policy.Filter{}
	kind := rapid.IntRange(0, 2).Draw(t, "filter")
	if r.Force == policy.Bound {
		kind = 2
	}
	switch kind {
	case 0:
		f.Action = policy.Block
		f.Liftable = r.Force == policy.Must && rapid.Bool().Draw(t, "liftable")
		f.Silent = rapid.Bool().Draw(t, "silent")
	case 1:
		f.Action = policy.Allow
	case 2:
		f.Mode = policy.FilterMode(rapid.IntRange(1, 3).Draw(t, "mode"))
		if f.Mode == policy.ModeDenyAll {
			f.Liftable = (r.Force == policy.Must || r.Force == policy.Bound) && rapid.Bool().Draw(t, "liftable")
			f.Silent = rapid.Bool().Draw(t, "silent")
		}
	}
	return f
}
