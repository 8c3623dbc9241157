package apply_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/apply"
	"github.com/trenza-router/trenza/router/plan"
)

// tree shapes a link on a device: its default class and some more.
func tree(device string, link uint16, classes ...uint16) hal.Shaping {
	node := 0x1000 | link
	s := hal.Shaping{Device: device, Classes: []hal.Class{{ID: node, Rate: 8_000_000, Ceil: 8_000_000, Burst: 1600, CBurst: 1600}}}
	for _, id := range append([]uint16{link << 13}, classes...) {
		s.Classes = append(s.Classes, hal.Class{
			ID: id, Parent: node, Rate: 80_000, Ceil: 8_000_000, Burst: 1600, CBurst: 1600, Quantum: 1514, Priority: 3,
			Queue: hal.Queue{Kind: hal.FIFO, Bytes: 50_000},
		})
	}
	return s
}

// shaped is the house with its fiber shaped both ways.
func shaped(classes ...uint16) func(*plan.Input) {
	return func(in *plan.Input) {
		in.Shapings = []hal.Shaping{tree("wan1", 1, classes...), tree(hal.DownloadDevice, 1, classes...)}
	}
}

// uploadOnly has other classes than shaped, and no detour.
func uploadOnly(in *plan.Input) { in.Shapings = []hal.Shaping{tree("wan1", 1, 0x2011)} }

// classes is the map of classes as it stands.
func classes(t *testing.T, m hal.Firewall) []string {
	t.Helper()
	elements, err := m.Elements(t.Context(), plan.MapClass)
	if errors.Is(err, hal.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range elements {
		out = append(out, fmt.Sprintf("%#x:%#x", e.Key[0], e.Value))
	}
	slices.Sort(out)
	return out
}

// Through all ways from one shaping to another the machine ends as the plan says, applied again it changes nothing, and a class
// stands before flows are led to it and after.
func TestShaping(t *testing.T) {
	m := machine(t)
	a := newApplier(m)
	for i, step := range []struct {
		change  func(*plan.Input)
		classes []string
	}{
		{house, nil},
		{shaped(0x2010), []string{"0x2000:0x12000", "0x2010:0x12010"}},
		{shaped(0x2010, 0x2021), []string{"0x2000:0x12000", "0x2010:0x12010", "0x2021:0x12021"}},
		{shaped(0x2021), []string{"0x2000:0x12000", "0x2021:0x12021"}},
		{uploadOnly, []string{"0x2000:0x12000", "0x2011:0x12011"}},
		{house, nil},
		{shaped(), []string{"0x2000:0x12000"}},
	} {
		s := state(t, step.change)
		m.Calls()
		mustApply(t, a, s)
		calls := m.Calls()
		at := func(method string) int {
			return slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, method+" ") })
		}
		if set, tree := at("SetElements"), at("SetShaping"); set >= 0 && tree > set {
			t.Errorf("step %d: flows are led to classes before they stand: %q", i, calls)
		}
		if gone, tree := at("DeleteElements"), at("SetShaping"); gone >= 0 && tree < gone {
			t.Errorf("step %d: classes go before their flows are led away: %q", i, calls)
		}
		if diff := cmp.Diff(step.classes, classes(t, m)); diff != "" {
			t.Errorf("step %d: map %s (-want +got):\n%s", i, plan.MapClass, diff)
		}
		equal(t, fmt.Sprintf("step %d: trees", i), shapingText(s), m.ShapingText())
		if r := mustApply(t, a, s); len(r.Changed) > 0 {
			t.Errorf("step %d: applied again, it changes %q", i, r.Changed)
		}
	}
}

// shapingText is the shaping of a plan as a fake prints it.
func shapingText(s plan.State) string {
	text := s.Detour.String()
	for _, t := range s.Shapings {
		text += t.Ordered().String()
	}
	return text
}

func TestShapingFailuresChangeNothing(t *testing.T) {
	boom := errors.New("boom")
	injected := 0
	for from, change := range map[string]func(*plan.Input){"nothing": nil, "no shaping": house, "other classes": shaped(0x2033), "upload alone": uploadOnly} {
		for _, method := range []string{"Detour", "SetDetour", "Shaping", "SetShaping", "Shaped", "Elements", "DeleteElements", "Load"} {
			for n := 0; ; n++ {
				m := machine(t)
				a := newApplier(m)
				target := state(t, shaped(0x2010))
				if change != nil {
					mustApply(t, a, state(t, change))
				}
				before := m.String()
				for range n {
					m.FailNext(method, nil)
				}
				m.FailNext(method, boom)
				_, err := a.Apply(t.Context(), target)
				if err == nil {
					break
				}
				injected++
				at := fmt.Sprintf("from %s, call %d of %s", from, n, method)
				if !errors.Is(err, boom) || errors.Is(err, apply.ErrHalfway) {
					t.Fatalf("%s: %v", at, err)
				}
				equal(t, at, before, m.String())
				mustApply(t, a, target)
				if diff, err := a.Verify(t.Context(), target); err != nil || len(diff) > 0 {
					t.Fatalf("%s, then again: %q, %v", at, diff, err)
				}
			}
		}
	}
	if injected < 20 {
		t.Errorf("only %d failures reached Apply", injected)
	}
}

// A class that flows cannot be led to yet is told and tried again; until then they wait with the rest of their link.
func TestClassesLeft(t *testing.T) {
	m := machine(t)
	a := newApplier(m)
	s := state(t, shaped(0x2010))
	m.FailNext("SetElements", errors.New("boom"))
	if r := mustApply(t, a, s); len(r.Left) != 1 || !strings.Contains(r.Left[0], "boom") {
		t.Errorf("left to do: %q", r.Left)
	}
	if r := mustApply(t, a, s); len(r.Changed) != 1 || len(r.Left) > 0 {
		t.Errorf("the next Apply did %+v", r)
	}
	if r := mustApply(t, a, s); len(r.Changed) > 0 {
		t.Errorf("and the next %+v", r)
	}
}

func TestShapingHeals(t *testing.T) {
	element := []hal.Element{{Key: hal.ElementKey(uint32(0x2010))}}
	for _, tt := range []struct {
		name  string
		harm  func(t *testing.T, m *haltest.Fake) error
		finds string
	}{
		{"the device goes", func(_ *testing.T, m *haltest.Fake) error { m.RemoveInterface(hal.DownloadDevice); return nil }, "detour of [lan0]"},
		{"the tree goes", func(t *testing.T, m *haltest.Fake) error {
			return m.SetShaping(t.Context(), hal.Shaping{Device: "wan1"})
		}, "class tree of wan1"},
		{"a class changes", func(t *testing.T, m *haltest.Fake) error {
			s := tree("wan1", 1, 0x2010)
			s.Classes[0].Rate /= 2
			return m.SetShaping(t.Context(), s)
		}, "class tree of wan1"},
		{"another device is shaped in our name", func(t *testing.T, m *haltest.Fake) error {
			return m.SetShaping(t.Context(), tree("wan2", 2))
		}, "removal of the class tree of wan2"},
		{"an element goes", func(t *testing.T, m *haltest.Fake) error {
			return m.DeleteElements(t.Context(), plan.MapClass, element)
		}, "1 classes for map class"},
		{"an element leads elsewhere", func(t *testing.T, m *haltest.Fake) error {
			return m.SetElements(t.Context(), plan.MapClass, element)
		}, "1 classes for map class"},
		{"an element too many", func(t *testing.T, m *haltest.Fake) error {
			return m.SetElements(t.Context(), plan.MapClass, []hal.Element{{Key: hal.ElementKey(uint32(0x2999)), Value: 1}})
		}, "removal of 1 classes from map class"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine(t)
			a := newApplier(m)
			s := state(t, shaped(0x2010))
			mustApply(t, a, s)
			wantText, wantClasses := m.ShapingText(), classes(t, m)
			if err := tt.harm(t, m); err != nil {
				t.Fatal(err)
			}
			found, err := a.Verify(t.Context(), s)
			if err != nil || !strings.Contains(strings.Join(found, "\n"), tt.finds) {
				t.Fatalf("Verify finds %q, %v; want %s", found, err, tt.finds)
			}
			mustApply(t, a, s)
			equal(t, "shaping", wantText, m.ShapingText())
			if diff := cmp.Diff(wantClasses, classes(t, m)); diff != "" {
				t.Errorf("classes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShapingCleanup(t *testing.T) {
	m := machine(t)
	mustApply(t, newApplier(m), state(t, shaped(0x2010)))
	if err := newApplier(m).Cleanup(t.Context()); err != nil { // by another process
		t.Fatal(err)
	}
	equal(t, "shaping after Cleanup", "", m.ShapingText())
	// A kernel without any queueing is no trouble where nothing is shaped.
	m = machine(t)
	m.FailNext("Detour", hal.ErrUnsupported)
	m.FailNext("Shaped", hal.ErrUnsupported)
	mustApply(t, newApplier(m), state(t, house))
	m.FailNext("Detour", hal.ErrUnsupported)
	m.FailNext("Shaped", hal.ErrUnsupported)
	if err := newApplier(m).Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestReshape: trees alone change, by fewer calls than a whole plan takes; a failure changes nothing.
func TestReshape(t *testing.T) {
	m := machine(t)
	a := newApplier(m)
	from := state(t, shaped(0x2010))
	mustApply(t, a, from)
	to, ok := from.Reshaped(state(t, shaped(0x2010, 0x2021)).Shapings)
	if !ok {
		t.Fatal("one more class is more than another tree")
	}
	for _, other := range []func(*plan.Input){uploadOnly, house} {
		if _, ok := from.Reshaped(state(t, other).Shapings); ok {
			t.Error("other devices are nothing but other trees")
		}
	}
	before := m.String() + m.ShapingText()
	for _, method := range []string{"Elements", "Shaping", "SetShaping"} {
		boom := errors.New("boom")
		m.FailNext(method, boom)
		if _, err := a.Reshape(t.Context(), from, to); !errors.Is(err, boom) {
			t.Errorf("%s fails: %v", method, err)
		}
		equal(t, method+" fails: the machine", before, m.String()+m.ShapingText())
	}
	m.Calls()
	if _, err := a.Reshape(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	for _, c := range m.Calls() {
		if strings.HasPrefix(c, "Load") || strings.HasPrefix(c, "SetDetour") {
			t.Errorf("for another tree: %s", c)
		}
	}
	equal(t, "trees", shapingText(to), m.ShapingText())
	if r := mustApply(t, a, to); len(r.Changed) > 0 {
		t.Errorf("applied whole, it changes %q", r.Changed)
	}
}
