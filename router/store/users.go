package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrTaken: another record has that name.
var ErrTaken = errors.New("the name is taken: choose another one")

// ErrNotFirst: there are users already.
var ErrNotFirst = errors.New("the router has been set up already: sign in instead")

// User is someone who may sign in. What it holds of secrets is hashed, but for the TOTP key, which both sides must know.
type User struct {
	ID       int64
	Name     string // unique; upper and lower case are one
	Role     string
	Person   string // of the policy; "" when bound to none
	Password string // in the PHC string format
	TOTP     []byte // nil: no second factor
	Step     int64  // the last TOTP step that was used
	Recovery string // hashes of codes that serve instead of TOTP, one a line
	Made     time.Time
}

// Session is a browser that signed in. The token itself is not kept.
type Session struct {
	Hash       []byte // SHA-256 of the token
	User       int64
	Made, Seen time.Time
	Peer       string
	Agent      string
}

// Token is a key for programs. The token itself is not kept.
type Token struct {
	ID      int64
	Hash    []byte // SHA-256 of the token
	User    int64
	Name    string
	Scopes  string // words with spaces between
	Made    time.Time
	Expires time.Time // zero: never
}

// Users lists all users by id.
func (s *Store) Users(ctx context.Context) (list []User, err error) {
	err = s.read(ctx, "read the users", func(db *sql.DB) error {
		list, err = all(ctx, db, func(rows *sql.Rows) (u User, err error) {
			var made int64
			err = rows.Scan(&u.ID, &u.Name, &u.Role, &u.Person, &u.Password, &u.TOTP, &u.Step, &u.Recovery, &made)
			if len(u.TOTP) == 0 {
				u.TOTP = nil
			}
			u.Made = fromUnix(made)
			return u, err
		}, `SELECT id, name, role, person, password, totp, step, recovery, made FROM users ORDER BY id`)
		return err
	})
	return list, err
}

// AddUser keeps a new user and returns it with its id. With first it fails with ErrNotFirst when there is a user already; a name
// that another user has is ErrTaken.
func (s *Store) AddUser(ctx context.Context, u User, first bool) (User, error) {
	u.Made = s.now().UTC().Truncate(time.Second)
	err := s.write(ctx, "add a user", true, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM users`).Scan(&n); err != nil {
			return err
		}
		if first && n > 0 {
			return ErrNotFirst
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO users (name, role, person, password, totp, step, recovery, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			u.Name, u.Role, u.Person, u.Password, nonNil(u.TOTP), u.Step, u.Recovery, toUnix(u.Made))
		if err != nil {
			return taken(err)
		}
		u.ID, err = res.LastInsertId()
		return err
	})
	return u, err
}

// PutUser writes a user who exists; ErrNotFound when there is none.
func (s *Store) PutUser(ctx context.Context, u User) error {
	return s.write(ctx, "change a user", true, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE users SET name = ?, role = ?, person = ?, password = ?, totp = ?, step = ?, recovery = ? WHERE id = ?`,
			u.Name, u.Role, u.Person, u.Password, nonNil(u.TOTP), u.Step, u.Recovery, u.ID)
		return one(res, taken(err))
	})
}

// DeleteUser removes a user with their sessions and tokens; ErrNotFound when there is none.
func (s *Store) DeleteUser(ctx context.Context, id int64) error {
	return s.write(ctx, "delete a user", true, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM users WHERE id = ?`, id)
		return one(res, err)
	})
}

// Sessions lists all sessions.
func (s *Store) Sessions(ctx context.Context) (list []Session, err error) {
	err = s.read(ctx, "read the sessions", func(db *sql.DB) error {
		list, err = all(ctx, db, func(rows *sql.Rows) (v Session, err error) {
			var made, seen int64
			err = rows.Scan(&v.Hash, &v.User, &made, &seen, &v.Peer, &v.Agent)
			v.Made, v.Seen = fromUnix(made), fromUnix(seen)
			return v, err
		}, `SELECT hash, user, made, seen, peer, agent FROM sessions`)
		return err
	})
	return list, err
}

// PutSession keeps a session, new or changed.
func (s *Store) PutSession(ctx context.Context, v Session) error {
	return s.write(ctx, "write a session", false, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO sessions (hash, user, made, seen, peer, agent) VALUES (?, ?, ?, ?, ?, ?)`,
			v.Hash, v.User, toUnix(v.Made), toUnix(v.Seen), v.Peer, v.Agent)
		return err
	})
}

// DeleteSessions removes sessions; those that do not exist are no error. It survives a power cut: who signed out must stay so.
func (s *Store) DeleteSessions(ctx context.Context, hashes [][]byte) error {
	if len(hashes) == 0 {
		return nil
	}
	return s.write(ctx, "delete sessions", true, func(tx *sql.Tx) error {
		for _, h := range hashes {
			if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE hash = ?`, h); err != nil {
				return err
			}
		}
		return nil
	})
}

// Tokens lists all tokens by id.
func (s *Store) Tokens(ctx context.Context) (list []Token, err error) {
	err = s.read(ctx, "read the tokens", func(db *sql.DB) error {
		list, err = all(ctx, db, func(rows *sql.Rows) (v Token, err error) {
			var made, expires int64
			err = rows.Scan(&v.ID, &v.Hash, &v.User, &v.Name, &v.Scopes, &made, &expires)
			v.Made, v.Expires = fromUnix(made), fromUnix(expires)
			return v, err
		}, `SELECT id, hash, user, name, scopes, made, expires FROM tokens ORDER BY id`)
		return err
	})
	return list, err
}

// AddToken keeps a new token and returns it with its id.
func (s *Store) AddToken(ctx context.Context, v Token) (Token, error) {
	v.Made = s.now().UTC().Truncate(time.Second)
	err := s.write(ctx, "add a token", true, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO tokens (hash, user, name, scopes, made, expires) VALUES (?, ?, ?, ?, ?, ?)`,
			v.Hash, v.User, v.Name, v.Scopes, toUnix(v.Made), toUnix(v.Expires))
		if err != nil {
			return err
		}
		v.ID, err = res.LastInsertId()
		return err
	})
	return v, err
}

// DeleteToken removes a token; ErrNotFound when there is none.
func (s *Store) DeleteToken(ctx context.Context, id int64) error {
	return s.write(ctx, "delete a token", true, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM tokens WHERE id = ?`, id)
		return one(res, err)
	})
}

// all reads every row of a query.
func all[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// one is ErrNotFound unless exactly one row was changed.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		return ErrNotFound
	}
	return err
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// taken names a broken UNIQUE constraint.
func taken(err error) error {
	var se *sqlite.Error
	if errors.As(err, &se) && se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE {
		return fmt.Errorf("%w (%w)", ErrTaken, err)
	}
	return err
}
