package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
)

// tree shapes links, each with its default leaf and some of other classes, below a node of the link.
func tree(device string, links map[uint16][]uint16) hal.Shaping {
	s := hal.Shaping{Device: device}
	for link, classes := range links {
		node := 0x1000 | link
		s.Classes = append(s.Classes, hal.Class{ID: node, Rate: 8_000_000, Ceil: 8_000_000, Burst: 1600, CBurst: 1600})
		for _, id := range append([]uint16{link << 13}, classes...) {
			s.Classes = append(s.Classes, hal.Class{
				ID: id, Parent: node, Rate: 80_000, Ceil: 8_000_000, Burst: 1600, CBurst: 1600, Quantum: 1514, Priority: 3,
				Queue: hal.Queue{Kind: hal.FIFO, Bytes: 50_000},
			})
		}
	}
	return s.Ordered()
}

// homeShapings shape fiber and wifi. One class of the TV has not yet been made on the way down.
func homeShapings() []hal.Shaping {
	return []hal.Shaping{
		tree("wan2", map[uint16][]uint16{2: {0x4010}}),
		tree("wan1", map[uint16][]uint16{1: {0x2010, 0x2021}}),
		tree(hal.DownloadDevice, map[uint16][]uint16{1: {0x2010}, 2: {0x4010}}),
	}
}

func TestClasses(t *testing.T) {
	in := homeInput(t)
	in.Shapings = homeShapings()
	s, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint16{0x2000, 0x2010, 0x4000, 0x4010}, s.Classes()); diff != "" {
		t.Errorf("classes that stand wherever their link does (-want +got):\n%s", diff)
	}
	// A link that is shaped one way alone has its classes there.
	in.Shapings = homeShapings()[:2]
	if s, err = Compile(in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint16{0x2000, 0x2010, 0x2021, 0x4000, 0x4010}, s.Classes()); diff != "" {
		t.Errorf("classes on the way up alone (-want +got):\n%s", diff)
	}
	if !s.Detour.Equal(hal.Detour{}) {
		t.Errorf("a detour without a tree for it: %v", s.Detour)
	}
}

// Trees that come and go change nothing but their own map and chain.
func TestShapingChangesNothingElse(t *testing.T) {
	in := homeInput(t)
	plain, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Shapings = homeShapings()
	shaped, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text  string
		wants []string
	}{
		{shaped.Ruleset.Update(plain.Ruleset), []string{"table inet trenza", "map " + MapClass, "chain postrouting"}},
		{plain.Ruleset.Update(shaped.Ruleset), []string{"flush chain inet trenza postrouting", "delete chain inet trenza postrouting", "delete map inet trenza class"}},
	} {
		for _, want := range step.wants {
			if !strings.Contains(step.text, want) {
				t.Errorf("the transaction lacks %q:\n%s", want, step.text)
			}
		}
		if n := strings.Count(step.text, "chain "); n > 2 {
			t.Errorf("%d chains are named, want postrouting alone:\n%s", n, step.text)
		}
	}
	// More classes of the same links change no rule at all.
	in.Shapings[1] = tree("wan1", map[uint16][]uint16{1: {0x2010, 0x2021, 0x2030}})
	more, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	if text := more.Ruleset.Update(shaped.Ruleset); text != "" {
		t.Errorf("a new class changes the rules:\n%s", text)
	}
}

func TestBadShapings(t *testing.T) {
	for what, bad := range map[string][]hal.Shaping{
		"no link's device":       {tree("lan0", map[uint16][]uint16{1: nil})},
		"twice a device":         {tree("wan1", map[uint16][]uint16{1: nil}), tree("wan1", map[uint16][]uint16{1: nil})},
		"no classes":             {{Device: "wan1"}},
		"a rate of zero":         {func() hal.Shaping { s := tree("wan1", map[uint16][]uint16{1: nil}); s.Classes[0].Rate = 0; return s }()},
		"a leaf of another link": {tree("wan1", map[uint16][]uint16{1: {0x4010}})},
		"a leaf of no link":      {tree("wan1", map[uint16][]uint16{1: {0x0010}})},
		"a link without default": {func() hal.Shaping {
			s := tree("wan1", map[uint16][]uint16{1: {0x2010}})
			s.Classes = slices.DeleteFunc(s.Classes, func(c hal.Class) bool { return c.ID == 0x2000 })
			return s
		}()},
	} {
		in := homeInput(t)
		in.Shapings = bad
		if _, err := Compile(in); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}
