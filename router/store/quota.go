package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

type quotaKey struct {
	link   string
	period int64
}

// AddQuota adds bytes to what a link has used in the quota period that starts at period. The writer commits it.
func (s *Store) AddQuota(link string, period time.Time, up, down uint64) {
	if up == 0 && down == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := quotaKey{link, period.Unix()}
	s.pending.quota[k] = s.pending.quota[k].Add(Traffic{Up: up, Down: down})
}

// QuotaUsed returns the bytes that a link has used in a period, including those not yet committed.
func (s *Store) QuotaUsed(ctx context.Context, link string, period time.Time) (up, down uint64, err error) {
	err = s.read(ctx, "read the quota of "+link, func(db *sql.DB) error {
		var t Traffic
		err := db.QueryRowContext(ctx, `SELECT up, down FROM quota WHERE link = ? AND period = ?`, link, period.Unix()).Scan(&t.Up, &t.Down)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		t = t.Add(s.pending.quota[quotaKey{link, period.Unix()}])
		up, down = t.Up, t.Down
		return nil
	})
	return up, down, err
}

// SetQuota corrects what a link has used in a period (a person read it at the provider), at once.
func (s *Store) SetQuota(ctx context.Context, link string, period time.Time, up, down uint64) error {
	t := Traffic{}.Add(Traffic{Up: up, Down: down})
	err := s.write(ctx, "set the quota of "+link, true, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO quota VALUES (?, ?, ?, ?)`, link, period.Unix(), int64(t.Up), int64(t.Down))
		return err
	})
	if err == nil {
		s.mu.Lock()
		delete(s.pending.quota, quotaKey{link, period.Unix()})
		s.mu.Unlock()
	}
	return err
}

func writeQuota(ctx context.Context, tx *sql.Tx, quota map[quotaKey]Traffic) error {
	for k, t := range quota {
		if _, err := tx.ExecContext(ctx, `INSERT INTO quota VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET up = up + excluded.up, down = down + excluded.down`,
			k.link, k.period, int64(t.Up), int64(t.Down)); err != nil {
			return err
		}
	}
	return nil
}
