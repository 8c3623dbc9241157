package store

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// run plays the writer's ticks from now on for a while, with the clock running as it should.
func run(t *testing.T, s *Store, from time.Time, d time.Duration) time.Time {
	t.Helper()
	for end := from.Add(d); !from.After(end); from = from.Add(s.opts.Interval) {
		must(t, s.flush(t.Context(), from, false))
		must(t, s.maintain(t.Context(), from))
	}
	return from
}

func rows(t *testing.T, s *Store, r Resolution) (n int) {
	t.Helper()
	must(t, s.db.QueryRowContext(context.Background(), `SELECT count(*) FROM `+r.table()).Scan(&n))
	return n
}

func TestPruneByAge(t *testing.T) {
	s, _, _ := newStore(t, func(o *Options) { o.Interval = time.Minute })
	for _, age := range []time.Duration{0, 20 * time.Hour, 30 * time.Hour, 40 * 24 * time.Hour, 800 * 24 * time.Hour, -48 * time.Hour} {
		s.AddUsage([]Usage{{At: noon.Add(-age), Device: fmt.Sprint(age), Traffic: Traffic{Up: 1}}})
	}
	run(t, s, noon, 30*time.Minute)
	if n := rows(t, s, Minute); n != 6 {
		t.Fatalf("%d minutes: pruned before the clock was steady", n)
	}
	run(t, s, noon.Add(31*time.Minute), 90*time.Minute)
	diff(t, []int{rows(t, s, Minute), rows(t, s, Hour), rows(t, s, Day)}, []int{2, 3, 4})
	var words int // of the pruned device and the one in the future, none is left
	must(t, s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM words WHERE kind = ?`, wordDevice).Scan(&words))
	diff(t, words, 4)
}

// A clock that shows 2036 for a while must not delete the history; one that shows 1970 must not book traffic there.
func TestClockJumps(t *testing.T) {
	s, c, path := newStore(t, func(o *Options) { o.Interval = time.Minute })
	epoch := time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC)
	s.AddUsage([]Usage{{At: epoch, Device: "laptop", Traffic: Traffic{Up: 1}}})
	run(t, s, epoch, 2*time.Hour)
	if n := rows(t, s, Minute); n != 0 {
		t.Fatalf("%d minutes booked in 1970", n)
	}
	at := run(t, s, noon, 10*time.Minute)
	got, err := s.Usage(t.Context(), UsageQuery{By: Group{Time: true}})
	must(t, err)
	diff(t, got, []Usage{{At: noon.Truncate(time.Minute), Traffic: Traffic{Up: 1}}})

	run(t, s, at.AddDate(10, 0, 0), 50*time.Minute)
	s.AddUsage([]Usage{{At: at.AddDate(10, 0, 0), Device: "future", Traffic: Traffic{Up: 9}}})
	run(t, s, at, 2*time.Hour)
	got, err = s.Usage(t.Context(), UsageQuery{By: Group{Device: true}})
	must(t, err)
	diff(t, got, []Usage{{Device: "laptop", Traffic: Traffic{Up: 1}}})

	// A machine that never learns the time books at its end, after what it knows.
	s.AddUsage([]Usage{{At: epoch, Device: "laptop", Traffic: Traffic{Up: 2}}})
	c.Set(epoch)
	must(t, s.Close())
	s = open(t, path, c)
	got, err = s.Usage(t.Context(), UsageQuery{By: Group{Time: true}})
	must(t, err)
	diff(t, got, []Usage{{At: noon.Truncate(time.Minute), Traffic: Traffic{Up: 3}}})
}

func TestCompactToTopApps(t *testing.T) {
	s, _, _ := newStore(t, func(o *Options) { o.Interval, o.Limits.Apps = time.Minute, 3 })
	for app := range 10 {
		s.AddUsage([]Usage{{At: noon, Device: "laptop", App: fmt.Sprint("app", app), Link: "fiber", Traffic: Traffic{Up: uint64(1 + app), Flows: 1}}})
	}
	at := run(t, s, noon, 130*time.Minute)
	query := func() []Usage {
		got, err := s.Usage(t.Context(), UsageQuery{Resolution: Hour, By: Group{App: true}})
		must(t, err)
		return got
	}
	want := []Usage{{App: Other, Traffic: Traffic{Up: 28, Flows: 7}}, {App: "app9", Traffic: Traffic{Up: 10, Flows: 1}},
		{App: "app8", Traffic: Traffic{Up: 9, Flows: 1}}, {App: "app7", Traffic: Traffic{Up: 8, Flows: 1}}}
	diff(t, query(), want)
	run(t, s, at, 130*time.Minute)
	diff(t, query(), want)
	if n := rows(t, s, Day); n != 10 {
		t.Fatalf("%d rows: the day is not over", n)
	}
}

func TestRowsAreCapped(t *testing.T) {
	s, _, _ := newStore(t, func(o *Options) { o.Interval, o.Limits.Rows = time.Minute, 50 })
	for i := range 200 {
		s.AddUsage([]Usage{{At: noon.Add(-time.Duration(i) * time.Minute), Traffic: Traffic{Up: 1}}})
	}
	run(t, s, noon, 2*time.Hour)
	if n := rows(t, s, Minute); n != 50 {
		t.Fatalf("%d rows instead of the newest 50", n)
	}
}

// The writer commits while it runs, and Close commits the rest.
func TestWriterTask(t *testing.T) {
	s, c, path := newStore(t)
	if s.opts.Interval < MinInterval {
		t.Fatalf("interval %s", s.opts.Interval)
	}
	s.opts.Interval = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.AddUsage([]Usage{{At: noon, Traffic: Traffic{Up: 1}}})
	deadline := time.Now().Add(time.Minute)
	for written := false; !written; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		written = s.pending.empty()
		s.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("never committed")
		}
	}
	cancel()
	must(t, <-done)
	s.AddUsage([]Usage{{At: noon, Traffic: Traffic{Up: 2}}})
	must(t, s.Close())
	must(t, s.Close())
	if err := s.PutSetting(t.Context(), "k", nil); err == nil {
		t.Fatal("a closed database took a setting")
	}
	s = open(t, path, c)
	got, err := s.Usage(t.Context(), UsageQuery{})
	must(t, err)
	diff(t, got, []Usage{{Traffic: Traffic{Up: 3}}})
}
