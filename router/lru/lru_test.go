package lru_test

import (
	"slices"
	"testing"

	"github.com/trenza-router/trenza/router/lru"
	"pgregory.net/rapid"
)

// The map behaves as the obvious slow one: a slice in order of use.
func TestMapAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		m := lru.New[int, int](limit)
		type entry struct{ k, v int }
		var model []entry // youngest first
		find := func(k int) int { return slices.IndexFunc(model, func(e entry) bool { return e.k == k }) }
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			k := rapid.IntRange(0, 10).Draw(t, "key")
			at := find(k)
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				v := rapid.Int().Draw(t, "value")
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				} else if len(model) == limit {
					model = model[:limit-1]
				}
				model = slices.Insert(model, 0, entry{k, v})
				m.Put(k, v)
			case 1:
				p := m.Get(k)
				if (p != nil) != (at >= 0) || p != nil && *p != model[at].v {
					t.Fatalf("Get(%d) = %v, model index %d", k, p, at)
				}
				if at >= 0 {
					e := model[at]
					model = slices.Insert(slices.Delete(model, at, at+1), 0, e)
				}
			case 2:
				if p := m.Peek(k); (p != nil) != (at >= 0) {
					t.Fatalf("Peek(%d) = %v", k, p)
				}
			case 3:
				if m.Delete(k) != (at >= 0) {
					t.Fatalf("Delete(%d), model index %d", k, at)
				}
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
			}
			var got []entry
			m.All(func(k int, v *int) bool { got = append(got, entry{k, *v}); return true })
			if !slices.Equal(got, model) || m.Len() != len(model) || m.Full() != (len(model) == limit) {
				t.Fatalf("got %v, want %v", got, model)
			}
			if k, _, ok := m.Oldest(); ok != (len(model) > 0) || ok && k != model[len(model)-1].k {
				t.Fatalf("Oldest = %d, %v", k, ok)
			}
		}
	})
}

func TestFullMapDoesNotAllocate(t *testing.T) {
	m := lru.New[int, int](64)
	for i := range 10000 {
		m.Put(i, i)
	}
	i := 10000
	if n := testing.AllocsPerRun(1000, func() { m.Put(i, i); i++ }); n > 0 {
		t.Errorf("%v allocations per Put of a full map", n)
	}
}
