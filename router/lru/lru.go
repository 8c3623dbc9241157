// Package lru is a bounded map in order of use: what was not touched for longest leaves first.
//
// It serves every table that strangers can fill: flows being read, learned names, DNS answers. A Map has no lock and
// no clock; its owner has both. Storage is one slice that grows up to the bound, so that a full table
// neither allocates nor gives the garbage collector pointers to follow.
package lru

// none ends a chain of slots.
const none = -1

// Map holds at most a fixed number of entries. The zero value is not usable; call New. Not safe for concurrent use.
type Map[K comparable, V any] struct {
	max   int
	index map[K]int32
	slots []slot[K, V]
	first int32 // used last
	last  int32 // used longest ago
	free  int32
}

type slot[K comparable, V any] struct {
	prev, next int32
	key        K
	value      V
}

// New makes a map of at most limit entries; a limit below 1 counts as 1.
func New[K comparable, V any](limit int) *Map[K, V] {
	return &Map[K, V]{max: max(limit, 1), index: map[K]int32{}, first: none, last: none, free: none}
}

func (m *Map[K, V]) Len() int { return len(m.index) }

// Get returns a pointer to the value of k and makes it the youngest, or nil. The pointer is good until the next Put.
func (m *Map[K, V]) Get(k K) *V {
	i, ok := m.index[k]
	if !ok {
		return nil
	}
	m.unlink(i)
	m.pushFront(i)
	return &m.slots[i].value
}

// Peek is Get without a change of order.
func (m *Map[K, V]) Peek(k K) *V {
	i, ok := m.index[k]
	if !ok {
		return nil
	}
	return &m.slots[i].value
}

// Put sets the value of k, makes it the youngest and returns a pointer to it. When the map is full the oldest entry
// leaves first; read Oldest before if its value must be cared for.
func (m *Map[K, V]) Put(k K, v V) *V {
	if p := m.Get(k); p != nil {
		*p = v
		return p
	}
	if len(m.index) >= m.max {
		old, _, _ := m.Oldest()
		m.Delete(old)
	}
	i := m.free
	if i != none {
		m.free = m.slots[i].next
	} else {
		i = int32(len(m.slots))
		m.slots = append(m.slots, slot[K, V]{})
	}
	m.slots[i].key, m.slots[i].value = k, v
	m.index[k] = i
	m.pushFront(i)
	return &m.slots[i].value
}

// Full tells whether the next Put of a new key removes the oldest entry.
func (m *Map[K, V]) Full() bool { return len(m.index) >= m.max }

// Delete removes k and tells whether it was there.
func (m *Map[K, V]) Delete(k K) bool {
	i, ok := m.index[k]
	if !ok {
		return false
	}
	delete(m.index, k)
	m.unlink(i)
	m.slots[i] = slot[K, V]{next: m.free, prev: none}
	m.free = i
	return true
}

// Oldest returns the entry that was not touched for longest.
func (m *Map[K, V]) Oldest() (k K, v *V, ok bool) {
	if m.last == none {
		return k, nil, false
	}
	s := &m.slots[m.last]
	return s.key, &s.value, true
}

// All calls f for every entry, youngest first, until f returns false. f may change the value and delete the
// entry it was called with, nothing else.
func (m *Map[K, V]) All(f func(K, *V) bool) {
	for i := m.first; i != none; {
		next := m.slots[i].next
		if !f(m.slots[i].key, &m.slots[i].value) {
			return
		}
		i = next
	}
}

func (m *Map[K, V]) unlink(i int32) {
	s := &m.slots[i]
	if s.prev == none {
		m.first = s.next
	} else {
		m.slots[s.prev].next = s.next
	}
	if s.next == none {
		m.last = s.prev
	} else {
		m.slots[s.next].prev = s.prev
	}
}

func (m *Map[K, V]) pushFront(i int32) {
	s := &m.slots[i]
	s.prev, s.next = none, m.first
	if m.first == none {
		m.last = i
	} else {
		m.slots[m.first].prev = i
	}
	m.first = i
}
