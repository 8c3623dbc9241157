package store

import (
	"context"
	"database/sql"
	"errors"
)

// wordKind keeps the names of devices, applications and links apart.
type wordKind uint8

const (
	wordDevice wordKind = iota
	wordApp
	wordLink
)

// word is a name that usage rows refer to by number.
type word struct {
	kind wordKind
	text string
}

// words interns names inside one transaction. A row id is never reused while a usage row refers to it: see prune.
type words struct {
	tx  *sql.Tx
	ids map[word]int64
}

func (w words) find(ctx context.Context, x word) (id int64, ok bool, err error) {
	if id, ok := w.ids[x]; ok {
		return id, true, nil
	}
	err = w.tx.QueryRowContext(ctx, `SELECT id FROM words WHERE kind = ? AND text = ?`, x.kind, x.text).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err == nil {
		w.ids[x] = id
	}
	return id, err == nil, err
}

func (w words) id(ctx context.Context, x word) (int64, error) {
	if id, ok, err := w.find(ctx, x); ok || err != nil {
		return id, err
	}
	res, err := w.tx.ExecContext(ctx, `INSERT INTO words (kind, text) VALUES (?, ?)`, x.kind, x.text)
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	if err == nil {
		w.ids[x] = id
	}
	return id, err
}
