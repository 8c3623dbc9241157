package qos

import "github.com/trenza-router/trenza/hal"

// Sure is what each leaf of a tree has for sure while all of them are full, by its id: its own rate, and its part of what its device was
// promised beyond its leaves' rates. HTB lends that to the device's leaves of the first priority in turns.
func Sure(s hal.Shaping) map[uint16]Rate {
	nodes := map[uint16]hal.Class{}
	rest, first, heirs := map[uint16]Rate{}, map[uint16]uint8{}, map[uint16]int{}
	for _, c := range s.Classes {
		if !c.Leaf() {
			nodes[c.ID], rest[c.ID] = c, Rate(c.Rate)
			continue
		}
		rest[c.Parent] -= min(Rate(c.Rate), rest[c.Parent])
		switch n := heirs[c.Parent]; {
		case n == 0 || c.Priority < first[c.Parent]:
			first[c.Parent], heirs[c.Parent] = c.Priority, 1
		case c.Priority == first[c.Parent]:
			heirs[c.Parent]++
		}
	}
	out := map[uint16]Rate{}
	for _, c := range s.Classes {
		if !c.Leaf() {
			continue
		}
		out[c.ID] = Rate(c.Rate)
		// A link's own node promises nothing: what it has left goes to who may borrow it.
		if node, ok := nodes[c.Parent]; ok && node.Parent != 0 && c.Priority == first[c.Parent] {
			out[c.ID] += rest[c.Parent] / Rate(heirs[c.Parent])
		}
	}
	return out
}
