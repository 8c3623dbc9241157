package qos

import (
	"math/bits"
)

// share divides an amount by weight, to the last bit. A tenth is divided equally, whatever the weights: who starts
// to send must be able to show that it wants more.
func share(amount Rate, weights []Rate) []Rate {
	out := make([]Rate, len(weights))
	if len(weights) == 0 {
		return out
	}
	var sum Rate
	for _, w := range weights {
		sum += w
	}
	equal := amount
	if sum > 0 {
		equal = amount / 10
	}
	by := amount - equal
	// Prefixes are rounded and not parts: what is left over by one goes to the next, and nothing is lost.
	var before, prefix Rate
	for i, w := range weights {
		prefix += w
		n := Rate(len(weights))
		end := equal/n*Rate(i+1) + equal%n*Rate(i+1)/n
		if sum > 0 {
			end += scale(by, prefix, sum)
		}
		out[i], before = end-before, end
	}
	return out
}

// scale is amount * num / den, rounded down; num <= den.
func scale(amount, num, den Rate) Rate {
	hi, lo := bits.Mul64(uint64(amount), uint64(num))
	q, _ := bits.Div64(hi, lo, uint64(den)) // hi < den, since num <= den
	return Rate(q)
}
