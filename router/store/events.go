package store

import (
	"context"
	"database/sql"
	"time"
)

// Event is something that happened and that a person may want to know later.
type Event struct {
	At       time.Time
	Severity int    // as router/observe numbers it, higher is worse
	Code     string // stable: "link-down"
	Subject  string // what it is about: a link's name, a device's id; may be empty
	Text     string // one plain sentence
}

// AddEvent keeps an event; the writer commits it.
func (s *Store) AddEvent(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.events = append(s.pending.events, e)
	s.pending.trimEvents(s.lim.Events)
}

func (p *pending) trimEvents(limit int) {
	if n := len(p.events) - limit; n > 0 {
		p.events = append([]Event(nil), p.events[n:]...)
	}
}

// Events lists the newest events of at least a severity first.
func (s *Store) Events(ctx context.Context, severity, limit int) (list []Event, err error) {
	err = s.read(ctx, "read events", func(db *sql.DB) error {
		list = nil
		s.mu.Lock()
		for i := len(s.pending.events) - 1; i >= 0 && len(list) < limit; i-- {
			if e := s.pending.events[i]; e.Severity >= severity {
				list = append(list, e)
			}
		}
		s.mu.Unlock()
		rows, err := db.QueryContext(ctx, `SELECT at, severity, code, subject, text FROM events WHERE severity >= ? ORDER BY id DESC LIMIT ?`, severity, max(limit-len(list), 0))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e Event
			var at int64
			if err := rows.Scan(&at, &e.Severity, &e.Code, &e.Subject, &e.Text); err != nil {
				return err
			}
			e.At = fromUnix(at)
			list = append(list, e)
		}
		return rows.Err()
	})
	return list, err
}

func writeEvents(ctx context.Context, tx *sql.Tx, events []Event, limit int) error {
	if len(events) == 0 {
		return nil
	}
	for _, e := range events {
		if _, err := tx.ExecContext(ctx, `INSERT INTO events (at, severity, code, subject, text) VALUES (?, ?, ?, ?, ?)`,
			toUnix(e.At), e.Severity, e.Code, e.Subject, e.Text); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?`, limit)
	return err
}
