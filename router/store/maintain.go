package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"
)

const (
	maintainEvery = time.Hour
	steadyFor     = time.Hour       // before anything is pruned by age
	jump          = 5 * time.Minute // more than this beside the expected time is a jump of the clock
	settleAfter   = time.Hour       // a span is compacted this long after its end
)

// steadiness watches the wall clock from tick to tick.
type steadiness struct {
	last       time.Time // wall clock at the last tick
	since      time.Time // it has run steadily since then
	maintained time.Time // last maintenance
}

// tick takes the wall clock, which is asked about every interval, and tells whether it has run steadily for long enough.
func (c *steadiness) tick(now time.Time, interval time.Duration) bool {
	step := now.Sub(c.last)
	if c.last.IsZero() || step < -time.Second || step > interval+jump || now.Before(Floor()) {
		c.since, c.maintained = now, now
	}
	c.last = now
	return now.Sub(c.since) >= steadyFor
}

// maintain prunes and compacts once an hour, when the clock deserves trust.
func (s *Store) maintain(ctx context.Context, now time.Time) error {
	now = now.Round(0) // the wall clock alone: a suspended machine's monotonic clock stands still
	s.mu.Lock()
	due := s.clock.tick(now, s.opts.Interval) && now.Sub(s.clock.maintained) >= maintainEvery
	if due {
		s.clock.maintained = now
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	return s.write(ctx, "tidy the database", false, func(tx *sql.Tx) error { return s.tidy(ctx, tx, now) })
}

func (s *Store) tidy(ctx context.Context, tx *sql.Tx, now time.Time) error {
	future := now.Add(25 * time.Hour).Unix() // a local day may start later than now elsewhere, but not by more
	for r, age := range map[Resolution]time.Duration{Minute: s.lim.Minutes, Hour: s.lim.Hours, Day: s.lim.Days} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+r.table()+` WHERE at < ? OR at > ?`, now.Add(-age).Unix(), future); err != nil {
			return err
		}
		if err := s.compact(ctx, tx, r, now); err != nil {
			return err
		}
		if err := s.capRows(ctx, tx, r); err != nil {
			return err
		}
	}
	for _, q := range []struct {
		text string
		args []any
	}{
		{`DELETE FROM link_history WHERE resolution = 60 AND at < ? OR resolution = 3600 AND at < ? OR at > ?`,
			[]any{now.Add(-s.lim.Minutes).Unix(), now.Add(-s.lim.Hours).Unix(), future}},
		{`DELETE FROM words WHERE id NOT IN (SELECT device FROM usage_minute UNION SELECT app FROM usage_minute UNION SELECT link FROM usage_minute
			UNION SELECT device FROM usage_hour UNION SELECT app FROM usage_hour UNION SELECT link FROM usage_hour
			UNION SELECT device FROM usage_day UNION SELECT app FROM usage_day UNION SELECT link FROM usage_day)`, nil},
	} {
		if _, err := tx.ExecContext(ctx, q.text, q.args...); err != nil {
			return err
		}
	}
	return nil
}

// compact folds the small applications of each device, link and newly finished span into Other. A setting remembers how far
// it has come; one that the clock left in the future is taken back.
func (s *Store) compact(ctx context.Context, tx *sql.Tx, r Resolution, now time.Time) error {
	mark := "store/compacted/" + r.table()
	end := r.start(now.Add(-settleAfter), s.loc) // spans that start earlier are over
	begin := int64(0)
	if text, err := getSetting(ctx, tx, mark); err == nil {
		begin, _ = strconv.ParseInt(string(text), 10, 64) // not a number: begin at 0
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	w := words{tx: tx, ids: map[word]int64{}}
	other, err := w.id(ctx, word{wordApp, Other})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `CREATE TEMP TABLE small AS SELECT at, device, app, link FROM (
		SELECT at, device, app, link, row_number() OVER (PARTITION BY at, device, link ORDER BY up + down DESC, app) AS rank
		FROM `+r.table()+` WHERE at >= ? AND at < ? AND app <> ?) WHERE rank > ?`, min(begin, end), end, other, s.lim.Apps); err != nil {
		return err
	}
	if err := moveUsage(ctx, tx, r, "app", other, `(at, device, app, link) IN (SELECT at, device, app, link FROM small)`); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DROP TABLE small`); err != nil {
		return err
	}
	return putSetting(ctx, tx, mark, strconv.AppendInt(nil, end, 10))
}

// capRows deletes the oldest spans of a table that has grown beyond the limit in spite of its ages.
func (s *Store) capRows(ctx context.Context, tx *sql.Tx, r Resolution) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM `+r.table()+` WHERE at <= (SELECT at FROM `+r.table()+` ORDER BY at DESC LIMIT 1 OFFSET ?)`, s.lim.Rows)
	return err
}
