package autorate

import "math"

// What a radio's signal says of its rate: the part of the capacity (Shannon) at goodSINR that is left at a lower ratio of signal to noise. Real
// modems come nearer to it in some places than in others, and the mast shares its cell out among many; so only what the signal rules out by
// a margin is ruled out.
const (
	goodSINR     = 20 // dB, from which a link is taken to carry all that it is said to carry
	signalMargin = 1.5
)

// Ceiling is the rate that a modem's signal does not rule out on the way down, for Reading.Ceiling: SINR in dB, and what the link carries at best. 0: the modem
// tells none, or nothing is ruled out.
func Ceiling(sinr float64, best Rate) Rate {
	if sinr == 0 || math.IsNaN(sinr) {
		return 0
	}
	capacity := func(db float64) float64 { return math.Log2(1 + math.Pow(10, db/10)) }
	left := signalMargin * capacity(sinr) / capacity(goodSINR)
	if left >= 1 {
		return 0
	}
	return part(best, left)
}
