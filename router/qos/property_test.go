package qos

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

func drawRate(t *rapid.T, low, high Rate, label string) Rate {
	return Rate(rapid.Uint64Range(uint64(low), uint64(high)).Draw(t, label))
}

func drawRates(t *rapid.T, high Rate, label string) Rates {
	one := func(d Direction) Rate {
		if rapid.Bool().Draw(t, label+" said") {
			return drawRate(t, leastCap, high, fmt.Sprint(label, " ", d))
		}
		return 0
	}
	return Rates{one(Up), one(Down)}
}

func drawInput(t *rapid.T) Input {
	in := Input{Queues: Queues{Cake: rapid.Bool().Draw(t, "cake"), FQCoDel: rapid.Bool().Draw(t, "fq_codel")}}
	for _, id := range rapid.SliceOfNDistinct(rapid.IntRange(1, 7), 1, 4, rapid.ID).Draw(t, "links") {
		high := rapid.SampledFrom([]Rate{100 * kbit, mbit, 50 * mbit, 2500 * mbit}).Draw(t, "speed")
		in.Links = append(in.Links, Link{
			ID: flow.LinkID(id), Name: fmt.Sprint("link", id), Device: fmt.Sprint("wan", id), Header: rapid.SampledFrom([]int{0, 14}).Draw(t, "header"),
			Capacity: Rates{drawRate(t, 1, high, "up"), drawRate(t, 1, high, "down")}, Framing: Framing(rapid.IntRange(0, int(framings)-1).Draw(t, "framing")),
			Spent: rapid.Bool().Draw(t, "spent"),
		})
	}
	devices := rapid.SliceOfNDistinct(rapid.Uint16Range(1, 511), 1, 6, rapid.ID).Draw(t, "devices")
	for _, d := range devices {
		in.Devices = append(in.Devices, flow.DeviceID(d))
	}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(append(slices.Clone(in.Devices), 300)), 1, 3, rapid.ID[flow.DeviceID])
	for n := range rapid.IntRange(0, 8).Draw(t, "terms") {
		term := Term{
			Rule: fmt.Sprint("rule", n), Rank: rapid.IntRange(0, 3).Draw(t, "rank"), Devices: some.Draw(t, "who"),
			Guarantee: drawRates(t, 100*mbit, "guarantee"), Cap: drawRates(t, 100*mbit, "cap"), Spent: rapid.Bool().Draw(t, "throttle"), Priority: number(uint8(rapid.IntRange(0, 7).Draw(t, "priority"))),
		}
		for _, a := range rapid.SliceOfNDistinct(rapid.Uint8Range(0, 15), 0, 3, rapid.ID).Draw(t, "apps") {
			term.Apps = append(term.Apps, flow.AppClass(a))
		}
		if term.whole() {
			term.Budget = drawRates(t, 100*mbit, "budget")
		}
		for _, d := range []Direction{Up, Down} {
			if c := term.Cap.Of(d); c != 0 && c < term.Guarantee.Of(d) {
				term.Cap = Rates{}
			}
		}
		in.Terms = append(in.Terms, term)
	}
	for _, l := range in.Links {
		for _, d := range append(slices.Clone(in.Devices), 0, 300, flow.RouterDevice) {
			for a := range flow.MaxAppClass + 1 {
				if c := (Class{l.ID, d, a}); rapid.IntRange(0, 3).Draw(t, "busy") == 0 && !slices.ContainsFunc(in.Demands, func(d Demand) bool { return d.Class == c }) {
					in.Demands = append(in.Demands, Demand{c, Rates{drawRate(t, 0, 100*mbit, "demand"), drawRate(t, 0, 100*mbit, "demand")}})
				}
			}
		}
	}
	return in
}

// TestNoPlanPromisesMoreThanItHas checks on any input what HTB needs of a tree: children's rates add up to no more than
// their parent's, ceils are not above their parent's, every rate fits its fields; and that no cap is exceeded.
func TestNoPlanPromisesMoreThanItHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		p, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, tree := range append(slices.Clone(p.Up), p.Down) {
			checkTree(t, tree.Shaping("dev", 14))
			for _, term := range in.Terms {
				checkCap(t, in, tree, term)
			}
		}
	})
}

func checkTree(t *rapid.T, s hal.Shaping) {
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	classes, sums := map[uint16]hal.Class{}, map[uint16]uint64{}
	handles := map[uint16]bool{hal.ShapingMajor: true}
	for _, c := range s.Classes {
		if _, twice := classes[c.ID]; twice || c.ID == 0 {
			t.Fatalf("id %x is there twice, or is the root's", c.ID)
		}
		classes[c.ID] = c
		parent, ok := classes[c.Parent]
		if c.Parent != 0 && (!ok || parent.Leaf()) {
			t.Fatalf("%x: parent %x does not stand before it, or is a leaf", c.ID, c.Parent)
		}
		if c.Rate == 0 || c.Ceil < c.Rate || c.Parent != 0 && c.Ceil > parent.Ceil {
			t.Fatalf("%x: rate %d, ceil %d, parent's ceil %d", c.ID, c.Rate, c.Ceil, parent.Ceil)
		}
		// The kernel complains of quantums out of 1,000 to 200,000.
		if c.Leaf() && (c.Quantum < 1000 || c.Quantum > 200_000) {
			t.Fatalf("%x: quantum %d", c.ID, c.Quantum)
		}
		sums[c.Parent] += c.Rate
		if !c.Leaf() {
			continue
		}
		if handles[c.Handle()] || c.Handle() == 0 || c.Handle() == 0xffff {
			t.Fatalf("%x: its queue's handle %x is taken", c.ID, c.Handle())
		}
		handles[c.Handle()] = true
	}
	for id, sum := range sums {
		if c := classes[id]; id != 0 && sum > c.Rate {
			t.Fatalf("%x has %d and its children are promised %d", id, c.Rate, sum)
		}
	}
	for id, c := range classes {
		if _, parent := sums[id]; !parent && !c.Leaf() {
			t.Fatalf("%x has neither children nor a queue", id)
		}
	}
	if _, ok := classes[s.Default]; s.Default != 0 && !ok {
		t.Fatalf("the default class %x does not exist", s.Default)
	}
}

// checkCap adds up what a term's traffic may have. A tree for the way down holds all links.
func checkCap(t *rapid.T, in Input, tree Tree, term Term) {
	limit := term.Cap.Of(tree.dir)
	if limit == 0 {
		return
	}
	var sum, least Rate
	for _, u := range unitsOf(&term, tree.branches) {
		if u.leaf == nil {
			sum += u.device.ceil
		} else {
			sum += u.leaf.ceil
		}
		least += leastRate * Rate(len(u.device.leaves))
	}
	if sum > limit+least {
		t.Fatalf("%s may have %s of a cap of %s", term.Rule, sum, limit)
	}
}

// TestEveryFlowHasOneClass: whatever a mark says, there is exactly one leaf for it in the trees that shape its link, and the same one
// in both directions.
func TestEveryFlowHasOneClass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		p, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		m := flow.Mark(rapid.Uint32().Draw(t, "mark"))
		if n := len(in.Demands); n > 0 && rapid.Bool().Draw(t, "known") {
			m = in.Demands[rapid.IntRange(0, n-1).Draw(t, "which")].Mark()
		}
		shaped := slices.ContainsFunc(in.Links, func(l Link) bool { return l.ID == m.Link() })
		found, trees := map[uint16]int{}, 0
		for _, tree := range append(slices.Clone(p.Up), p.Down) {
			id, ok := tree.Find(ClassOf(m))
			if !ok {
				continue
			}
			trees++
			for _, c := range tree.Shaping("dev", 14).Classes {
				if c.ID == id && c.Leaf() {
					found[id]++
				}
			}
		}
		switch {
		case shaped && (trees != 2 || len(found) != 1):
			t.Fatalf("mark %s is served by %v in %d trees", m, found, trees)
		case !shaped && trees != 0:
			t.Fatalf("mark %s of no link is served by %d trees", m, trees)
		}
		for id, n := range found {
			if n != 2 {
				t.Fatalf("mark %s: class %x is a leaf %d times", m, id, n)
			}
		}
	})
}

// TestIDsNeverCollide walks all that a mark can say.
func TestIDsNeverCollide(t *testing.T) {
	seen := map[uint16]string{0: "root"}
	add := func(id uint16, what string) {
		if other, ok := seen[id]; ok {
			t.Fatalf("%s and %s are both %x", what, other, id)
		}
		seen[id] = what
	}
	for l := flow.LinkID(1); l <= flow.MaxLink; l++ {
		add(linkNode(l), fmt.Sprint("link ", l))
		for d := range flow.RouterDevice + 1 {
			add(deviceNode(l, d), fmt.Sprint("device ", d, " on ", l))
			for a := range flow.MaxAppClass + 1 {
				c := Class{l, d, a}
				add(c.ID(), fmt.Sprintf("%+v", c))
				if ClassOf(flow.Mark(c.ID())) != c {
					t.Fatalf("%+v has id %x, which says %+v", c, c.ID(), ClassOf(flow.Mark(c.ID())))
				}
			}
		}
	}
}

// TestShare: nothing is lost or made, more weight is never less, and nobody gets nothing of something that can be divided.
func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := drawRate(t, 0, 1e12, "amount")
		var weights []Rate
		for _, w := range rapid.SliceOfN(rapid.Uint64Range(0, 1e12), 1, 50).Draw(t, "weights") {
			weights = append(weights, Rate(w))
		}
		parts := share(amount, weights)
		var sum Rate
		for i, p := range parts {
			sum += p
			if p+1 < amount/10/Rate(len(parts)) {
				t.Fatalf("part %d of %v is %d", i, parts, p)
			}
			for k, q := range parts {
				if weights[i] > weights[k] && p+2 < q {
					t.Fatalf("weights %v: parts %v", weights, parts)
				}
			}
		}
		if sum != amount {
			t.Fatalf("%d became %d", amount, sum)
		}
	})
}

// TestActivity: a class lives while it has traffic and for five minutes more.
func TestActivity(t *testing.T) {
	start := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	a := NewActivity()
	c := Class{1, 5, 2}
	if !a.Seen(start, c) || a.Seen(start, c) {
		t.Error("a class is new once")
	}
	if a.Seen(start, Class{0, 5, 2}) || a.Seen(start, Class{1, 0, 2}) {
		t.Error("a flow without a link or device has a class")
	}
	a.Measured(at(time.Second), Class{2, 9, 9}, Up, 1000, 0)
	for n := 1; n <= 20; n++ {
		a.Measured(at(time.Duration(n)*time.Second), c, Up, 100_000, 25_000)
	}
	got := a.Demands(at(20 * time.Second))
	if len(got) != 1 || got[0].Up < 999*kbit || got[0].Up > mbit || got[0].Down != 0 {
		t.Errorf("a megabit a second, a fifth of it waiting: got %+v", got)
	}
	a.Measured(at(20*time.Second), c, Up, 1<<40, 0) // no time has passed
	a.Measured(at(time.Minute), c, Up, 0, 0)
	if n := len(a.Demands(at(20*time.Second + IdleTime - 1))); n != 1 {
		t.Errorf("%d classes after almost five idle minutes, want 1", n)
	}
	if n := len(a.Demands(at(20*time.Second + IdleTime))); n != 0 {
		t.Errorf("%d classes after five idle minutes, want none", n)
	}
	a.Seen(start, c)
	a.Forget(c.Device)
	if n := len(a.Demands(start)); n != 0 {
		t.Errorf("%d classes of a device that is gone", n)
	}
}

// TestLargeHouse: 100 devices with 8 classes each on 4 links.
func TestLargeHouse(t *testing.T) {
	in := largeHouse()
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Down.Leaves()); n != 4*(100*8+1) {
		t.Errorf("%d leaves, want 3204", n)
	}
}

func largeHouse() Input {
	in := Input{Queues: Queues{FQCoDel: true}}
	for l := flow.LinkID(1); l <= 4; l++ {
		in.Links = append(in.Links, Link{ID: l, Name: fmt.Sprint("link", l), Device: fmt.Sprint("wan", l), Capacity: both(50 * mbit), Header: 14})
	}
	for d := flow.DeviceID(1); d <= 100; d++ {
		in.Devices = append(in.Devices, d)
		in.Terms = append(in.Terms, Term{Rule: fmt.Sprint("rule", d), Devices: []flow.DeviceID{d}, Apps: []flow.AppClass{1}, Guarantee: both(mbit)})
		for a := flow.AppClass(0); a < 8; a++ {
			for _, l := range in.Links {
				in.Demands = append(in.Demands, Demand{Class{l.ID, d, a}, both(Rate(d) * kbit)})
			}
		}
	}
	return in
}

// BenchmarkLargeHouse is what a rebuild costs, once a second at most.
func BenchmarkLargeHouse(b *testing.B) {
	in := largeHouse()
	for b.Loop() {
		if _, err := Build(in); err != nil {
			b.Fatal(err)
		}
	}
}
