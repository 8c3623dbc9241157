package store

import (
	"context"
	"database/sql"
	"time"
)

// keepAudit is how many records of changes are kept; keepRequests the same for what members asked for.
const (
	keepAudit    = 10_000
	keepRequests = 500
)

// Audit is one change that someone made.
type Audit struct {
	ID            int64
	At            time.Time
	Actor         string // user name; "root" for the command line on the router
	Peer          string // address; "" for the command line
	Action        string // stable: "policy.set", "user.add"
	Object        string // what was changed: a rule's id, a user's name
	Before, After string // readable; "" when there was or is none
}

// AuditQuery narrows a list of changes; zero fields match everything.
type AuditQuery struct {
	Actor, Action, Object string
	From, To              time.Time
	Before                int64 // only records with a smaller id, for the next page
	Limit                 int   // 0: 100
}

// AddAudit records a change at once and safe from a power cut.
func (s *Store) AddAudit(ctx context.Context, a Audit) error {
	return s.write(ctx, "record a change", true, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO audit (at, actor, peer, action, object, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			toUnix(s.now()), a.Actor, a.Peer, a.Action, a.Object, a.Before, a.After); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?`, keepAudit)
		return err
	})
}

// Audit lists changes, the newest first.
func (s *Store) Audit(ctx context.Context, q AuditQuery) (list []Audit, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	err = s.read(ctx, "read the record of changes", func(db *sql.DB) error {
		list, err = all(ctx, db, func(rows *sql.Rows) (a Audit, err error) {
			var at int64
			err = rows.Scan(&a.ID, &at, &a.Actor, &a.Peer, &a.Action, &a.Object, &a.Before, &a.After)
			a.At = fromUnix(at)
			return a, err
		}, `SELECT id, at, actor, peer, action, object, before, after FROM audit
			WHERE (?1 = '' OR actor = ?1) AND (?2 = '' OR action = ?2 OR action LIKE ?2 || '.%') AND (?3 = '' OR object = ?3)
			AND (?4 = 0 OR at >= ?4) AND (?5 = 0 OR at < ?5) AND (?6 = 0 OR id < ?6) ORDER BY id DESC LIMIT ?7`,
			q.Actor, q.Action, q.Object, toUnix(q.From), toUnix(q.To), q.Before, q.Limit)
		return err
	})
	return list, err
}

// Request is something that a member asks an admin for.
type Request struct {
	ID       int64
	At       time.Time
	Person   string
	Text     string
	Rule     string // JSON of the rule that would grant it; "" when it is words alone
	State    string // "open", "accepted", "declined", "withdrawn"
	Answered time.Time
	By       string // who answered
	Answer   string
}

// Requests lists what was asked for, the newest first; person "" is everyone's.
func (s *Store) Requests(ctx context.Context, person string) (list []Request, err error) {
	err = s.read(ctx, "read the requests", func(db *sql.DB) error {
		list, err = all(ctx, db, func(rows *sql.Rows) (r Request, err error) {
			var at, answered int64
			err = rows.Scan(&r.ID, &at, &r.Person, &r.Text, &r.Rule, &r.State, &answered, &r.By, &r.Answer)
			r.At, r.Answered = fromUnix(at), fromUnix(answered)
			return r, err
		}, `SELECT id, at, person, text, rule, state, answered, by, answer FROM requests WHERE ?1 = '' OR person = ?1 ORDER BY id DESC`, person)
		return err
	})
	return list, err
}

// AddRequest keeps a new request and returns it with its id and time.
func (s *Store) AddRequest(ctx context.Context, r Request) (Request, error) {
	r.At = s.now().UTC().Truncate(time.Second)
	err := s.write(ctx, "keep a request", true, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO requests (at, person, text, rule, state, answered, by, answer) VALUES (?, ?, ?, ?, ?, 0, '', '')`,
			toUnix(r.At), r.Person, r.Text, r.Rule, r.State)
		if err != nil {
			return err
		}
		if r.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM requests WHERE id <= ?`, r.ID-keepRequests)
		return err
	})
	return r, err
}

// AnswerRequest closes an open request; ErrNotFound when there is none that is open.
func (s *Store) AnswerRequest(ctx context.Context, id int64, state, by, answer string) error {
	return s.write(ctx, "answer a request", true, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE requests SET state = ?, answered = ?, by = ?, answer = ? WHERE id = ? AND state = 'open'`,
			state, toUnix(s.now()), by, answer, id)
		return one(res, err)
	})
}
