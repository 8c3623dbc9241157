package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// MaxSetting is the largest value of a setting in bytes.
const MaxSetting = 64 << 10

// Setting reads a small value that some part of the program keeps under a name like "web/session-key"; ErrNotFound when there is none.
func (s *Store) Setting(ctx context.Context, key string) (value []byte, err error) {
	err = s.read(ctx, "read setting "+key, func(db *sql.DB) error {
		value, err = getSetting(ctx, db, key)
		return err
	})
	return value, err
}

// PutSetting writes a setting at once.
func (s *Store) PutSetting(ctx context.Context, key string, value []byte) error {
	if len(value) > MaxSetting {
		return fmt.Errorf("write setting %s: %d bytes are more than %d", key, len(value), MaxSetting)
	}
	return s.write(ctx, "write setting "+key, true, func(tx *sql.Tx) error { return putSetting(ctx, tx, key, value) })
}

// DeleteSetting removes a setting; one that does not exist is no error.
func (s *Store) DeleteSetting(ctx context.Context, key string) error {
	return s.write(ctx, "delete setting "+key, true, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM settings WHERE key = ?`, key)
		return err
	})
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func getSetting(ctx context.Context, db rowQuerier, key string) (value []byte, err error) {
	err = db.QueryRowContext(ctx, `SELECT value FROM settings WHERE key = ?`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	return value, err
}

func putSetting(ctx context.Context, tx *sql.Tx, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)`, key, value)
	return err
}
