package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
)

func mustCompile(t interface {
	Helper()
	Fatalf(string, ...any)
}, p policy.Policy) *policy.Compiled {
	t.Helper()
	c, _, err := policy.Compile(p, policytest.Known())
	if err != nil {
		t.Fatalf("%v", err)
	}
	return c
}

// matching lists the rules that decide a query.
func matching(c *policy.Compiled, q policy.Query) []int {
	return slices.DeleteFunc(c.Active(q.Subject, q.Time), func(i int) bool { return !c.Matches(i, q.Target) })
}

func TestGeneratedPoliciesHaveNoWarnings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, warnings, err := policy.Compile(policytest.Policy(8, 8).Draw(t, "policy"), policytest.Known())
		if err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %v, error %v", warnings, err)
		}
	})
}

func TestVerdictEqualsCombine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := mustCompile(t, policytest.Policy(10, 8).Draw(t, "policy"))
		q := policytest.Query(c).Draw(t, "query")
		rules := matching(c, q)
		d := c.Combine(q.Subject, rules)
		if diff := cmp.Diff(d, c.Decide(q)); diff != "" {
			t.Fatalf("Decide is not Combine of what matches:\n%s", diff)
		}
		if diff := cmp.Diff(d.Verdict(), c.Verdict(q.Subject, rules), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("Combine (-) and Verdict (+) differ:\n%s", diff)
		}
	})
}

func TestReasonsNameEveryRuleOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := mustCompile(t, policytest.Policy(10, 8).Draw(t, "policy"))
		q := policytest.Query(c).Draw(t, "query")
		type part struct {
			aspect policy.Aspect
			id     string
		}
		seen := map[part]policy.Outcome{}
		for _, r := range c.Decide(q).Reasons {
			key := part{r.Aspect, r.RuleID}
			if _, twice := seen[key]; twice {
				t.Fatalf("two reasons for %v", key)
			}
			seen[key] = r.Outcome
			if r.Text == "" {
				t.Fatalf("%v has no text", r)
			}
			if (r.Outcome == policy.Overruled || r.Outcome == policy.Clamped) && r.By == "" {
				t.Fatalf("%+v does not say by what", r)
			}
		}
		for _, i := range matching(c, q) {
			r := c.Rule(i)
			for aspect, says := range map[policy.Aspect]bool{
				policy.AspectSteer: r.Steer != nil, policy.AspectQoS: r.QoS != nil,
				policy.AspectFilter: r.Filter != nil, policy.AspectLog: r.Log,
			} {
				if _, ok := seen[part{aspect, r.ID}]; ok != says {
					t.Fatalf("rule %s, %s: says something %v, has a reason %v", r.ID, aspect, says, ok)
				}
			}
		}
	})
}

func TestOrderOfRulesHasNoMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Policy(10, 8).Draw(t, "policy")
		c := mustCompile(t, p)
		q := policytest.Query(c).Draw(t, "query")
		p.Main = rapid.Permutation(p.Main).Draw(t, "main")
		p.User = rapid.Permutation(p.User).Draw(t, "user")
		p.Devices = rapid.Permutation(p.Devices).Draw(t, "devices")
		p.Groups = rapid.Permutation(p.Groups).Draw(t, "groups")
		if diff := cmp.Diff(c.Decide(q), mustCompile(t, p).Decide(q)); diff != "" {
			t.Fatalf("another order, another decision:\n%s", diff)
		}
	})
}

// says finds whether a main must that matches speaks to something.
func mustSays(c *policy.Compiled, rules []int, says func(r *policy.Rule) bool) bool {
	return slices.ContainsFunc(rules, func(i int) bool {
		return c.Rule(i).Force == policy.Must && says(c.Rule(i))
	})
}

func TestUsersCannotChangeAMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Policy(8, 8).Draw(t, "policy")
		with := mustCompile(t, p)
		q := policytest.Query(with).Draw(t, "query")
		p.User = nil
		without := mustCompile(t, p)
		rules := matching(without, q)
		a, b := without.Decide(q), with.Decide(q)
		if mustSays(without, rules, func(r *policy.Rule) bool { return r.Steer != nil }) {
			if diff := cmp.Diff(a.Steer, b.Steer); diff != "" {
				t.Fatalf("users changed a must's links:\n%s", diff)
			}
		}
		qos := func(f func(q *policy.QoS) bool) bool {
			return mustSays(without, rules, func(r *policy.Rule) bool { return r.QoS != nil && f(r.QoS) })
		}
		if qos(func(q *policy.QoS) bool { return q.Class != "" }) && a.QoS.Class != b.QoS.Class ||
			qos(func(q *policy.QoS) bool { return q.Priority != nil }) && *a.QoS.Priority != *b.QoS.Priority ||
			qos(func(q *policy.QoS) bool { return q.CapDown != 0 }) && a.QoS.CapDown != b.QoS.CapDown ||
			qos(func(q *policy.QoS) bool { return q.CapUp != 0 }) && a.QoS.CapUp != b.QoS.CapUp ||
			qos(func(q *policy.QoS) bool { return q.ThrottleDown != 0 }) && a.QoS.ThrottleDown != b.QoS.ThrottleDown ||
			qos(func(q *policy.QoS) bool { return q.ThrottleUp != 0 }) && a.QoS.ThrottleUp != b.QoS.ThrottleUp ||
			qos(func(q *policy.QoS) bool { return q.DSCP != nil }) && *a.QoS.DSCP != *b.QoS.DSCP ||
			qos(func(q *policy.QoS) bool { return q.GuaranteeDown != 0 }) && b.QoS.GuaranteeDown < a.QoS.GuaranteeDown ||
			qos(func(q *policy.QoS) bool { return q.GuaranteeUp != 0 }) && b.QoS.GuaranteeUp < a.QoS.GuaranteeUp {
			t.Fatalf("users changed a must's quality: %+v, now %+v", a.QoS, b.QoS)
		}
		hard := mustSays(without, rules, func(r *policy.Rule) bool {
			return r.Filter != nil && r.Filter.Action == policy.Block && !r.Filter.Liftable
		})
		anyBlock := mustSays(without, rules, func(r *policy.Rule) bool { return r.Filter != nil && r.Filter.Action == policy.Block })
		allow := mustSays(without, rules, func(r *policy.Rule) bool { return r.Filter != nil && r.Filter.Action == policy.Allow })
		switch {
		case hard && !b.Blocked:
			t.Fatal("users lifted a must block")
		case allow && !anyBlock && b.Blocked:
			t.Fatal("users blocked what must be allowed")
		case a.Log && !b.Log:
			t.Fatal("users turned off the log")
		}
	})
}

func TestUsersCannotLeaveABound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := mustCompile(t, policytest.Policy(8, 8).Draw(t, "policy"))
		q := policytest.Query(c).Draw(t, "query")
		rules := matching(c, q)
		d := c.Decide(q)
		mustSteer := mustSays(c, rules, func(r *policy.Rule) bool { return r.Steer != nil })
		mustQoS := mustSays(c, rules, func(r *policy.Rule) bool { return r.QoS != nil })
		mainAllows := slices.ContainsFunc(rules, func(i int) bool {
			r := c.Rule(i)
			return r.Tier == policy.Main && r.Filter != nil && r.Filter.Action == policy.Allow
		})
		for _, i := range rules {
			r := c.Rule(i)
			if r.Force != policy.Bound {
				continue
			}
			if s := r.Steer; s != nil {
				if s.KillSwitch && !d.Steer.KillSwitch {
					t.Fatalf("%s demands the kill switch", r.ID)
				}
				for _, l := range reachable(d.Steer) {
					if !mustSteer && (len(s.Allow) > 0 && !slices.Contains(s.Allow, l) || slices.Contains(s.Forbid, l)) {
						t.Fatalf("%s is left for %s: %+v", r.ID, l, d.Steer)
					}
				}
			}
			if b := r.QoS; b != nil && !mustQoS {
				above := func(got, limit policy.Rate) bool { return limit != 0 && (got == 0 || got > limit) }
				if above(d.QoS.CapDown, b.CapDown) || above(d.QoS.CapUp, b.CapUp) ||
					above(d.QoS.ThrottleDown, b.ThrottleDown) || above(d.QoS.ThrottleUp, b.ThrottleUp) ||
					b.GuaranteeDown != 0 && d.QoS.GuaranteeDown > b.GuaranteeDown ||
					b.GuaranteeUp != 0 && d.QoS.GuaranteeUp > b.GuaranteeUp ||
					d.QoS.Priority != nil && *d.QoS.Priority > *b.MaxPriority {
					t.Fatalf("%s is left: %+v", r.ID, d.QoS)
				}
			}
			if f := r.Filter; f != nil {
				if d.Mode < f.Mode {
					t.Fatalf("%s demands %s, the mode is %s", r.ID, f.Mode, d.Mode)
				}
				if f.Mode == policy.ModeDenyAll && !f.Liftable && !mainAllows && !d.Blocked {
					t.Fatalf("%s lets nothing pass, and something passes", r.ID)
				}
			}
		}
	})
}

// reachable lists the links that a flow may come to use, whichever links die.
func reachable(s policy.Steer) []string {
	links := policytest.Links()
	switch {
	case s.KillSwitch && s.Mode == policy.Any && len(s.Use) == 0:
	case s.KillSwitch, s.Mode == policy.Fixed:
		links = nil
	case len(s.Allow) > 0:
		links = slices.Clone(s.Allow)
	}
	for _, share := range s.Use {
		links = append(links, share.Link)
	}
	return links
}

func TestPruneKeepsTheVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := mustCompile(t, policytest.Policy(12, 8).Draw(t, "policy"))
		q := policytest.Query(c).Draw(t, "query")
		active := c.Active(q.Subject, q.Time)
		// Each rule is certain to match, matches, or does not; the rules that are pruned away must not matter.
		state := map[int]int{}
		for _, i := range active {
			state[i] = rapid.IntRange(0, 2).Draw(t, "state")
			if f := c.Rule(i).Filter; f != nil && f.Mode != policy.ModeUnset {
				state[i] = 0
			}
		}
		matches := func(rules []int) []int {
			return slices.DeleteFunc(slices.Clone(rules), func(i int) bool { return state[i] == 2 })
		}
		want := c.Verdict(q.Subject, matches(active))
		for _, aspect := range []policy.Aspect{policy.AspectSteer, policy.AspectQoS, policy.AspectFilter, policy.AspectLog} {
			pruned := c.Prune(aspect, active, func(i int) bool { return state[i] == 0 })
			got := c.Verdict(q.Subject, matches(pruned))
			if diff := cmp.Diff(part(aspect, want), part(aspect, got)); diff != "" {
				t.Fatalf("%s: of %v, %v is left:\n%s", aspect, active, pruned, diff)
			}
		}
	})
}

// part is what a verdict says about one aspect.
func part(a policy.Aspect, v policy.Verdict) policy.Verdict {
	switch a {
	case policy.AspectSteer:
		return policy.Verdict{Steer: v.Steer}
	case policy.AspectQoS:
		return policy.Verdict{Class: v.Class}
	case policy.AspectFilter:
		return policy.Verdict{Blocked: v.Blocked, Silent: v.Silent}
	}
	return policy.Verdict{Log: v.Log}
}

func TestFormatAndParseAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Policy(8, 8).Draw(t, "policy")
		text, err := policy.Format(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := policy.Parse("policy.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(p, back, equal()); diff != "" {
			t.Fatalf("the policy changed:\n%s\n%s", diff, text)
		}
		if changes := policy.Diff(p, back); len(changes) > 0 {
			t.Fatalf("Diff sees changes: %v", changes)
		}
	})
}

// Whatever is found to have no effect can be left out: no decision about links and passing changes.
func TestFindingsAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Policy(8, 8).Draw(t, "policy")
		c := mustCompile(t, p)
		for _, f := range c.Findings() {
			if f.Kind == policy.Contradiction || forceOf(c, f.By) == policy.Bound && f.Aspect == policy.AspectSteer {
				continue
			}
			less := mustCompile(t, without(p, f.RuleID, f.Aspect))
			for range 20 {
				q := policytest.Query(c).Draw(t, "query")
				with, bare := c.Decide(q), less.Decide(q)
				a, b := with.Verdict(), bare.Verdict()
				a.Silent, b.Silent = false, false
				if f.Aspect == policy.AspectQoS {
					// The number of a rule's own class says nothing; what is promised does.
					if diff := cmp.Diff(with.QoS, bare.QoS); diff != "" {
						t.Fatalf("%+v is not true:\n%s", f, diff)
					}
					continue
				}
				if diff := cmp.Diff(part(f.Aspect, a), part(f.Aspect, b)); diff != "" {
					t.Fatalf("%+v is not true:\n%s", f, diff)
				}
			}
		}
	})
}

func forceOf(c *policy.Compiled, id string) policy.Force {
	for i := range c.Len() {
		if c.Rule(i).ID == id {
			return c.Rule(i).Force
		}
	}
	return policy.ForceNone
}

// without takes an aspect out of a rule; something else is left in it so that it stays valid.
func without(p policy.Policy, id string, a policy.Aspect) policy.Policy {
	strip := func(rules []policy.Rule) []policy.Rule {
		rules = slices.Clone(rules)
		for i := range rules {
			r := &rules[i]
			if r.ID != id {
				continue
			}
			switch a {
			case policy.AspectSteer:
				r.Steer = nil
			case policy.AspectQoS:
				r.QoS = nil
			case policy.AspectFilter:
				r.Filter = nil
			}
			r.Log = true
			if r.What.HasContent() { // it can do nothing but block
				r.What = policy.What{}
			}
		}
		return rules
	}
	p.Main, p.User = strip(p.Main), strip(p.User)
	return p
}

// TestNextChange compares with looking at every minute for three weeks around a change of the clocks.
func TestNextChange(t *testing.T) {
	zones := []string{"Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "UTC"}
	starts := []time.Time{
		time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 18, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC),
	}
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Policy(3, 0).Draw(t, "policy")
		p.TimeZone = rapid.SampledFrom(zones).Draw(t, "zone")
		for i := range p.Main { // only whole minutes are looked at
			r := &p.Main[i]
			r.From, r.Until = r.From.Truncate(time.Minute), r.Until.Truncate(time.Minute)
			if !r.Until.IsZero() && !r.Until.After(r.From) {
				r.Until = r.From.Add(time.Minute)
			}
		}
		// A rule that sleeps may have a schedule that goes on: waking for it early is no harm, being late is.
		exact := !slices.ContainsFunc(p.Main, func(r policy.Rule) bool { return !r.From.IsZero() || !r.Until.IsZero() })
		c := mustCompile(t, p)
		offset := rapid.IntRange(0, 21*24*60).Draw(t, "minute")
		at := rapid.SampledFrom(starts).Draw(t, "start").Add(time.Duration(offset)*time.Minute + 7*time.Second)
		got := c.NextChange(at)
		zone, err := time.LoadLocation(p.TimeZone)
		if err != nil {
			t.Fatal(err)
		}
		state := func(m time.Time) string { return activeWindows(p, m.In(zone)) }
		was := state(at)
		for m := at.Truncate(time.Minute).Add(time.Minute); m.Before(at.Add(8 * 24 * time.Hour)); m = m.Add(time.Minute) {
			if state(m) != was {
				if !m.Equal(got) && (exact || got.IsZero() || got.After(m)) {
					t.Fatalf("after %v: %v, want %v", at, got, m)
				}
				return
			}
		}
		if exact && !got.IsZero() && got.Before(at.Add(8*24*time.Hour)) {
			t.Fatalf("after %v: %v, but nothing changes", at, got)
		}
	})
}

// activeWindows says, by the plain definition, which enabled rules' schedules are on.
func activeWindows(p policy.Policy, local time.Time) string {
	minute := local.Hour()*60 + local.Minute()
	today, yesterday := uint8(1)<<local.Weekday(), uint8(1)<<((local.Weekday()+6)%7)
	var out []byte
	for _, r := range p.Main {
		on := len(r.When) == 0 || r.Disabled
		for _, w := range r.When {
			if w.To > w.From {
				on = on || w.Days&today != 0 && w.From <= minute && minute < w.To
			} else {
				on = on || w.Days&today != 0 && minute >= w.From || w.Days&yesterday != 0 && minute < w.To
			}
		}
		asleep := local.Before(r.From) || !r.Until.IsZero() && !local.Before(r.Until)
		out = append(out, map[bool]byte{true: '1', false: '0'}[on && !asleep || r.Disabled])
	}
	return string(out)
}
