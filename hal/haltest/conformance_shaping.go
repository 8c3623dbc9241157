package haltest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
)

// someShaping is a tree with all that a class can say and queues that every kernel has.
func someShaping() hal.Shaping {
	queue := hal.Queue{Kind: hal.FIFO, Bytes: 50_000}
	return hal.Shaping{Device: Devices[0], Default: 0x2000, Classes: []hal.Class{
		{ID: 0x1001, Rate: 10_000_000, Ceil: 10_000_000, Burst: 1600, CBurst: 1600, Overhead: hal.Overhead{Bytes: 26, Cells: true}},
		{ID: 0x2000, Parent: 0x1001, Rate: 64, Ceil: 10_000_000, Burst: 1600, CBurst: 1600, Quantum: 1514, Priority: 3, Queue: queue},
		{ID: 0x0201, Parent: 0x1001, Rate: 2_000_000, Ceil: 8_000_000, Burst: 1600, CBurst: 1600},
		{ID: 0x2010, Parent: 0x0201, Rate: 1_000_000, Ceil: 8_000_000, Burst: 1600, CBurst: 2000, Quantum: 6000, Priority: 7, Queue: queue},
		{ID: 0x2011, Parent: 0x0201, Rate: 256_000, Ceil: 256_000, Burst: 1600, CBurst: 1600, Quantum: 1514, Overhead: hal.Overhead{Bytes: 18, Min: 64}, Queue: queue},
		{ID: 0x1007, Rate: 2_500_000_000, Ceil: 2_500_000_000, Burst: 312_500, CBurst: 312_500},
		{ID: 0xffff, Parent: 0x1007, Rate: 1_000_000_000, Ceil: 2_500_000_000, Burst: 125_000, CBurst: 312_500, Quantum: 60_000, Priority: 1, Queue: queue},
	}}
}

// wantShaping compares what stands with what is wanted. A burst may lack what passes in 64 ns.
func wantShaping(t *testing.T, m Surface, want hal.Shaping) {
	t.Helper()
	got, err := m.Shaping(t.Context(), want.Device)
	must(t, err)
	near := cmp.Comparer(func(a, b hal.Class) bool {
		close := func(x, y uint32, rate uint64) bool { return max(x, y)-min(x, y) <= uint32(rate/8*64/1e9)+1 }
		if !close(a.Burst, b.Burst, a.Rate) || !close(a.CBurst, b.CBurst, a.Ceil) {
			return false
		}
		a.Burst, a.CBurst = b.Burst, b.CBurst
		return a == b
	})
	if diff := cmp.Diff(want.Ordered(), got, near); diff != "" {
		t.Errorf("what stands on %s (-want +got):\n%s", want.Device, diff)
	}
}

func conformShaping(t *testing.T, m Surface) {
	s := someShaping()
	wantShaping(t, m, hal.Shaping{Device: s.Device})
	must(t, m.SetShaping(t.Context(), s))
	wantShaping(t, m, s)
	wantShaping(t, m, hal.Shaping{Device: Devices[1]})
	counters, err := m.ClassCounters(t.Context(), s.Device)
	must(t, err)
	for _, c := range s.Classes {
		if _, ok := counters[c.ID]; !ok {
			t.Errorf("no counter of class %x", c.ID)
		}
	}
	must(t, m.SetShaping(t.Context(), s)) // nothing to do
	wantShaping(t, m, s)
	wantShaped(t, m, s.Device)
	have, err := m.Shaping(t.Context(), s.Device)
	must(t, err)
	if !s.Same(have) {
		t.Errorf("what stands is not the same as what was set:\n%s", have)
	}
	changed := someShaping()
	changed.Classes[3].Rate, changed.Classes[3].Ceil = 1_200_000, 7_000_000
	must(t, m.ChangeClass(t.Context(), s.Device, changed.Classes[3]))
	wantShaping(t, m, changed)
	must(t, m.ChangeClass(t.Context(), s.Device, s.Classes[3]))
	wantShaping(t, m, s)
	for device, class := range map[string]hal.Class{s.Device: {ID: 0x3333, Parent: 0x1001, Rate: 64, Ceil: 64, Burst: 1600, CBurst: 1600}, "nothing0": s.Classes[3]} {
		if err := m.ChangeClass(t.Context(), device, class); !errors.Is(err, hal.ErrNotFound) {
			t.Errorf("class %x of %s is changed: %v", class.ID, device, err)
		}
	}
	for i := range s.Classes {
		other := someShaping()
		other.Classes[i].CBurst += 2000
		if other.Same(have) {
			t.Errorf("class %x with another burst is the same", other.Classes[i].ID)
		}
	}
	must(t, m.SetShaping(t.Context(), hal.Shaping{Device: s.Device}))
	wantShaping(t, m, hal.Shaping{Device: s.Device})
	must(t, m.SetShaping(t.Context(), hal.Shaping{Device: s.Device})) // nothing to remove
	wantShaped(t, m)
}

func wantShaped(t *testing.T, m Surface, want ...string) {
	t.Helper()
	got, err := m.Shaped(t.Context())
	must(t, err)
	if !slices.Equal(want, got) {
		t.Errorf("shaped devices: %v, want %v", got, want)
	}
}

// conformShapingChanges goes through trees that differ in each way in which they can.
func conformShapingChanges(t *testing.T, m Surface) {
	edit := func(f func(*hal.Shaping)) hal.Shaping {
		s := someShaping()
		f(&s)
		return s
	}
	for _, s := range []hal.Shaping{
		someShaping(),
		edit(func(s *hal.Shaping) {
			s.Classes[3].Rate, s.Classes[3].Priority, s.Classes[3].Quantum = 800_000, 2, 3000
		}),
		edit(func(s *hal.Shaping) { s.Classes[0].Overhead, s.Classes[4].Overhead = hal.Overhead{}, hal.Overhead{} }),
		edit(func(s *hal.Shaping) { s.Classes[1].Queue.Bytes = 77_000 }),
		edit(func(s *hal.Shaping) { s.Classes = slices.Delete(s.Classes, 2, 5) }), // a device and its classes
		edit(func(s *hal.Shaping) { s.Classes = s.Classes[:5] }),                  // a link
		edit(func(s *hal.Shaping) { s.Default = 0 }),
		edit(func(s *hal.Shaping) { s.Classes[4].Parent = 0x1001 }), // a leaf goes up
		edit(func(s *hal.Shaping) { // a leaf becomes an inner class
			c := &s.Classes[4]
			inner, leaf := *c, *c
			inner.Queue, inner.Quantum, inner.Priority = hal.Queue{}, 0, 0
			leaf.ID, leaf.Parent = 0x2099, c.ID
			*c = inner
			s.Classes = append(s.Classes, leaf)
		}),
		someShaping(),
	} {
		must(t, m.SetShaping(t.Context(), s))
		wantShaping(t, m, s)
	}
}

func conformShapingErrors(t *testing.T, m Surface) {
	gone := hal.Shaping{Device: "gone0", Classes: someShaping().Classes}
	wantError(t, m.SetShaping(t.Context(), gone), hal.ErrNotFound)
	_, err := m.Shaping(t.Context(), gone.Device)
	wantError(t, err, hal.ErrNotFound)
	_, err = m.ClassCounters(t.Context(), gone.Device)
	wantError(t, err, hal.ErrNotFound)

	s := someShaping()
	must(t, m.SetShaping(t.Context(), s))
	for name, spoil := range map[string]func(*hal.Shaping){
		"a class twice":                  func(s *hal.Shaping) { s.Classes = append(s.Classes, s.Classes[1]) },
		"a parent that does not exist":   func(s *hal.Shaping) { s.Classes[3].Parent = 0x0fff },
		"a parent that stands behind":    func(s *hal.Shaping) { s.Classes[2], s.Classes[3] = s.Classes[3], s.Classes[2] },
		"a leaf as parent":               func(s *hal.Shaping) { s.Classes[4].Parent = 0x2010 },
		"a rate of nothing":              func(s *hal.Shaping) { s.Classes[3].Rate = 0 },
		"a rate above the ceil":          func(s *hal.Shaping) { s.Classes[3].Rate = 9_000_000 },
		"a rate of half bytes":           func(s *hal.Shaping) { s.Classes[3].Rate = 1_000_001 },
		"no burst":                       func(s *hal.Shaping) { s.Classes[3].Burst = 0 },
		"a burst of minutes":             func(s *hal.Shaping) { s.Classes[1].Burst = 16_000 },
		"priority 8":                     func(s *hal.Shaping) { s.Classes[3].Priority = 8 },
		"a leaf without quantum":         func(s *hal.Shaping) { s.Classes[3].Quantum = 0 },
		"an inner class with priority":   func(s *hal.Shaping) { s.Classes[2].Priority = 1 },
		"an inner class without a child": func(s *hal.Shaping) { s.Classes = s.Classes[:3] },
		"a default that is no leaf":      func(s *hal.Shaping) { s.Default = 0x1001 },
		"an empty queue":                 func(s *hal.Shaping) { s.Classes[3].Queue.Bytes = 0 },
	} {
		bad := someShaping()
		spoil(&bad)
		if err := m.SetShaping(t.Context(), bad); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, m.SetShaping(ended, hal.Shaping{Device: s.Device}), context.Canceled)
	wantShaping(t, m, s)
}
