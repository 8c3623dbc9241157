package qos

import (
	"slices"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// Recap gives a link's branch in a tree another rate by changing its top alone, for rates that change many times a second. What is below
// may go on asking for the old rate: it cannot borrow what the top does not have. It fails where the top's children are promised more
// than the new rate: HTB would serve them all the same, and the tree must be built anew.
func Recap(s hal.Shaping, link flow.LinkID, rate Rate) (hal.Shaping, hal.Class, bool) {
	id := linkNode(link)
	i := slices.IndexFunc(s.Classes, func(c hal.Class) bool { return c.ID == id })
	if i < 0 {
		return s, hal.Class{}, false
	}
	rate = min(max(rate, MinCapacity), MaxCapacity)
	c := s.Classes[i]
	c.Rate, c.Ceil = uint64(rate)/8*8, uint64(rate)/8*8
	c.Burst, c.CBurst = burst(rate), burst(rate)
	if Promised(s, link) > Rate(c.Rate) {
		return s, c, false
	}
	s.Classes = slices.Clone(s.Classes)
	s.Classes[i] = c
	return s, c, true
}

// Promised is what the branch of a link in a tree promises: HTB serves it whatever the branch's own rate is.
func Promised(s hal.Shaping, link flow.LinkID) (sum Rate) {
	for _, c := range s.Classes {
		if c.Parent == linkNode(link) {
			sum += Rate(c.Rate)
		}
	}
	return sum
}
