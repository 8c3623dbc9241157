package policy

import (
	"encoding/binary"
	"slices"
	"time"
)

const (
	minutesPerDay  = 24 * 60
	minutesPerWeek = 7 * minutesPerDay
	everyDay       = 1<<7 - 1
)

// schedule is the union of a rule's windows as disjoint spans of minutes of the week (0 is Sunday 00:00), in order and
// never touching, so that equal schedules are equal slices. Nil means always.
//
// The wall clock decides. In the hour that a clock set forward leaves out, no minute of a window exists; in the hour
// that a clock set back repeats, a window holds both times.
type schedule []weekSpan

// weekSpan is [from, to) in minutes of the week; to is at most minutesPerWeek.
type weekSpan struct{ from, to int }

func newSchedule(windows []Window) schedule {
	if len(windows) == 0 {
		return nil
	}
	var spans schedule
	for _, w := range windows {
		length := w.To - w.From
		if length <= 0 {
			length += minutesPerDay
		}
		for day := range 7 {
			if w.Days&(1<<day) == 0 {
				continue
			}
			from := day*minutesPerDay + w.From
			to := from + length
			if to > minutesPerWeek {
				spans = append(spans, weekSpan{0, to - minutesPerWeek})
				to = minutesPerWeek
			}
			spans = append(spans, weekSpan{from, to})
		}
	}
	slices.SortFunc(spans, func(a, b weekSpan) int { return a.from - b.from })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	if len(out) == 1 && out[0] == (weekSpan{0, minutesPerWeek}) {
		return nil
	}
	return out
}

// key is a text that equal schedules share.
func (s schedule) key() string {
	b := make([]byte, 0, 4*len(s))
	for _, span := range s {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, uint16(span.from)), uint16(span.to))
	}
	return string(b)
}

// holds tells whether the schedule is on in a minute of the week.
func (s schedule) holds(minute int) bool {
	if s == nil {
		return true
	}
	for _, span := range s {
		if minute < span.from {
			return false
		}
		if minute < span.to {
			return true
		}
	}
	return false
}

// contains tells whether s is on whenever t is.
func (s schedule) contains(t schedule) bool {
	if s == nil {
		return true
	}
	if t == nil {
		return false
	}
	for _, span := range t {
		if !slices.ContainsFunc(s, func(o weekSpan) bool { return o.from <= span.from && span.to <= o.to }) {
			return false
		}
	}
	return true
}

// meets tells whether s and t are ever on together.
func (s schedule) meets(t schedule) bool {
	if s == nil || t == nil {
		return true
	}
	for _, a := range s {
		for _, b := range t {
			if a.from < b.to && b.from < a.to {
				return true
			}
		}
	}
	return false
}

// edges lists the minutes of the week at which the schedule goes on or off.
func (s schedule) edges() []int {
	var out []int
	for _, span := range s {
		out = append(out, span.from, span.to%minutesPerWeek)
	}
	// A span up to the last minute and one from the first are one: nothing happens between them.
	if n := len(s); n > 0 && s[0].from == 0 && s[n-1].to == minutesPerWeek {
		out = slices.DeleteFunc(out, func(m int) bool { return m == 0 })
	}
	return out
}

// minuteOfWeek is the wall clock's minute of the week at a moment in its location.
func minuteOfWeek(local time.Time) int {
	return int(local.Weekday())*minutesPerDay + local.Hour()*60 + local.Minute()
}

// awake tells whether a moment is within the rule's From and Until.
func (r *Rule) awake(at time.Time) bool {
	return !at.Before(r.From) && (r.Until.IsZero() || at.Before(r.Until))
}

// bounded tells whether the rule has a moment to begin or to end at.
func (r *Rule) bounded() bool { return !r.From.IsZero() || !r.Until.IsZero() }

// NextChange is the next moment after at when some rule begins or ends to hold, by its schedule or its bounds; the zero time if none ever does.
// A clock change counts if it starts or ends a schedule, and so does the schedule of a rule that sleeps: nothing changes then.
func (c *Compiled) NextChange(at time.Time) time.Time {
	next := c.nextScheduled(at)
	for _, m := range c.moments {
		if m.After(at) && (next.IsZero() || m.Before(next)) {
			return m
		}
	}
	return next
}

func (c *Compiled) nextScheduled(at time.Time) time.Time {
	if len(c.edges) == 0 {
		return time.Time{}
	}
	// Inside a period of constant UTC offset the wall clock runs like any clock: the next edge follows by arithmetic.
	// At the end of the period it jumps, and the schedules before and after the jump are compared.
	for now := at.In(c.zone); ; {
		_, end := now.ZoneBounds()
		next := c.nextEdge(now)
		if end.IsZero() || next.Before(end) {
			return next
		}
		before, after := minuteOfWeek(end.Add(-time.Nanosecond).In(c.zone)), minuteOfWeek(end)
		for _, s := range c.schedules {
			if s.holds(before) != s.holds(after) {
				return end
			}
		}
		now = end
	}
}

// nextEdge is the moment of the next edge after now if the clock is never changed.
func (c *Compiled) nextEdge(now time.Time) time.Time {
	minute := minuteOfWeek(now)
	i, _ := slices.BinarySearch(c.edges, minute+1)
	wait := minutesPerWeek + c.edges[0] - minute
	if i < len(c.edges) {
		wait = c.edges[i] - minute
	}
	start := now.Add(-time.Duration(now.Second())*time.Second - time.Duration(now.Nanosecond()))
	return start.Add(time.Duration(wait) * time.Minute)
}
