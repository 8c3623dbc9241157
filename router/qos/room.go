package qos

// Senders that do not get slower when packets are dropped (a flood, or hundreds of flows that are down to a packet each) fill a link on the way
// down before the router sees them: what it drops has passed the slow place already, and so the queue that forms there delays and
// drops everybody's packets, whatever they are promised. The cure is to be stricter with what may borrow, until what comes fits.

const (
	// roomSlack is how much more than the shaped rate may come: a queue that fills, and what a second's measurement is off.
	roomSlack = 1.02
	// roomGain is the part of the excess that is given up in a step, and roomBack what comes back in a calm one.
	roomGain, roomBack = 0.5, 0.02
	// leastRoom of a link's rate is never given up.
	leastRoom = 0.7
	// roomStep is the grain: every step is a change of the whole tree.
	roomStep = 0.01
)

// Room is the part of its rate that a link is shaped to on the way down. The zero value is all of it.
type Room struct {
	given float64 // up
	came  float64 // smoothed, of the shaped rate
}

// Step takes what came over the link, what it is shaped to when nothing is given up and what of that is promised, about once a second. It
// returns the part to shape to, which has room for the promises.
func (r *Room) Step(came, shaped, promised Rate) float64 {
	r.came += (float64(came)/float64(max(shaped, 1)) - r.came) / 2
	switch over := r.came - roomSlack; {
	case over > 0:
		r.given += over * roomGain
	case r.came < 1:
		r.given -= roomBack
	}
	least := max(leastRoom, min(1, float64(promised)/float64(max(shaped, 1))/(1-1./smallPart)+roomStep))
	r.given = min(max(r.given, 0), 1-least)
	return 1 - float64(int(r.given/roomStep))*roomStep
}
