package steer

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

var linkNames = []string{"a", "b", "c", "d", "e", "f", "g"}

func drawLinks(t *rapid.T, label string) []LinkCondition {
	n := rapid.IntRange(0, 7).Draw(t, label+" links")
	var out []LinkCondition
	for i := range n {
		out = append(out, LinkCondition{ID: flow.LinkID(i + 1), Name: linkNames[i], Role: Primary, Weight: 1})
	}
	return redraw(t, label, out, true)
}

// redraw draws new conditions of the same links; what the configuration says of them changes only if config is set.
func redraw(t *rapid.T, label string, links []LinkCondition, config bool) []LinkCondition {
	links = slices.Clone(links)
	for i := range links {
		l := &links[i]
		l.Usable = rapid.Bool().Draw(t, label+" usable")
		l.OverQuota = rapid.IntRange(0, 4).Draw(t, label+" quota") == 0
		l.Degraded = rapid.Bool().Draw(t, label+" degraded")
		if config {
			l.Role = Role(rapid.IntRange(0, 3).Draw(t, label+" role"))
			l.Metered = rapid.Bool().Draw(t, label+" metered")
			l.Weight = rapid.IntRange(0, 1000).Draw(t, label+" weight")
		}
	}
	return links
}

func drawSteer(t *rapid.T, label string) policy.Steer {
	names := append([]string{"unknown"}, linkNames...)
	some := rapid.SliceOfN(rapid.SampledFrom(names), 0, 4)
	s := policy.Steer{
		Mode:       policy.SteerMode(rapid.IntRange(0, 3).Draw(t, label+" mode")),
		Sticky:     policy.Sticky(rapid.IntRange(0, 2).Draw(t, label+" sticky")),
		Failback:   policy.Failback(rapid.IntRange(0, 1).Draw(t, label+" failback")),
		KillSwitch: rapid.Bool().Draw(t, label+" kill"),
		OverQuota:  rapid.Bool().Draw(t, label+" over quota"),
	}
	for _, n := range some.Draw(t, label+" use") {
		s.Use = append(s.Use, policy.LinkShare{Link: n, Weight: rapid.IntRange(0, 1000).Draw(t, label+" share")})
	}
	if rapid.IntRange(0, 3).Draw(t, label+" bound") == 0 {
		s.Forbid = some.Draw(t, label+" forbid")
		s.Allow = some.Draw(t, label+" allow")
	}
	return s
}

func byLink(links []LinkCondition, id flow.LinkID) LinkCondition {
	return links[slices.IndexFunc(links, func(l LinkCondition) bool { return l.ID == id })]
}

// A choice is either a refusal or leads to open, permitted links only, and its table of slots has no hole.
func TestResolveKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		links, s := drawLinks(t, ""), drawSteer(t, "")
		c := Resolve(s, links)
		if c.Refuse != (len(c.Buckets) == 0) || c.Why == "" {
			t.Fatalf("%+v", c)
		}
		named := func(n string) bool {
			return slices.ContainsFunc(s.Use, func(u policy.LinkShare) bool { return u.Link == n })
		}
		sum := 0
		for _, b := range c.Buckets {
			l := byLink(links, b.Link)
			if b.Weight < 1 || !l.Usable || l.Role == Never || l.OverQuota && !s.OverQuota {
				t.Fatalf("bucket %+v on %+v", b, l)
			}
			if slices.Contains(s.Forbid, l.Name) || len(s.Allow) > 0 && !slices.Contains(s.Allow, l.Name) {
				t.Fatalf("%s is outside the bound of %q", l.Name, Key(s))
			}
			free := s.Mode == policy.Any && len(s.Use) == 0
			if (s.KillSwitch || s.Mode == policy.Fixed) && !free && !named(l.Name) {
				t.Fatalf("%s is beyond the rule %q", l.Name, Key(s))
			}
			if !free && !named(l.Name) && !b.Lent {
				t.Fatalf("%s owns a part of %q without being named", l.Name, Key(s))
			}
			if l.Role == Backup && !named(l.Name) && slices.ContainsFunc(links, func(o LinkCondition) bool {
				return o.Role < Backup && o.open(s) && !slices.Contains(s.Forbid, o.Name) && (len(s.Allow) == 0 || slices.Contains(s.Allow, o.Name))
			}) {
				t.Fatalf("backup %s is in use by %q although a better link lives", l.Name, Key(s))
			}
			sum += b.Weight
		}
		if len(c.Buckets) > 1 && sum != Space {
			t.Fatalf("weights add up to %d", sum)
		}
		next := uint32(0)
		for _, r := range c.Ranges() {
			if r.First != next || r.Last < r.First {
				t.Fatalf("hole or overlap at %d: %+v", next, c.Ranges())
			}
			next = r.Last + 1
		}
		if next != c.Modulus() {
			t.Fatalf("ranges end at %d, modulus %d", next, c.Modulus())
		}
		if c.Refuse && !s.KillSwitch && s.Mode != policy.Fixed && len(s.Allow) == 0 && len(s.Forbid) == 0 &&
			slices.ContainsFunc(links, func(l LinkCondition) bool { return l.open(s) }) {
			t.Fatalf("refused although a link lives: %s", c.Why)
		}
	})
}

// Whatever dies or comes back, a slot whose own link lives in both states leads to the same link in both.
func TestLivingRangesStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawLinks(t, "before")
		after := redraw(t, "after", before, false)
		s := drawSteer(t, "")
		s.Mode, s.Sticky = policy.Balance, policy.StickyHost
		a, b := Resolve(s, before), Resolve(s, after)
		for slot := uint32(0); slot < Space; slot += 7 {
			x, okX := atOwned(a, slot)
			y, okY := atOwned(b, slot)
			if okX && okY && x != y {
				t.Fatalf("slot %d belongs to link %d and then to link %d", slot, x, y)
			}
			if okX && !okY && byLink(after, x).open(s) {
				t.Fatalf("slot %d lost its living owner %d", slot, x)
			}
		}
	})
}

// atOwned finds the owner of a slot of Space, also where a choice of one bucket has only one slot.
func atOwned(c Choice, slot uint32) (flow.LinkID, bool) {
	if len(c.Buckets) == 1 {
		return c.Buckets[0].Link, !c.Buckets[0].Lent
	}
	r, ok := c.At(slot)
	return r.Link, ok && !r.Lent
}

// The shares of a balance by flow are within one turn of the weights, in every stretch of Turns flows.
func TestTurnsFollowWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		links := drawLinks(t, "")
		s := drawSteer(t, "")
		s.Mode, s.Sticky = policy.Balance, policy.StickyFlow
		c := Resolve(s, links)
		if len(c.Buckets) < 2 {
			return
		}
		type owner struct {
			link flow.LinkID
			lent bool
		}
		want, got, parts := map[owner]float64{}, map[owner]float64{}, map[owner]float64{}
		for _, b := range c.Buckets {
			want[owner{b.Link, b.Lent}] += float64(b.Weight) / Space * Turns
			parts[owner{b.Link, b.Lent}]++
		}
		for _, r := range c.Ranges() {
			got[owner{r.Link, r.Lent}] += float64(r.Last-r.First) + 1
		}
		for o, w := range want {
			// A bucket smaller than a turn is given a whole one, taken from the largest.
			if d := got[o] - w; d > parts[o] || d < -float64(len(c.Buckets)) {
				t.Fatalf("%+v: %v turns for a share of %v: %+v", o, got[o], w, c.Buckets)
			}
		}
	})
}

// Equal keys mean equal choices, and the order and repetition of what is a set do not matter.
func TestKeyIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		links := drawLinks(t, "")
		a := drawSteer(t, "a")
		b := a
		b.Allow, b.Forbid = append(slices.Clone(a.Allow), a.Allow...), slices.Clone(a.Forbid)
		slices.Reverse(b.Forbid)
		if a.Mode == policy.Any {
			b.Use = slices.Clone(a.Use)
			slices.Reverse(b.Use)
		}
		if Key(a) != Key(b) {
			t.Fatalf("%q and %q are the same", Key(a), Key(b))
		}
		if rapid.Bool().Draw(t, "unrelated") {
			b = drawSteer(t, "b")
		}
		if Key(a) != Key(b) {
			return
		}
		x, y := Resolve(a, links), Resolve(b, links)
		if x.Sticky != y.Sticky || !slices.Equal(x.Buckets, y.Buckets) || x.Refuse != y.Refuse || x.Why != y.Why {
			t.Fatalf("both are %q:\n%+v\n%+v", Key(a), x, y)
		}
	})
}

// matches tells whether a connection with this mark is flushed.
func matches(flushes []Flush, m flow.Mark) bool {
	return slices.ContainsFunc(flushes, func(f Flush) bool { return m&f.Mask == f.Mark })
}

// After any change: no flow stays on a dead link if it has another, none stays lent on a metered or backup link without need, none that
// is where the plan would put it is touched, and drained flows stay.
func TestRecallTakesThoseItShould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := drawLinks(t, "old")
		now := redraw(t, "new", old, false)
		choices := map[flow.ChoiceID]Choice{}
		for id := range rapid.IntRange(0, 4).Draw(t, "choices") {
			choices[flow.ChoiceID(id+1)] = Resolve(drawSteer(t, "rule"), now)
		}
		flushes := Recall(old, now, choices)
		sweep := Recall(nil, now, choices)
		for id, c := range choices {
			was := Resolve(c.Policy, old)
			for _, b := range was.Buckets { // every flow that the old plan could have made
				mark := b.Link.Mark() | id.Mark() | flow.JudgedBit | flow.DeviceID(7).Mark()
				if b.Lent {
					mark |= flow.LentBit
				}
				l := byLink(now, b.Link)
				same := slices.ContainsFunc(c.Buckets, func(n Bucket) bool { return n.Link == b.Link && n.Lent == b.Lent })
				flushed := matches(flushes, mark)
				switch {
				case !l.open(c.Policy):
					if flushed != elsewhere(c, b.Link) {
						t.Fatalf("%v of %q on a dead link: flushed %v with buckets %+v", mark, Key(c.Policy), flushed, c.Buckets)
					}
				case b.Lent && !same && !c.Refuse && (l.recallAlways() || c.Policy.Failback == policy.Move):
					if !flushed {
						t.Fatalf("%v of %q stays on %s although it should be %+v", mark, Key(c.Policy), l.Name, c.Buckets)
					}
				case !b.Lent, !l.recallAlways() && c.Policy.Failback == policy.Drain, lentShare(c, b.Link) >= lentShare(was, b.Link):
					if flushed {
						t.Fatalf("%v of %q is flushed without need; old %+v, new %+v", mark, Key(c.Policy), was.Buckets, c.Buckets)
					}
				}
				if same && matches(sweep, mark) {
					t.Fatalf("a sweep takes %v of %q, which is where it should be: %+v", mark, Key(c.Policy), c.Buckets)
				}
				if matches(flushes, mark|flow.InboundBit) && !b.Lent {
					t.Fatalf("an inbound connection is flushed: %v", mark)
				}
			}
		}
	})
}
