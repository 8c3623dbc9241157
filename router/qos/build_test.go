package qos

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	kbit Rate = 1_000
	mbit Rate = 1_000_000
)

func both(r Rate) Rates { return Rates{r, r} }

func number(n uint8) *uint8 { return &n }

// home has a fibre line and an LTE modem; a laptop (1), a phone (2), a television (3) and the router itself.
func home() Input {
	return Input{
		Links: []Link{
			{ID: 1, Name: "fiber", Device: "wan1", Capacity: Rates{Up: 10 * mbit, Down: 50 * mbit}, Framing: PPPoE, Header: 14},
			{ID: 3, Name: "lte", Device: "wan3", Capacity: Rates{Up: 2 * mbit, Down: 8 * mbit}, Header: 0},
		},
		Devices: []flow.DeviceID{1, 2, 3},
		Terms: []Term{
			{Rule: "calls", Rank: RankMust, Devices: []flow.DeviceID{1}, Apps: []flow.AppClass{1}, Guarantee: Rates{Up: 2 * mbit, Down: 4 * mbit}},
			{Rule: "tv-cap", Rank: RankDefault, Devices: []flow.DeviceID{3}, Cap: Rates{Down: 20 * mbit}},
			{Rule: "backup", Rank: RankUser, Devices: []flow.DeviceID{1}, Apps: []flow.AppClass{6}, Priority: number(7)},
		},
		Demands: []Demand{
			{Class{1, 1, 0}, both(100 * kbit)}, {Class{1, 1, 1}, both(mbit)}, {Class{1, 1, 6}, both(9 * mbit)},
			{Class{1, 2, 0}, both(3 * mbit)}, {Class{1, 3, 3}, Rates{Up: 100 * kbit, Down: 20 * mbit}},
			{Class{3, 1, 1}, both(100 * kbit)}, {Class{3, flow.RouterDevice, 15}, both(kbit)},
		},
		Queues: Queues{Cake: true, FQCoDel: true},
	}
}

func (p Plan) text(links []Link) string {
	var b strings.Builder
	for i, t := range p.Up {
		b.WriteString(t.Shaping(links[i].Device, links[i].Header).String() + "\n")
	}
	b.WriteString(p.Down.Shaping("trenza-down", 14).String())
	for _, w := range p.Warnings {
		b.WriteString("\n# " + w.Text)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// TestGolden compares whole trees with the commands of tc that would make them.
func TestGolden(t *testing.T) {
	plain := home()
	plain.Queues = Queues{}
	slow := home()
	slow.Links = slow.Links[:1]
	slow.Links[0].Capacity, slow.Links[0].Framing = Rates{Up: 256 * kbit, Down: 1 * mbit}, ATM
	slow.Queues.Cake = false
	nobody := home()
	nobody.Terms, nobody.Demands = nil, []Demand{{Class{1, 2, 0}, both(mbit)}}
	for name, in := range map[string]Input{"home": home(), "fifo": plain, "slow": slow, "cake-alone": nobody} {
		t.Run(name, func(t *testing.T) {
			p, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			file, got := "testdata/"+name+".tc", p.text(in.Links)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s differs; -update writes it anew (-want +got):\n%s", file, diff)
			}
		})
	}
}

// TestRefused: what contradicts itself is refused whole, with the rule or link named.
func TestRefused(t *testing.T) {
	term := func(f func(*Term)) func(*Input) { return func(in *Input) { f(&in.Terms[0]) } }
	link := func(f func(*Link)) func(*Input) { return func(in *Input) { f(&in.Links[1]) } }
	for _, tt := range []struct {
		name  string
		spoil func(*Input)
		want  string
	}{
		{"a cap below the guarantee", term(func(t *Term) { t.Cap.Down = 3 * mbit }), `rule "calls": the guarantee down of 4mbit is above the cap of 3mbit: make it at most that`},
		{"a cap of nothing", term(func(t *Term) { t.Cap.Up, t.Guarantee = 100, Rates{} }), `rule "calls": the cap up of 100bit lets next to nothing pass: use at least 8kbit, or block the traffic`},
		{"nothing said", term(func(t *Term) { t.Guarantee = Rates{} }), `rule "calls": it says nothing: give it a guarantee, a cap or a priority`},
		{"no priority", term(func(t *Term) { t.Priority = number(8) }), `rule "calls": priority 8: use 0 (first) to 7`},
		{"nobody", term(func(t *Term) { t.Devices = nil }), `rule "calls": it is about no device`},
		{"no class", term(func(t *Term) { t.Apps = []flow.AppClass{16} }), `rule "calls": application class 16: use 0 to 15`},
		{"a budget of a class", term(func(t *Term) { t.Budget.Up = mbit }), `rule "calls": a budget is for devices as a whole`},
		{"a rate of zero", link(func(l *Link) { l.Capacity.Up = 0 }), `link "lte": the rate up is 0bit: use 256kbit to 10gbit`},
		{"two links of one number", link(func(l *Link) { l.ID = 1 }), `links "fiber" and "lte" have the same number 1`},
		{"two links of one device", link(func(l *Link) { l.Device = "wan1" }), `links "fiber" and "lte" have the same device wan1`},
		{"a number that no mark holds", link(func(l *Link) { l.ID = 8 }), `link "lte" has number 8: use 1 to 7`},
		{"framing", link(func(l *Link) { l.Framing = framings }), `link "lte": framing 5 is not known`},
		{"two demands", func(in *Input) { in.Demands = append(in.Demands, in.Demands[0]) }, `class 0 of device 1 on link 1 has two demands`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := home()
			tt.spoil(&in)
			p, err := Build(in)
			if err == nil || err.Error() != "planning the class tree: "+tt.want {
				t.Errorf("got %v\nwant planning the class tree: %s", err, tt.want)
			}
			if diff := cmp.Diff(0, len(p.Up)+len(p.Down.branches)); diff != "" {
				t.Error("a refused plan is not empty")
			}
		})
	}
}

// TestClamped: what does not fit at the moment is made to fit, and said.
func TestClamped(t *testing.T) {
	in := home()
	in.Links = in.Links[:1]
	in.Terms = []Term{
		{Rule: "huge", Rank: RankMust, Devices: []flow.DeviceID{2}, Guarantee: Rates{Up: 60 * mbit}},
		{Rule: "gone", Rank: RankMust, Devices: []flow.DeviceID{77}, Guarantee: both(mbit)},
	}
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	want := []Warning{
		{Rule: "gone", Text: `Rule "gone" is about device 77, which is gone.`},
		{Rule: "huge", Link: "fiber", Text: `Rule "huge" guarantees 60mbit up on fiber, which can promise 9890kbit of it now.`},
	}
	if diff := cmp.Diff(want, p.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func leafOf(t *testing.T, tree Tree, c Class) Leaf {
	t.Helper()
	for _, l := range tree.Leaves() {
		if l.Class == c {
			return l
		}
	}
	t.Fatalf("no leaf for %+v", c)
	return Leaf{}
}

// TestRankWhenTheLinkShrinks: the house's promises are kept longest; inside a rank all lose the same part.
func TestRankWhenTheLinkShrinks(t *testing.T) {
	in := Input{
		Links:   []Link{{ID: 1, Name: "lte", Device: "wan1", Capacity: both(40 * mbit)}},
		Devices: []flow.DeviceID{1, 2, 3},
		Terms: []Term{
			{Rule: "user", Rank: RankUser, Devices: []flow.DeviceID{1}, Guarantee: both(4 * mbit)},
			{Rule: "must", Rank: RankMust, Devices: []flow.DeviceID{2}, Guarantee: both(6 * mbit)},
			{Rule: "must-too", Rank: RankMust, Devices: []flow.DeviceID{3}, Guarantee: both(2 * mbit)},
		},
	}
	for d := flow.DeviceID(1); d <= 3; d++ {
		in.Demands = append(in.Demands, Demand{Class{1, d, 0}, both(mbit)})
	}
	for _, tt := range []struct{ link, user, must, too Rate }{
		{40 * mbit, 4 * mbit, 6 * mbit, 2 * mbit},
		{10 * mbit, 1900 * kbit, 6 * mbit, 2 * mbit},
		{4 * mbit, 0, 2970 * kbit, 990 * kbit},
	} {
		in.Links[0].Capacity = both(tt.link)
		p, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		floor := p.Down.branches[0].floor
		for d, want := range map[flow.DeviceID]Rate{1: tt.user, 2: tt.must, 3: tt.too} {
			// A device's guarantee is its node's: the leaf below has the floor and borrows.
			got := p.Down.branches[0].devices[d-1].rate
			if got+100 < want+floor || got > want+floor+100 {
				t.Errorf("link of %s: device %d has %s, want %s", tt.link, d, got, want+floor)
			}
		}
	}
}

// TestCapOverLinks: one cap over two links and two devices of a person is shared out by demand and never exceeded.
func TestCapOverLinks(t *testing.T) {
	in := home()
	in.Terms = []Term{{Rule: "ana", Rank: RankUser, Devices: []flow.DeviceID{1, 2}, Cap: both(10 * mbit)}}
	in.Demands = []Demand{{Class{1, 1, 0}, both(6 * mbit)}, {Class{1, 2, 0}, both(3 * mbit)}, {Class{3, 1, 0}, Rates{}}}
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	// A tenth is shared equally: 1/3 mbit for each.
	for c, want := range map[Class]Rate{{1, 1, 0}: 6_333_333, {1, 2, 0}: 3_333_333, {3, 1, 0}: 333_334} {
		if got := leafOf(t, p.Down, c).Ceil; got != want {
			t.Errorf("%+v may have %s, want %s", c, got, want)
		}
	}
}

// TestBudget: what a person's rules guarantee to one device is reduced in proportion to its budget; the house's own is not.
func TestBudget(t *testing.T) {
	in := home()
	in.Links = in.Links[:1]
	in.Terms = []Term{
		{Rule: "fair", Rank: RankBound, Devices: []flow.DeviceID{1}, Budget: both(3 * mbit)},
		{Rule: "a", Rank: RankUser, Devices: []flow.DeviceID{1}, Apps: []flow.AppClass{1}, Guarantee: both(4 * mbit)},
		{Rule: "b", Rank: RankUser, Devices: []flow.DeviceID{1}, Apps: []flow.AppClass{6}, Guarantee: both(2 * mbit)},
		{Rule: "house", Rank: RankMust, Devices: []flow.DeviceID{1}, Apps: []flow.AppClass{0}, Guarantee: both(2 * mbit)},
	}
	in.Terms[0].Rank = RankDefault // below the must
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range map[Class]Rate{{1, 1, 1}: 2 * mbit, {1, 1, 6}: 1 * mbit, {1, 1, 0}: 2 * mbit} {
		if got := leafOf(t, p.Down, c).Rate - p.Down.branches[0].floor; got+100 < want || got > want {
			t.Errorf("%+v is sure of %s, want %s", c, got, want)
		}
	}
}

// TestPriority: a rule for a class says it before one for the device, and a class has one of its own.
func TestPriority(t *testing.T) {
	in := home()
	in.Terms = []Term{
		{Rule: "class", Rank: RankUser, Devices: []flow.DeviceID{1}, Apps: []flow.AppClass{6}, Priority: number(7)},
		{Rule: "device", Rank: RankUser, Devices: []flow.DeviceID{1}, Priority: number(4)},
	}
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range map[Class]uint8{{1, 1, 6}: 7, {1, 1, 1}: 4, {1, 2, 0}: 3, {1, 3, 3}: 2} {
		if got := leafOf(t, p.Up[0], c).Priority; got != want {
			t.Errorf("%+v has priority %d, want %d", c, got, want)
		}
	}
}

// TestTurns: devices get the same part of what they borrow, whether one of their classes sends or three.
func TestTurns(t *testing.T) {
	in := home()
	in.Links = in.Links[:1]
	in.Terms = []Term{{Rule: "same", Rank: RankUser, Devices: []flow.DeviceID{1, 2}, Priority: number(3)}}
	in.Demands = []Demand{
		{Class{1, 1, 0}, both(mbit)}, {Class{1, 1, 4}, both(mbit)}, {Class{1, 1, 5}, both(mbit)}, {Class{1, 1, 6}, Rates{}},
		{Class{1, 2, 0}, both(mbit)},
	}
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	turn := map[flow.DeviceID]uint32{}
	for _, c := range p.Up[0].Shaping("wan1", 14).Classes {
		if m := ClassOf(flow.Mark(c.ID)); c.ID >= 0x2000 && m.App != 6 {
			turn[m.Device] += c.Quantum
		}
	}
	if turn[1] == 0 || turn[1]/100 != turn[2]/100 { // rounding may take some bytes
		t.Errorf("a turn of device 1 is %d bytes, of device 2 %d: want the same", turn[1], turn[2])
	}
}

// TestEveryRate: whatever a link carries, its tree can be written. Between 3.3 and 3.6 Mbit/s a packet's time is a fraction of a
// millisecond above the kernel's own target, which must not be asked for by name.
func TestEveryRate(t *testing.T) {
	in := home()
	in.Queues = Queues{FQCoDel: true}
	for capacity := 256 * kbit; capacity < 2500*mbit; capacity += capacity / 100 {
		for i := range in.Links {
			in.Links[i].Capacity = both(capacity)
		}
		p, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, tree := range append(slices.Clone(p.Up), p.Down) {
			if err := tree.Shaping("dev", 14).Validate(); err != nil {
				t.Errorf("links of %s: %v", capacity, err)
			}
		}
	}
}

// TestThrottle: what a term says of links whose data is spent holds on them alone, whoever is promised more.
func TestThrottle(t *testing.T) {
	in := home()
	in.Terms = append(in.Terms, Term{Rule: "slow", Rank: RankBound, Devices: []flow.DeviceID{1}, Spent: true, Cap: both(500 * kbit)})
	ceils := func() map[flow.LinkID]Rate {
		p, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		out := map[flow.LinkID]Rate{}
		for _, l := range p.Down.Leaves() {
			if l.Device == 1 {
				out[l.Link] = max(out[l.Link], l.Ceil)
			}
		}
		return out
	}
	if diff := cmp.Diff(map[flow.LinkID]Rate{1: 50 * mbit, 3: 8 * mbit}, ceils()); diff != "" {
		t.Errorf("nothing is spent: %s", diff)
	}
	in.Links[1].Spent = true
	if diff := cmp.Diff(map[flow.LinkID]Rate{1: 50 * mbit, 3: 500 * kbit}, ceils()); diff != "" {
		t.Errorf("the data of lte is spent: %s", diff)
	}
	in.Links[0].Spent = true
	if c := ceils(); c[1]+c[3] != 500*kbit {
		t.Errorf("both are spent: %v; want one amount over both", c)
	}
}
