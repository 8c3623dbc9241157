package bond

import "time"

const (
	// frameMost is what fits Ethernet's 1,500 bytes over IPv4: IP 20, UDP 8, seal 24. Links that carry more are not asked for it.
	frameMost = 1500 - 20 - 8 - 24
	// frameUsual fits a dialled line's 1,492 bytes over IPv6: what is believed of a path of which nothing is known yet.
	frameUsual = 1492 - 40 - 8 - 24
	// frameLeast carries what IPv6 asks of every link (RFC 8200 section 5).
	frameLeast = 1280 + dataHeader

	searchGrain  = 8 // the search ends when good and bad are so close
	searchTries  = 3 // a size is bad when so many probes of it were lost
	searchAnswer = time.Second
	confirmEvery = 30 * time.Second // while packets come and go: the way may be another one now
	raiseEvery   = 10 * time.Minute // RFC 8899 section 5.1.1, PMTU_RAISE_TIMER
	// bigLosses in a row of datagrams beyond frameLeast, and none that arrived, are reason to look at once.
	bigLosses = 10
)

// search finds the largest frame that passes a path by padded probes that nobody may fragment (RFC 8899): first what most links carry, then
// by halves.
type search struct {
	good  int // the largest that is known to pass; 0: none yet
	bad   int // the least that is known not to; 0: none yet
	asked int // the size under way; 0: none
	tries int // of it that were lost

	number  uint64 // of the probe under way
	at      time.Duration
	next    time.Duration // when to ask again
	raised  time.Duration // when frameMost was asked for last, after the first time
	bigLost int
}

// candidate is the size to ask for next; 0: the search is over.
func (s *search) candidate() int {
	switch {
	case s.bad == 0 && s.good < frameMost:
		return frameMost
	case s.good == 0 && s.bad > frameUsual:
		return frameUsual
	case s.good == 0 && s.bad > frameLeast:
		return frameLeast
	case s.good > 0 && s.bad-s.good > searchGrain:
		return s.good + (s.bad-s.good)/2
	}
	return 0
}

// ask returns the size of a probe that is due; 0: none is. news is when the path was heard of last.
func (s *search) ask(busy bool, news, round, now time.Duration) int {
	if s.asked > 0 {
		if now-s.at < searchAnswer+round {
			return 0
		}
		if news > s.at {
			s.failed(now) // others were answered meanwhile
		} else {
			s.asked, s.next = 0, now+searchAnswer
		}
	}
	if now < s.next {
		return 0
	}
	if size := s.candidate(); size > 0 {
		return size
	}
	switch {
	case s.good == 0: // not even the least passes: perhaps one day it does
		s.bad = 0
		return frameLeast
	case now-s.raised > raiseEvery && s.good < frameMost:
		s.bad, s.raised = 0, now
		return frameMost
	case busy:
		return s.good
	}
	return 0
}

// sent notes the probe that is under way.
func (s *search) sent(size int, number uint64, now time.Duration) {
	s.asked, s.number, s.at = size, number, now
}

// answered takes in what became of the probe under way.
func (s *search) answered(arrived bool, now time.Duration) {
	if arrived {
		s.passed(now)
	} else {
		s.failed(now)
	}
}

func (s *search) passed(now time.Duration) {
	if s.raised == 0 {
		s.raised = now
	}
	s.good = max(s.good, s.asked)
	if s.bad > 0 && s.bad <= s.good {
		s.bad = 0
	}
	s.asked, s.tries, s.next, s.bigLost = 0, 0, now, 0
	if s.candidate() == 0 {
		s.next = now + confirmEvery
	}
}

func (s *search) failed(now time.Duration) {
	size := s.asked
	s.asked, s.next = 0, now
	if s.tries++; s.tries < searchTries {
		return
	}
	s.tries, s.bad = 0, size
	if size <= s.good {
		s.good = 0 // the way is another one now
	}
	if s.candidate() == 0 {
		s.next = now + confirmEvery
	}
}

// big takes in what became of a datagram that is larger than the least that every path carries.
func (s *search) big(arrived bool, now time.Duration) {
	if arrived {
		s.bigLost = 0
		return
	}
	if s.bigLost++; s.bigLost == bigLosses && s.asked == 0 {
		s.next = now
	}
}

// fits tells whether a frame of that size passes, as far as is known.
func (s *search) fits(size int) bool {
	if s.good > 0 {
		return size <= s.good
	}
	return size <= frameUsual && (s.bad == 0 || size < s.bad)
}

// Largest is the longest packet that passes every path that is not closed; 0 while none is known.
func (c *Core) Largest() int {
	least := 0
	for _, p := range c.paths {
		if !p.closed && p.search.good > 0 && (least == 0 || p.search.good < least) {
			least = p.search.good
		}
	}
	return max(0, least-dataHeader)
}

// Remeasure says that a path's way is another one: what it carries is searched for anew.
func (c *Core) Remeasure(id PathID) {
	if p := c.path(id); p != nil {
		p.search = search{}
	}
}

// measure sends the probes of all searches that are due.
func (c *Core) measure(now time.Duration) {
	for _, p := range c.paths {
		if !p.up || p.closed || p.rate.rtt == 0 {
			continue
		}
		size := p.search.ask(now-c.busy < idleAfter, p.lastNews, p.roundMost, now)
		if size == 0 {
			continue
		}
		c.frame = appendFloor(c.frame[:0], probeKind, clockOf(now), c.floor())
		c.frame = append(c.frame, make([]byte, size-len(c.frame))...)
		p.search.sent(size, p.ledger.next, now)
		c.transmit(p, nil, false, now)
	}
}

// fitting tells whether a parcel passes any living path.
func (c *Core) fitting(x *parcel) bool {
	for _, p := range c.paths {
		if p.up && p.search.fits(len(x.packet)+dataHeader) {
			return true
		}
	}
	return false
}
