package link

import (
	"fmt"
	"time"
)

// Quota is a monthly allowance of data, both directions together.
type Quota struct {
	Limit    uint64 // bytes; 0: none
	ResetDay int    // 1 to 31, the day on which the month begins; in shorter months their last day. 0 counts as 1
}

// Validate tells what is wrong with a quota.
func (q Quota) Validate() error {
	if q.ResetDay < 0 || q.ResetDay > 31 {
		return fmt.Errorf("quota: reset day is %d: use 1 to 31", q.ResetDay)
	}
	return nil
}

// Begin is the beginning of the billing month that t lies in: midnight of the reset day, local time.
func (q Quota) Begin(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	begin := q.reset(t.Year(), t.Month(), zone)
	if t.Before(begin) {
		begin = q.reset(t.Year(), t.Month()-1, zone)
	}
	return begin
}

// End is the beginning of the month after that of t.
func (q Quota) End(t time.Time, zone *time.Location) time.Time {
	// The month of the begin is the calendar month of the reset; a reset day clamped to the 28th stays in it.
	b := q.Begin(t, zone)
	return q.reset(b.Year(), b.Month()+1, zone)
}

func (q Quota) reset(year int, month time.Month, zone *time.Location) time.Time {
	last := time.Date(year, month+1, 0, 12, 0, 0, 0, zone).Day()
	return time.Date(year, month, min(max(q.ResetDay, 1), last), 0, 0, 0, 0, zone)
}

// Level says how much of a quota is left.
type Level uint8

const (
	Plenty Level = iota
	Low          // three quarters are used: time to warn
	Spent        // nothing is left
)

func (l Level) String() string { return [...]string{"plenty", "low", "spent"}[min(l, Spent)] }

// Usage is what a Meter must be given back after a restart. The zero value is a link that was never used.
type Usage struct {
	Bytes    uint64    // in the month that began at Begin
	Begin    time.Time // zero: the clock has never been credible; the bytes belong to the first month that is
	Seen     time.Time // the latest credible time
	Previous uint64    // what was counted in the month before, should it turn out not to be over
	PrevFrom time.Time // its begin; zero: none is remembered
}

// QuotaStatus is a quota for people and for steering.
type QuotaStatus struct {
	Used, Limit uint64
	Level       Level
	Begin, End  time.Time // of the billing month; zero while the clock has never been credible
	ClockDoubt  bool      // the clock has jumped and is not believed yet
}

const (
	// A step of the clock up to this size between two calls is ordinary: the router ran, or was off for a day.
	ordinaryStep = 48 * time.Hour
	// A clock that jumped further is believed when it has run evenly this long: time servers set it right well before.
	proving = time.Hour
	// Calls further apart than this prove nothing about an even run.
	evenStep = 15 * time.Minute
)

// epoch is a date before this program existed: an earlier clock was never set.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Meter counts a link's data against its quota. Bytes are never lost and never counted twice; what a wrong clock can
// touch is only the month they are counted in, by these rules:
//
//   - A time before 2024 is no time: a Pi without a clock battery. Its bytes count in the current month.
//   - The clock moving back does not begin a month. Nor does a jump of more than 48 hours ahead, at first.
//   - A clock that jumped (more than 48 hours either way) is believed after it has run evenly for an hour. Until then all counts in
//     the month before the jump. A router that was off for a week thus begins its new month an hour late at most.
//   - If a jump that was believed turns out wrong, and the clock goes back to the month before, then that month's bytes are
//     added again, so that a wrong clock cannot give a fresh quota.
//
// A Meter is not safe for concurrent use.
type Meter struct {
	quota  Quota
	zone   *time.Location
	usage  Usage
	doubt  bool
	last   time.Time     // in doubt: the time of the last call
	steady time.Duration // in doubt: how long the clock has run evenly
}

// NewMeter goes on from a stored usage. zone is where the household lives.
func NewMeter(q Quota, zone *time.Location, stored Usage) *Meter {
	return &Meter{quota: q, zone: zone, usage: stored}
}

// Usage is what to store.
func (m *Meter) Usage() Usage { return m.usage }

// Add counts bytes at a time and returns the level after it. Call it at least every few minutes, with 0 bytes if need be: only
// so is a month's end seen.
func (m *Meter) Add(now time.Time, bytes uint64) Level {
	m.clock(now.Round(0)) // without the monotonic reading, which would hide a jump
	m.usage.Bytes += bytes
	return m.level()
}

// Set replaces the bytes of the current month: the household knows better, for example from the provider's page.
func (m *Meter) Set(bytes uint64) {
	m.usage.Bytes = bytes
	m.usage.Previous, m.usage.PrevFrom = 0, time.Time{}
}

// SetQuota changes limit or reset day. A new reset day moves the month's borders and keeps its bytes.
func (m *Meter) SetQuota(q Quota) {
	m.quota = q
	if !m.usage.Begin.IsZero() {
		m.usage.Begin = q.Begin(m.usage.Seen, m.zone)
		m.usage.Previous, m.usage.PrevFrom = 0, time.Time{}
	}
}

// Status is where the quota stands.
func (m *Meter) Status() QuotaStatus {
	s := QuotaStatus{Used: m.usage.Bytes, Limit: m.quota.Limit, Level: m.level(), ClockDoubt: m.doubt || m.usage.Begin.IsZero()}
	if !m.usage.Begin.IsZero() {
		s.Begin, s.End = m.usage.Begin, m.quota.End(m.usage.Begin, m.zone)
	}
	return s
}

func (m *Meter) level() Level {
	limit, used := m.quota.Limit, m.usage.Bytes
	switch {
	case limit == 0:
		return Plenty
	case used >= limit:
		return Spent
	case used >= limit-limit/4:
		return Low
	}
	return Plenty
}

// clock decides what to make of a time.
func (m *Meter) clock(now time.Time) {
	if now.Before(epoch) {
		m.doubt, m.steady, m.last = true, 0, time.Time{}
		return
	}
	if m.usage.Seen.IsZero() {
		m.believe(now)
		return
	}
	if step := now.Sub(m.usage.Seen); step <= ordinaryStep && step >= -ordinaryStep {
		if step > 0 {
			m.believe(now)
		}
		m.doubt = false
		return
	}
	step := now.Sub(m.last)
	switch {
	case !m.doubt || m.last.IsZero() || step < 0 || step > ordinaryStep:
		m.doubt, m.steady = true, 0
	case step <= evenStep:
		m.steady += step
	}
	m.last = now
	if m.steady >= proving {
		m.believe(now)
	}
}

// believe takes a time as true and turns the month if it is another one.
func (m *Meter) believe(now time.Time) {
	u := &m.usage
	u.Seen, m.doubt = now, false
	switch begin := m.quota.Begin(now, m.zone); {
	case u.Begin.IsZero() || begin.Equal(u.Begin):
		u.Begin = begin
	case begin.After(u.Begin):
		u.Previous, u.PrevFrom = u.Bytes, u.Begin
		u.Bytes, u.Begin = 0, begin
	default: // back in an earlier month: the later one never was
		if !u.PrevFrom.IsZero() && !begin.After(u.PrevFrom) {
			u.Bytes += u.Previous
		}
		u.Begin = begin
		u.Previous, u.PrevFrom = 0, time.Time{}
	}
}
