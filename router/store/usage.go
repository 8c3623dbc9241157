package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Other is the application that stands for all those too small to be kept apart.
const Other = "other"

// Traffic is a sum of flows. Up is from the LAN to the internet.
type Traffic struct {
	Up, Down               uint64 // bytes, IP headers included
	PacketsUp, PacketsDown uint64
	Flows                  uint64 // that began in the time meant
}

// Add returns the sum; a sum that does not fit stays at the largest number that SQLite can hold.
func (t Traffic) Add(o Traffic) Traffic {
	return Traffic{add(t.Up, o.Up), add(t.Down, o.Down), add(t.PacketsUp, o.PacketsUp), add(t.PacketsDown, o.PacketsDown), add(t.Flows, o.Flows)}
}

func add(a, b uint64) uint64 {
	if a > math.MaxInt64 || b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// Usage is the traffic of one device, application and link in one span of time. Empty names are allowed and mean "not known".
type Usage struct {
	At      time.Time // start of the span, UTC; when added: any moment of it
	Device  string    // id
	App     string    // catalogue id
	Link    string    // name
	Traffic Traffic
}

// Resolution is the length of a usage span.
type Resolution uint8

const (
	Minute Resolution = iota
	Hour
	Day // from midnight to midnight of Options.Location
)

func resolutions() []Resolution { return []Resolution{Minute, Hour, Day} }

func (r Resolution) table() string { return [...]string{"usage_minute", "usage_hour", "usage_day"}[r] }

// start is the beginning of the span that holds t, in Unix seconds.
func (r Resolution) start(t time.Time, loc *time.Location) int64 {
	switch r {
	case Minute:
		return t.Unix() - mod(t.Unix(), 60)
	case Hour:
		return t.Unix() - mod(t.Unix(), 3600)
	}
	y, m, d := t.In(loc).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, loc).Unix()
}

func mod(a, b int64) int64 { return ((a % b) + b) % b }

// Group says by what a query tells usage apart; what is not named is summed up and left zero in the answer.
type Group struct{ Time, Device, App, Link bool }

// UsageQuery asks for usage in [From, To); a zero To means now and later. Empty names match everything.
type UsageQuery struct {
	Resolution        Resolution
	From, To          time.Time
	Device, App, Link string
	By                Group
}

type usageKey struct {
	at                int64
	device, app, link string
}

// AddUsage adds traffic to the sums in memory; the writer commits them later. It never blocks on the disk and never fails.
func (s *Store) AddUsage(list []Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range list {
		if u.Traffic == (Traffic{}) {
			continue
		}
		s.pending.addUsage(usageKey{Minute.start(u.At, time.UTC), u.Device, u.App, u.Link}, u.Traffic)
	}
	if lost := s.pending.shrink(s.lim.Pending); lost > 0 {
		s.status.Lost += uint64(lost)
	}
}

// Usage answers a query, sorted by time, then by bytes (most first), then by names.
func (s *Store) Usage(ctx context.Context, q UsageQuery) ([]Usage, error) {
	if q.Resolution > Day {
		return nil, fmt.Errorf("read usage: resolution %d: use Minute, Hour or Day", q.Resolution)
	}
	from, to := q.Resolution.start(q.From, s.loc), int64(math.MaxInt64)
	if !q.To.IsZero() {
		to = q.To.Unix()
	}
	sums := map[usageKey]Traffic{}
	collect := func(k usageKey, t Traffic) {
		if k.at < from || k.at >= to || q.Device != "" && k.device != q.Device || q.App != "" && k.app != q.App || q.Link != "" && k.link != q.Link {
			return
		}
		k = q.By.reduce(k)
		sums[k] = sums[k].Add(t)
	}
	err := s.read(ctx, "read usage", func(db *sql.DB) error {
		clear(sums)
		if err := queryUsage(ctx, db, q, from, to, collect); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for k, t := range s.pending.usage {
			k.at = q.Resolution.start(time.Unix(k.at, 0), s.loc)
			collect(k, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sortedUsage(sums, q.By.Time), nil
}

func (g Group) reduce(k usageKey) usageKey {
	if !g.Time {
		k.at = 0
	}
	if !g.Device {
		k.device = ""
	}
	if !g.App {
		k.app = ""
	}
	if !g.Link {
		k.link = ""
	}
	return k
}

// queryUsage lets SQLite do the grouping, so that a year of days does not pass through Go row by row.
func queryUsage(ctx context.Context, db *sql.DB, q UsageQuery, from, to int64, collect func(usageKey, Traffic)) error {
	column := func(on bool, expr, zero string) string {
		if on {
			return expr
		}
		return zero
	}
	where, args := []string{"u.at >= ?", "u.at < ?"}, []any{from, to}
	for _, f := range []struct{ column, value string }{{"d.text", q.Device}, {"a.text", q.App}, {"l.text", q.Link}} {
		if f.value != "" {
			where, args = append(where, f.column+" = ?"), append(args, f.value)
		}
	}
	// Without grouping by time the first span stands for all; reduce clears it.
	rows, err := db.QueryContext(ctx, `SELECT `+column(q.By.Time, "u.at", "min(u.at)")+`, `+column(q.By.Device, "d.text", "min(d.text)")+`, `+
		column(q.By.App, "a.text", "min(a.text)")+`, `+column(q.By.Link, "l.text", "min(l.text)")+`,
		total(u.up), total(u.down), total(u.packets_up), total(u.packets_down), total(u.flows)
		FROM `+q.Resolution.table()+` u JOIN words d ON d.id = u.device JOIN words a ON a.id = u.app JOIN words l ON l.id = u.link
		WHERE `+strings.Join(where, " AND ")+`
		GROUP BY `+column(q.By.Time, "u.at", "NULL")+`, `+column(q.By.Device, "u.device", "NULL")+`, `+column(q.By.App, "u.app", "NULL")+`, `+
		column(q.By.Link, "u.link", "NULL"), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k usageKey
		var n [5]float64 // total() cannot overflow; exact up to 9 PB
		if err := rows.Scan(&k.at, &k.device, &k.app, &k.link, &n[0], &n[1], &n[2], &n[3], &n[4]); err != nil {
			return err
		}
		// The filters have been applied; make what was summed up pass them again.
		if q.Device != "" {
			k.device = q.Device
		}
		if q.App != "" {
			k.app = q.App
		}
		if q.Link != "" {
			k.link = q.Link
		}
		collect(k, Traffic{count(n[0]), count(n[1]), count(n[2]), count(n[3]), count(n[4])})
	}
	return rows.Err()
}

func count(f float64) uint64 { return uint64(min(max(f, 0), math.MaxInt64/2)) }

func sortedUsage(sums map[usageKey]Traffic, byTime bool) []Usage {
	list := make([]Usage, 0, len(sums))
	for k, t := range sums {
		u := Usage{Device: k.device, App: k.app, Link: k.link, Traffic: t}
		if byTime {
			u.At = time.Unix(k.at, 0).UTC()
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Usage) int {
		return cmp.Or(a.At.Compare(b.At), -cmp.Compare(a.Traffic.Up+a.Traffic.Down, b.Traffic.Up+b.Traffic.Down),
			cmp.Compare(a.Device, b.Device), cmp.Compare(a.App, b.App), cmp.Compare(a.Link, b.Link))
	})
	return list
}

// RenameDevice moves the usage of a device to a new id, joining it with what that id has already.
func (s *Store) RenameDevice(ctx context.Context, from, to string) error {
	if from == to {
		return nil
	}
	err := s.write(ctx, fmt.Sprintf("rename device %s to %s in the usage", from, to), false, func(tx *sql.Tx) error {
		w := words{tx: tx, ids: map[word]int64{}}
		old, ok, err := w.find(ctx, word{wordDevice, from})
		if err != nil || !ok {
			return err
		}
		id, err := w.id(ctx, word{wordDevice, to})
		if err != nil {
			return err
		}
		for _, r := range resolutions() {
			if err := moveUsage(ctx, tx, r, "device", id, `device = ?`, old); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.mu.Lock()
		s.pending.renameDevice(from, to)
		s.mu.Unlock()
	}
	return err
}

// moveUsage gives rows another device, app or link and adds them to those that have it already.
func moveUsage(ctx context.Context, tx *sql.Tx, r Resolution, column string, id int64, where string, args ...any) error {
	columns := []string{"device", "app", "link"}
	columns[slices.Index(columns, column)] = fmt.Sprintf("%d", id)
	if _, err := tx.ExecContext(ctx, `CREATE TEMP TABLE moved AS SELECT at, `+columns[0]+` device, `+columns[1]+` app, `+columns[2]+` link,
		sum(up) up, sum(down) down, sum(packets_up) packets_up, sum(packets_down) packets_down, sum(flows) flows
		FROM `+r.table()+` WHERE `+where+` GROUP BY 1, 2, 3, 4`, args...); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM `+r.table()+` WHERE `+where, args...); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO `+r.table()+` SELECT * FROM moved WHERE true `+onConflictAdd); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DROP TABLE moved`)
	return err
}

const onConflictAdd = `ON CONFLICT DO UPDATE SET up = up + excluded.up, down = down + excluded.down,
	packets_up = packets_up + excluded.packets_up, packets_down = packets_down + excluded.packets_down, flows = flows + excluded.flows`
