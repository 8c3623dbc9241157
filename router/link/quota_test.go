package link

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustZone(t interface{ Fatal(...any) }, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestBillingMonth(t *testing.T) {
	tests := []struct {
		day                int
		zone, now          string
		wantBegin, wantEnd string
	}{
		{1, "Europe/Berlin", "2026-03-15 12:00", "2026-03-01 00:00", "2026-04-01 00:00"},
		{0, "Europe/Berlin", "2026-03-15 12:00", "2026-03-01 00:00", "2026-04-01 00:00"},
		{20, "Europe/Berlin", "2026-03-19 23:59", "2026-02-20 00:00", "2026-03-20 00:00"},
		{20, "Europe/Berlin", "2026-03-20 00:00", "2026-03-20 00:00", "2026-04-20 00:00"},
		{31, "Europe/Berlin", "2026-02-28 00:00", "2026-02-28 00:00", "2026-03-31 00:00"},
		{31, "Europe/Berlin", "2026-02-27 23:59", "2026-01-31 00:00", "2026-02-28 00:00"},
		{31, "Europe/Berlin", "2024-02-28 10:00", "2024-01-31 00:00", "2024-02-29 00:00"},
		{31, "Europe/Berlin", "2026-03-30 10:00", "2026-02-28 00:00", "2026-03-31 00:00"},
		{30, "Europe/Berlin", "2026-03-10 10:00", "2026-02-28 00:00", "2026-03-30 00:00"},
		{15, "America/New_York", "2026-01-02 10:00", "2025-12-15 00:00", "2026-01-15 00:00"},
		{15, "UTC", "2026-12-20 10:00", "2026-12-15 00:00", "2027-01-15 00:00"},
	}
	const layout = "2006-01-02 15:04"
	for _, tt := range tests {
		z := mustZone(t, tt.zone)
		now, err := time.ParseInLocation(layout, tt.now, z)
		if err != nil {
			t.Fatal(err)
		}
		q := Quota{ResetDay: tt.day}
		if got := q.Begin(now.UTC(), z).Format(layout); got != tt.wantBegin {
			t.Errorf("day %d at %s: begins %s, want %s", tt.day, tt.now, got, tt.wantBegin)
		}
		if got := q.End(now.UTC(), z).Format(layout); got != tt.wantEnd {
			t.Errorf("day %d at %s: ends %s, want %s", tt.day, tt.now, got, tt.wantEnd)
		}
	}
}

func TestLevels(t *testing.T) {
	m := NewMeter(Quota{Limit: 1000, ResetDay: 1}, time.UTC, Usage{})
	now := time.Date(2026, 5, 31, 23, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		bytes uint64
		want  Level
	}{{749, Plenty}, {1, Low}, {249, Low}, {1, Spent}, {5000, Spent}} {
		if got := m.Add(now, step.bytes); got != step.want {
			t.Errorf("after %d bytes: %v, want %v", m.Status().Used, got, step.want)
		}
	}
	m = NewMeter(Quota{Limit: 1000, ResetDay: 1}, time.UTC, m.Usage()) // a restart
	if got := m.Add(now.Add(50*time.Minute), 0); got != Spent {
		t.Errorf("after a restart: %v", got)
	}
	if got := m.Add(now.Add(time.Hour), 10); got != Plenty || m.Status().Used != 10 {
		t.Errorf("in the new month: %v, %+v", got, m.Status())
	}
	if s := m.Status(); !s.End.Equal(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)) || s.ClockDoubt {
		t.Errorf("%+v", s)
	}
	m = NewMeter(Quota{}, time.UTC, Usage{})
	m.Add(time.Now(), 0)
	if seen := m.Usage().Seen; seen != seen.Round(0) {
		t.Error("a time is kept with its monotonic reading, which hides jumps of the clock")
	}
	if got := NewMeter(Quota{}, time.UTC, Usage{}).Add(now, 1<<60); got != Plenty {
		t.Errorf("without a limit: %v", got)
	}
}

// The clock of a meter as a sequence of readings; each call counts 10 bytes.
func TestClockJumps(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	// run reads the clock every ten minutes for d.
	run := func(m *Meter, from time.Time, d time.Duration) {
		for e := time.Duration(0); e <= d; e += 10 * time.Minute {
			m.Add(from.Add(e), 10)
		}
	}
	used := func(t *testing.T, m *Meter, want uint64, begin string) {
		t.Helper()
		if s := m.Status(); s.Used != want || begin != "" && !s.Begin.Equal(at(begin)) || begin == "" && !s.Begin.IsZero() {
			t.Errorf("%+v, want %d since %q", s, want, begin)
		}
	}
	stored := Usage{Bytes: 500, Begin: at("2026-05-01 00:00"), Seen: at("2026-05-20 12:00")}
	begin := func() *Meter { return NewMeter(Quota{Limit: 1000, ResetDay: 1}, time.UTC, stored) }

	t.Run("a clock that was never set", func(t *testing.T) {
		m := begin()
		run(m, at("1970-01-01 00:00"), 3*time.Hour)
		used(t, m, 690, "2026-05-01 00:00")
		m.Add(at("2026-05-20 15:00"), 10)
		used(t, m, 700, "2026-05-01 00:00")
		if m.Status().ClockDoubt {
			t.Error("still in doubt")
		}
	})
	t.Run("first start without a clock", func(t *testing.T) {
		m := NewMeter(Quota{ResetDay: 1}, time.UTC, Usage{})
		run(m, at("1970-01-01 00:00"), time.Hour)
		used(t, m, 70, "")
		m.Add(at("2026-05-20 15:00"), 10)
		used(t, m, 80, "2026-05-01 00:00")
	})
	t.Run("off for six weeks", func(t *testing.T) {
		m := begin()
		run(m, at("2026-07-02 08:00"), 50*time.Minute)
		used(t, m, 560, "2026-05-01 00:00")
		run(m, at("2026-07-02 09:00"), 10*time.Minute)
		used(t, m, 20, "2026-07-01 00:00")
	})
	t.Run("off over the end of the month", func(t *testing.T) {
		m := NewMeter(Quota{ResetDay: 1}, time.UTC, Usage{Bytes: 5, Begin: at("2026-05-01 00:00"), Seen: at("2026-05-31 12:00")})
		m.Add(at("2026-06-02 08:00"), 10)
		used(t, m, 10, "2026-06-01 00:00")
	})
	t.Run("years ahead for some minutes", func(t *testing.T) {
		m := begin()
		run(m, at("2036-02-07 06:28"), 40*time.Minute)
		run(m, at("2026-05-20 13:00"), time.Hour)
		used(t, m, 500+50+70, "2026-05-01 00:00")
	})
	t.Run("years ahead until believed, then right again", func(t *testing.T) {
		m := begin()
		run(m, at("2036-02-07 06:20"), 2*time.Hour) // 13 calls: 6 in May, 7 in 2036
		used(t, m, 70, "2036-02-01 00:00")
		m = NewMeter(Quota{Limit: 1000, ResetDay: 1}, time.UTC, m.Usage())
		run(m, at("2026-05-20 15:00"), 2*time.Hour) // 13 calls
		used(t, m, 500+130+130, "2026-05-01 00:00")
	})
	t.Run("back by years until believed", func(t *testing.T) {
		m := begin()
		run(m, at("2025-01-01 00:00"), 2*time.Hour)
		used(t, m, 630, "2025-01-01 00:00")
	})
	t.Run("a little back over a border of the month and forth again", func(t *testing.T) {
		m := NewMeter(Quota{ResetDay: 1}, time.UTC, Usage{Bytes: 5, Begin: at("2026-06-01 00:00"), Seen: at("2026-06-01 00:05")})
		run(m, at("2026-05-31 22:00"), 2*time.Hour)
		used(t, m, 135, "2026-06-01 00:00")
	})
	t.Run("jumping about proves nothing", func(t *testing.T) {
		m := begin()
		for i := range 50 {
			m.Add(at("2030-01-01 00:00").Add(time.Duration(i%7)*30*24*time.Hour), 10)
		}
		used(t, m, 1000, "2026-05-01 00:00")
	})
	t.Run("a new reset day keeps the bytes", func(t *testing.T) {
		m := begin()
		m.SetQuota(Quota{Limit: 1000, ResetDay: 15})
		used(t, m, 500, "2026-05-15 00:00")
	})
}

// Whatever the clock does for less than an hour, a true month's count is exact once it is right again.
func TestClockNonsenseIsHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		truth := time.Date(2026, 5, 1+rapid.IntRange(0, 30).Draw(t, "day"), rapid.IntRange(0, 23).Draw(t, "hour"), 0, 0, 0, time.UTC)
		m := NewMeter(Quota{ResetDay: rapid.IntRange(1, 31).Draw(t, "reset")}, time.UTC, Usage{})
		var total uint64
		add := func(at time.Time) {
			n := uint64(rapid.IntRange(0, 1000).Draw(t, "bytes"))
			total += n
			m.Add(at, n)
		}
		add(truth)
		want := m.Status().Begin
		for range rapid.IntRange(1, 3).Draw(t, "jumps") {
			off := time.Duration(rapid.IntRange(-40*365*24, 40*365*24).Draw(t, "hours off")) * time.Hour
			if off > -ordinaryStep-2*time.Hour && off < ordinaryStep+2*time.Hour {
				off = 0
			}
			for range rapid.IntRange(1, 5).Draw(t, "minutes") {
				truth = truth.Add(time.Minute)
				add(truth.Add(off))
			}
		}
		truth = truth.Add(time.Second)
		if m.quota.Begin(truth, time.UTC) != want {
			return // a true month's end
		}
		add(truth)
		if s := m.Status(); s.Used != total || !s.Begin.Equal(want) || s.ClockDoubt {
			t.Fatalf("%+v, want %d since %v", s, total, want)
		}
	})
}
