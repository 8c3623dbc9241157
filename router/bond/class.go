package bond

import "time"

// Class is how urgent a flow's packets are beside those of others when the paths are full.
type Class uint8

const (
	// Normal is what nobody said more of.
	Normal Class = iota
	// Realtime is a call or a game: up to 8 Mbit/s of a flow pass the queue, and a second copy takes another path while the budget for that lasts.
	Realtime
	// Interactive is what somebody waits for.
	Interactive
	// Background can wait.
	Background
	classes
)

func (c Class) String() string {
	return [classes]string{"normal", "realtime", "interactive", "background"}[c%classes]
}

// Service is how a flow is carried.
type Service struct {
	Mode  Mode
	Class Class
}

// plain is what needs no saying.
func (s Service) plain() bool { return s == Service{} }

// or fills in what s does not say.
func (s Service) or(o Service) Service {
	if s.Mode == Speed {
		s.Mode = o.Mode
	}
	if s.Class == Normal {
		s.Class = o.Class
	}
	return s
}

// lanes are the queues of the entrance, one for each class. Their turns are by deficit (Shreedhar and Varghese 1995): while all have packets, each
// lane has its weight's part of what the paths carry, and what one does not need is the others'. Within its part an urgent lane goes first.
type lanes struct {
	of      [classes]lane
	packets int
	bytes   int
}

// lane is the queue of one class.
type lane struct {
	queue  ring[*parcel]
	credit int // bytes that it may send before the others have had theirs

	above    time.Duration // since when the oldest packet has waited for too long; 0: it has not
	nextDrop time.Duration
	count    int // drops since then
	bytes    int
}

// urgency is the order of turns.
func urgency() [classes]Class { return [classes]Class{Realtime, Interactive, Normal, Background} }

// turn is what a lane may send in a round, in bytes: 16 to 8 to 4 to 1, and the least of them holds a packet.
func turn(c Class) int {
	const least = 1500
	return least * [classes]int{Normal: 4, Realtime: 16, Interactive: 8, Background: 1}[c]
}

func (l *lanes) push(x *parcel) {
	of := &l.of[x.service.Class]
	of.queue.push(x)
	of.bytes += len(x.packet)
	l.packets++
	l.bytes += len(x.packet)
}

// next is the lane whose turn it is among those that are not set aside; false: none has a packet.
func (l *lanes) next(aside [classes]bool) (Class, bool) {
	waits := false
	for range 2 {
		for _, c := range urgency() {
			of := &l.of[c]
			if of.queue.len() == 0 || aside[c] {
				continue
			}
			waits = true
			if of.credit >= len((*of.queue.at(0)).packet) {
				return c, true
			}
		}
		if !waits {
			return 0, false
		}
		for c := range classes { // the next round; who has nothing to send saves nothing up
			switch of := &l.of[c]; {
			case of.queue.len() == 0:
				of.credit = 0
			case !aside[c]:
				of.credit += turn(c)
			}
		}
	}
	// Packets are shorter than a turn, but for one that a device of another MTU let through: it goes, too.
	for _, c := range urgency() {
		if l.of[c].queue.len() > 0 && !aside[c] {
			return c, true
		}
	}
	return 0, false
}

// head is the oldest packet of a lane that has one.
func (l *lanes) head(c Class) *parcel { return *l.of[c].queue.at(0) }

// take removes the oldest packet of a lane; sent says that it uses its lane's turn.
func (l *lanes) take(c Class, sent bool) *parcel {
	of := &l.of[c]
	x := of.queue.pop()
	of.bytes -= len(x.packet)
	l.packets--
	l.bytes -= len(x.packet)
	if sent {
		of.credit -= len(x.packet)
	}
	return x
}

// sojourn is how long the oldest packet of a lane has waited.
func (l *lane) sojourn(now time.Duration) time.Duration {
	if l.queue.len() == 0 {
		return 0
	}
	return now - (*l.queue.at(0)).born
}

const (
	// copyRate and copyPart bound the second copies of Realtime: bytes a second, and the part of what the paths carry.
	copyRate  = 512e3 / 8
	copyPart  = 0.05
	copyBurst = 16 << 10
)

// budget is a leaky bucket of the second copies of Realtime.
type budget struct {
	spent float64
	at    time.Duration
}

func (b *budget) take(n int, summed float64, now time.Duration) bool {
	b.spent = max(0, b.spent-(now-b.at).Seconds()*min(copyRate, summed*copyPart))
	b.at = now
	if b.spent+float64(n) > copyBurst {
		return false
	}
	b.spent += float64(n)
	return true
}
