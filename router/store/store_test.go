package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/trenza-router/trenza/router/flow"
	"pgregory.net/rapid"
)

// clock is a wall clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

var noon = time.Date(2028, 6, 15, 12, 0, 30, 0, time.UTC)

func open(t testing.TB, path string, c *clock, change ...func(*Options)) *Store {
	t.Helper()
	o := Options{Path: path, Now: c.Now, Location: time.UTC}
	for _, f := range change {
		f(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newStore(t testing.TB, change ...func(*Options)) (*Store, *clock, string) {
	c, path := &clock{now: noon}, filepath.Join(t.TempDir(), "a dir%?#", "trenza.db")
	path = filepath.Join(filepath.Dir(filepath.Dir(path)), "trenza 50%?#.db") // names with characters that mean something in a URI
	return open(t, path, c, change...), c, path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func diff(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
}

func TestDevicesSurviveReopen(t *testing.T) {
	s, c, path := newStore(t)
	laptop := Device{Number: 1, ID: "laptop", Name: "Laptop", Hostname: "lap", Vendor: "Intel", Interface: "lan0",
		MACs: []flow.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}, FirstSeen: noon.Truncate(time.Second), LastSeen: noon.Truncate(time.Second)}
	phone := Device{Number: 510, ID: "phone", MACs: []flow.MAC{{2, 0, 0, 0, 0, 3}}}
	must(t, s.PutDevices(t.Context(), []Device{laptop, phone}))
	s.SeenDevice(1, noon.Add(time.Hour))
	must(t, s.Close())
	s = open(t, path, c)
	got, err := s.Devices(t.Context())
	must(t, err)
	laptop.LastSeen = noon.Add(time.Hour)
	diff(t, got, []Device{laptop, phone})

	// Ids and addresses may be exchanged in one call; a taken id displaces its holder.
	laptop.ID, phone.ID = phone.ID, laptop.ID
	laptop.MACs, phone.MACs = phone.MACs, laptop.MACs
	must(t, s.PutDevices(t.Context(), []Device{laptop, phone}))
	got, err = s.Devices(t.Context())
	must(t, err)
	diff(t, got, []Device{laptop, phone})
	must(t, s.DeleteDevices(t.Context(), []flow.DeviceID{510, 77}))
	got, err = s.Devices(t.Context())
	must(t, err)
	diff(t, got, []Device{laptop})
	if err := s.PutDevices(t.Context(), []Device{{Number: 511, ID: "x"}}); err == nil {
		t.Fatal("the router's own number was accepted for a device")
	}
}

func TestPolicyVersions(t *testing.T) {
	s, c, path := newStore(t, func(o *Options) { o.Limits.Policies = 3 })
	if _, err := s.CurrentPolicy(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Fatalf("empty store: %v", err)
	}
	for i := 1; i <= 5; i++ {
		c.Set(noon.Add(time.Duration(i) * time.Hour))
		p, err := s.SavePolicy(t.Context(), fmt.Sprintf("rules: %d\n", i), "anna", "try")
		must(t, err)
		again, err := s.SavePolicy(t.Context(), fmt.Sprintf("rules: %d\n", i), "bob", "same")
		must(t, err)
		diff(t, again, p)
	}
	s.Close()
	s = open(t, path, c, func(o *Options) { o.Limits.Policies = 3 })
	p, err := s.CurrentPolicy(t.Context())
	must(t, err)
	diff(t, p, Policy{Version: 5, At: noon.Add(5 * time.Hour), Author: "anna", Note: "try", Text: "rules: 5\n"})
	list, err := s.PolicyHistory(t.Context(), 2)
	must(t, err)
	if len(list) != 2 || list[0].Version != 5 || list[1].Version != 4 || list[0].Text != "" {
		t.Fatalf("history %+v", list)
	}
	if p, err := s.PolicyVersion(t.Context(), 3); err != nil || p.Text != "rules: 3\n" {
		t.Fatal(p, err)
	}
	if _, err := s.PolicyVersion(t.Context(), 2); !errors.Is(err, ErrNotFound) {
		t.Fatalf("version 2 should be gone: %v", err)
	}
}

func TestSettings(t *testing.T) {
	s, c, path := newStore(t)
	must(t, s.PutSetting(t.Context(), "a", nil))
	must(t, s.PutSetting(t.Context(), "b", []byte{0, 255}))
	must(t, s.PutSetting(t.Context(), "gone", []byte("x")))
	must(t, s.DeleteSetting(t.Context(), "gone"))
	must(t, s.Close())
	s = open(t, path, c)
	a, err := s.Setting(t.Context(), "a")
	must(t, err)
	b, err := s.Setting(t.Context(), "b")
	must(t, err)
	diff(t, []string{string(a), string(b)}, []string{"", "\x00\xff"})
	if _, err := s.Setting(t.Context(), "gone"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if err := s.PutSetting(t.Context(), "big", make([]byte, MaxSetting+1)); err == nil {
		t.Fatal("a setting too large was accepted")
	}
}

func TestUsageGroups(t *testing.T) {
	s, _, _ := newStore(t)
	at := func(h, m int) time.Time { return time.Date(2026, 6, 15, h, m, 7, 0, time.UTC) }
	add := func(when time.Time, device, app, link string, up uint64) {
		s.AddUsage([]Usage{{when, device, app, link, Traffic{up, 10 * up, 1, 2, 1}}})
	}
	add(at(10, 0), "laptop", "video", "fiber", 100)
	add(at(10, 0), "laptop", "video", "fiber", 1)
	add(at(10, 59), "laptop", "mail", "lte", 10)
	must(t, s.Flush(t.Context()))
	add(at(10, 59), "laptop", "mail", "lte", 5) // still in memory
	add(at(11, 30), "phone", "video", "fiber", 7)
	n := func(up, packets uint64) Traffic { return Traffic{up, 10 * up, packets, 2 * packets, packets} }
	for _, tt := range []struct {
		name string
		q    UsageQuery
		want []Usage
	}{
		{"everything", UsageQuery{Resolution: Day}, []Usage{{Traffic: n(123, 5)}}},
		{"by hour", UsageQuery{Resolution: Hour, By: Group{Time: true}},
			[]Usage{{At: at(10, 0).Truncate(time.Hour), Traffic: n(116, 4)}, {At: at(11, 0).Truncate(time.Hour), Traffic: n(7, 1)}}},
		{"by minute and link of one device", UsageQuery{Device: "laptop", By: Group{Time: true, Link: true}},
			[]Usage{{At: at(10, 0).Truncate(time.Minute), Link: "fiber", Traffic: n(101, 2)}, {At: at(10, 59).Truncate(time.Minute), Link: "lte", Traffic: n(15, 2)}}},
		{"by device", UsageQuery{Resolution: Day, By: Group{Device: true}}, []Usage{{Device: "laptop", Traffic: n(116, 4)}, {Device: "phone", Traffic: n(7, 1)}}},
		{"range", UsageQuery{From: at(10, 59), To: at(11, 30).Truncate(time.Minute)}, []Usage{{Traffic: n(15, 2)}}},
		{"app and link", UsageQuery{App: "video", Link: "fiber", By: Group{App: true, Device: true}},
			[]Usage{{Device: "laptop", App: "video", Traffic: n(101, 2)}, {Device: "phone", App: "video", Traffic: n(7, 1)}}},
		{"nobody", UsageQuery{Device: "tv"}, []Usage{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.Usage(t.Context(), tt.q)
			must(t, err)
			diff(t, got, tt.want)
		})
	}
}

func TestLocalDays(t *testing.T) {
	madrid, err := time.LoadLocation("Europe/Madrid")
	must(t, err)
	s, _, _ := newStore(t, func(o *Options) { o.Location = madrid })
	s.AddUsage([]Usage{{At: time.Date(2026, 6, 14, 21, 59, 0, 0, time.UTC), Traffic: Traffic{Up: 1}}, {At: time.Date(2026, 6, 14, 22, 0, 0, 0, time.UTC), Traffic: Traffic{Up: 2}}})
	for range 2 { // in memory, then in the file
		got, err := s.Usage(t.Context(), UsageQuery{Resolution: Day, By: Group{Time: true}})
		must(t, err)
		diff(t, got, []Usage{{At: time.Date(2026, 6, 13, 22, 0, 0, 0, time.UTC), Traffic: Traffic{Up: 1}}, {At: time.Date(2026, 6, 14, 22, 0, 0, 0, time.UTC), Traffic: Traffic{Up: 2}}})
		must(t, s.Flush(t.Context()))
	}
}

func TestRenameDeviceJoinsUsage(t *testing.T) {
	s, _, _ := newStore(t)
	u := func(device, app string, up uint64) Usage { return Usage{noon, device, app, "fiber", Traffic{Up: up}} }
	s.AddUsage([]Usage{u("samsung", "video", 1), u("tv", "video", 2), u("samsung", "mail", 4)})
	must(t, s.Flush(t.Context()))
	s.AddUsage([]Usage{u("samsung", "video", 8)})
	must(t, s.RenameDevice(t.Context(), "samsung", "tv"))
	must(t, s.RenameDevice(t.Context(), "never seen", "tv"))
	for _, r := range resolutions() {
		got, err := s.Usage(t.Context(), UsageQuery{Resolution: r, By: Group{Device: true, App: true}})
		must(t, err)
		diff(t, got, []Usage{{Device: "tv", App: "video", Traffic: Traffic{Up: 11}}, {Device: "tv", App: "mail", Traffic: Traffic{Up: 4}}})
	}
}

func TestLinkHistoryAndEvents(t *testing.T) {
	s, c, path := newStore(t)
	sample := func(up bool, latency time.Duration, loss float64) {
		s.AddLinkSample(LinkSample{At: noon, Link: "lte", Up: up, Latency: latency, Jitter: latency / 10, Loss: loss, RateDown: 1000})
	}
	sample(true, 40*time.Millisecond, 0)
	s.AddEvent(Event{noon, 1, "link-up", "lte", "lte is up"})
	must(t, s.Flush(t.Context()))
	sample(true, 60*time.Millisecond, 0.5)
	sample(false, 0, 1)
	s.AddEvent(Event{noon.Add(time.Minute).Truncate(time.Second), 2, "link-down", "lte", "lte is down"})
	for range 2 {
		for _, r := range []Resolution{Minute, Hour} {
			got, err := s.LinkHistory(t.Context(), "lte", r, noon, time.Time{})
			must(t, err)
			start := noon.Truncate(time.Minute)
			diff(t, got, []LinkHistory{{At: start, Link: "lte", Samples: 3, Up: 2. / 3, Latency: 50 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.5, RateDown: 1000}})
		}
		ev, err := s.Events(t.Context(), 0, 10)
		must(t, err)
		if len(ev) != 2 || ev[0].Code != "link-down" || ev[1].Code != "link-up" {
			t.Fatalf("events %+v", ev)
		}
		ev, err = s.Events(t.Context(), 2, 10)
		must(t, err)
		if len(ev) != 1 {
			t.Fatalf("severe events %+v", ev)
		}
		must(t, s.Close())
		s = open(t, path, c)
	}
}

func TestConcurrentUse(t *testing.T) {
	s, _, _ := newStore(t)
	ctx := t.Context()
	var wg sync.WaitGroup
	const workers, rounds = 8, 30
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				s.AddUsage([]Usage{{noon, fmt.Sprint("d", w), "a", "l", Traffic{Up: 1}}})
				switch i % 4 {
				case 0:
					if err := s.Flush(ctx); err != nil {
						t.Error(err)
					}
				case 1:
					if err := s.PutSetting(ctx, fmt.Sprint(w), []byte{byte(i)}); err != nil {
						t.Error(err)
					}
				default: // a reader sees everything that it wrote before, be it in memory or in the file
					got, err := s.Usage(ctx, UsageQuery{Device: fmt.Sprint("d", w)})
					if err != nil || len(got) != 1 || got[0].Traffic.Up != uint64(i+1) {
						t.Error(i, got, err)
					}
				}
			}
		})
	}
	wg.Wait()
	got, err := s.Usage(ctx, UsageQuery{Resolution: Day})
	must(t, err)
	diff(t, got, []Usage{{Traffic: Traffic{Up: workers * rounds}}})
}

func TestSecondProcessIsRefused(t *testing.T) {
	_, c, path := newStore(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if s, err := Open(ctx, Options{Path: path, Now: c.Now}); !errors.Is(err, ErrBusy) {
		t.Fatalf("opened twice: %v %v", s, err)
	}
}

// A database of every earlier version opens and comes out like a fresh one.
func TestMigrateFromEachVersion(t *testing.T) {
	schema := func(db *sql.DB) (text string) {
		must(t, db.QueryRowContext(t.Context(), `SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name)`).Scan(&text))
		return text
	}
	fresh, _, _ := newStore(t)
	want := schema(fresh.db)
	for from := range migrations() {
		path := filepath.Join(t.TempDir(), "old.db")
		db, err := openPool(t.Context(), "file:"+path)
		must(t, err)
		must(t, migrate(t.Context(), db, migrations()[:from], nil))
		must(t, db.Close())
		s := open(t, path, &clock{now: noon})
		diff(t, s.Status(), Status{Path: path})
		diff(t, schema(s.db), want)
	}
}

// The mechanism itself, with steps that do not exist yet.
func TestMigrationSteps(t *testing.T) {
	db, err := openPool(t.Context(), "file:"+filepath.Join(t.TempDir(), "m.db"))
	must(t, err)
	defer db.Close()
	steps := []string{`CREATE TABLE a (x); INSERT INTO a VALUES (1)`, `ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x + 1`, `INSERT INTO a VALUES (3, 4); SELECT broken`}
	must(t, migrate(t.Context(), db, steps[:1], nil))
	must(t, migrate(t.Context(), db, steps[:1], nil))
	if err := migrate(t.Context(), db, steps, nil); err == nil {
		t.Fatal("a broken step passed")
	}
	var n, version int // the second step stays, the third left nothing
	must(t, db.QueryRowContext(t.Context(), `SELECT sum(y) FROM a`).Scan(&n))
	must(t, db.QueryRowContext(t.Context(), `PRAGMA user_version`).Scan(&version))
	diff(t, []int{n, version}, []int{2, 2})
	if err := migrate(t.Context(), db, steps[:1], nil); !errors.Is(err, ErrNewer) {
		t.Fatalf("a newer database: %v", err)
	}
}

// Whatever is added, in whatever order of flushes, every resolution tells the same sum.
func TestUsageSumsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{now: noon}
		s, err := Open(context.Background(), Options{Path: ":memory:/nowhere/x", Now: c.Now, Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var want uint64
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.IntRange(0, 4).Draw(t, "op") == 0 {
				if err := s.Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
				continue
			}
			up := rapid.Uint64Range(1, 1000).Draw(t, "up")
			want += up
			s.AddUsage([]Usage{{At: noon.Add(time.Duration(rapid.IntRange(-100000, 100000).Draw(t, "at")) * time.Second),
				Device: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "device"), App: rapid.SampledFrom([]string{"", "x"}).Draw(t, "app"), Traffic: Traffic{Up: up}}})
		}
		for _, r := range resolutions() {
			for _, by := range []Group{{}, {Time: true}, {Device: true, App: true}} {
				list, err := s.Usage(context.Background(), UsageQuery{Resolution: r, By: by})
				if err != nil {
					t.Fatal(err)
				}
				var got uint64
				for _, u := range list {
					got += u.Traffic.Up
				}
				if got != want {
					t.Fatalf("resolution %d by %+v: %d instead of %d", r, by, got, want)
				}
			}
		}
	})
}
