package carrier

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock counts from its making and never goes back. The kernel stamps datagrams with the time of day, which may jump: Clock turns a stamp
// into its own time by how long ago it was, and believes no stamp of the future or of long ago.
type Clock struct{ start time.Time }

// stampLife is the age beyond which a stamp tells of a stepped clock and not of a datagram that waited.
const stampLife = 500 * time.Millisecond

// NewClock starts a clock at zero.
func NewClock() Clock { return Clock{time.Now()} }

// Now is the time since the clock was made.
func (c Clock) Now() time.Duration { return time.Since(c.start) }

// moment is the time of day and the clock's, taken together.
type moment struct{ wall, now time.Duration }

func (c Clock) moment() moment {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME, &ts) != nil {
		return moment{now: c.Now()}
	}
	return moment{wall: time.Duration(ts.Nano()), now: c.Now()}
}

// at is when the kernel's stamp was made, by the clock.
func (m moment) at(stamp time.Duration) time.Duration {
	age := m.wall - stamp
	if stamp == 0 || age < 0 || age > stampLife {
		return m.now
	}
	return m.now - age
}
