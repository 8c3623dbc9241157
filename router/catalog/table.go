package catalog

import "fmt"

// table finds the owner of the longest domain that covers a host name. It is a hash table with open addressing over the
// domains, read from the last label on: one probe a label, no allocation, about 50 bytes a domain.
type table struct {
	domains []Domain // of all applications, one after the other; App.Domains are parts of it
	owner   []uint16 // index of the application, by domain
	slots   []uint32 // power of two; 0 is free, else high bits of the hash and the domain's index plus one
}

const (
	indexBits  = 20 // of a slot; the other 12 are of the hash, so that a wrong name is looked at once in 4,096 probes
	indexMask  = 1<<indexBits - 1
	maxDomains = indexMask - 1
	maxApps    = 1<<16 - 2 // name classes have 16 bits, and one of them is "none"
)

// newTable takes domains with their owners. It refuses a domain that is there twice.
func newTable(domains []Domain, owner []uint16) (table, error) {
	if len(domains) > maxDomains {
		return table{}, fmt.Errorf("%d domains are too many, at most %d", len(domains), maxDomains)
	}
	size := 8
	for size*2 < len(domains)*3 {
		size *= 2
	}
	t := table{domains: domains, owner: owner, slots: make([]uint32, size)}
	for i, d := range domains {
		h := hashOf(d.Name)
		at := int(h) & (size - 1)
		for ; t.slots[at] != 0; at = (at + 1) & (size - 1) {
			if other := t.slots[at]&indexMask - 1; domains[other] == d {
				return table{}, fmt.Errorf("domain %s is claimed twice", d)
			}
		}
		t.slots[at] = h&^indexMask | uint32(i+1)
	}
	return t, nil
}

// find returns the index of the application.
func (t *table) find(host string) (int, bool) {
	best, dots := -1, 0
	h := uint32(hashSeed)
	for i := len(host) - 1; i >= 0; i-- {
		if host[i] == '.' {
			// No application has a whole top-level domain.
			if dots++; dots > 1 {
				if d := t.probe(finish(h), host[i+1:], false); d >= 0 {
					best = d
				}
			}
		}
		h = (h ^ uint32(host[i])) * hashPrime
	}
	if dots > 0 {
		if d := t.probe(finish(h), host, true); d >= 0 {
			best = d
		}
	}
	if best < 0 {
		return 0, false
	}
	return int(t.owner[best]), true
}

// probe returns the index of the domain of that name, or -1. An exact one counts only for the whole host, and there before the one
// with all names below it.
func (t *table) probe(h uint32, name string, whole bool) int {
	found := -1
	mask := len(t.slots) - 1
	for at := int(h) & mask; ; at = (at + 1) & mask {
		slot := t.slots[at]
		if slot == 0 {
			return found
		}
		if slot&^indexMask != h&^indexMask {
			continue
		}
		i := int(slot&indexMask) - 1
		switch d := &t.domains[i]; {
		case d.Name != name || d.Exact && !whole:
		case d.Exact || !whole:
			return i
		default:
			found = i
		}
	}
}

// The hash is FNV-1a from the last byte to the first, so that a name's hash goes on from its parent's, and then mixed, since
// position and check bits are both taken from it.
const (
	hashSeed  = 2166136261
	hashPrime = 16777619
)

func hashOf(name string) uint32 {
	h := uint32(hashSeed)
	for i := len(name) - 1; i >= 0; i-- {
		h = (h ^ uint32(name[i])) * hashPrime
	}
	return finish(h)
}

func finish(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x7feb352d
	h ^= h >> 15
	return h
}
