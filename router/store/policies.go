package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Policy is one version of the policy document.
type Policy struct {
	Version int64 // counts from 1 and never back
	At      time.Time
	Author  string // who changed it
	Note    string // what for
	Text    string // YAML; empty in a history
}

// SavePolicy makes text the current policy, at once and safe from a power cut. A text that is the current one already makes no
// new version. It returns the current version.
func (s *Store) SavePolicy(ctx context.Context, text, author, note string) (p Policy, err error) {
	err = s.write(ctx, "save the policy", true, func(tx *sql.Tx) error {
		p, err = scanPolicy(tx.QueryRowContext(ctx, selectPolicy+` ORDER BY version DESC LIMIT 1`))
		if err == nil && p.Text == text {
			return nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		p = Policy{At: s.now().UTC().Truncate(time.Second), Author: author, Note: note, Text: text}
		res, err := tx.ExecContext(ctx, `INSERT INTO policies (at, author, note, text) VALUES (?, ?, ?, ?)`, toUnix(p.At), author, note, text)
		if err != nil {
			return err
		}
		if p.Version, err = res.LastInsertId(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM policies WHERE version <= ?`, p.Version-int64(s.lim.Policies))
		return err
	})
	return p, err
}

// CurrentPolicy returns the newest version; ErrNotFound when none was ever saved.
func (s *Store) CurrentPolicy(ctx context.Context) (Policy, error) {
	return s.onePolicy(ctx, "read the current policy", ` ORDER BY version DESC LIMIT 1`)
}

// PolicyVersion returns one version; ErrNotFound when it does not exist or is no longer kept.
func (s *Store) PolicyVersion(ctx context.Context, version int64) (Policy, error) {
	return s.onePolicy(ctx, fmt.Sprintf("read policy version %d", version), ` WHERE version = ?`, version)
}

func (s *Store) onePolicy(ctx context.Context, what, where string, args ...any) (p Policy, err error) {
	err = s.read(ctx, what, func(db *sql.DB) error {
		p, err = scanPolicy(db.QueryRowContext(ctx, selectPolicy+where, args...))
		return err
	})
	return p, err
}

// PolicyHistory lists the newest versions first, without their texts. A limit of 0 means all.
func (s *Store) PolicyHistory(ctx context.Context, limit int) (list []Policy, err error) {
	if limit <= 0 {
		limit = -1
	}
	err = s.read(ctx, "read the policy's history", func(db *sql.DB) error {
		list = nil
		rows, err := db.QueryContext(ctx, `SELECT version, at, author, note FROM policies ORDER BY version DESC LIMIT ?`, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p Policy
			var at int64
			if err := rows.Scan(&p.Version, &at, &p.Author, &p.Note); err != nil {
				return err
			}
			p.At = fromUnix(at)
			list = append(list, p)
		}
		return rows.Err()
	})
	return list, err
}

const selectPolicy = `SELECT version, at, author, note, text FROM policies`

func scanPolicy(row *sql.Row) (p Policy, err error) {
	var at int64
	err = row.Scan(&p.Version, &at, &p.Author, &p.Note, &p.Text)
	if errors.Is(err, sql.ErrNoRows) {
		return Policy{}, ErrNotFound
	}
	p.At = fromUnix(at)
	return p, err
}
