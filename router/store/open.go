package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"
)

const (
	busyTimeout  = 3 * time.Second
	checkTimeout = 15 * time.Second // of the integrity check at start; a file too large for it is taken as sound
)

// openFile opens Options.Path, or the next best thing, and sets db, memory and status.
func (s *Store) openFile(ctx context.Context) error {
	db, err := openDB(ctx, s.opts.Path)
	switch {
	case err == nil:
		s.db = db
		return nil
	case errors.Is(err, ErrBroken):
		return s.replaceBroken(ctx, err)
	case errors.Is(err, ErrBusy), ctx.Err() != nil:
		return err
	case errors.Is(err, ErrNewer):
		if err = s.rollBack(ctx, err); err == nil || errors.Is(err, ErrBusy) || ctx.Err() != nil {
			return err
		}
	}
	return s.openMemory(ctx, err)
}

// openDB opens, checks and migrates one file. The error is classified.
func openDB(ctx context.Context, path string) (*sql.DB, error) {
	// The file belongs to this process: with the exclusive lock SQLite keeps the WAL's index in memory
	// and needs no third file, which a full disk could not hold (https://sqlite.org/wal.html, section 8).
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + fmt.Sprintf(
		"?_busy_timeout=%d&_pragma=locking_mode(exclusive)&_pragma=journal_size_limit(4194304)&_pragma=temp_store(memory)&_foreign_keys=on&_journal_mode=WAL&_synchronous=NORMAL&_txlock=immediate",
		busyTimeout.Milliseconds())
	db, err := openPool(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := check(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("check database %s: %w", path, err), db.Close())
	}
	before := func(version int) error { return backUp(ctx, db, path, version) }
	if err := migrate(ctx, db, migrations(), before); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), db.Close())
	}
	return db, nil
}

// openPool opens a database with exactly one connection that is never dropped: it holds the file's lock,
// or is the database itself when that lives in memory.
func openPool(ctx context.Context, dsn string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(0)
	db.SetConnMaxLifetime(0)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(classify(err), db.Close())
	}
	return db, nil
}

// check reads the whole file for damage.
func check(ctx context.Context, db *sql.DB) error {
	cctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var verdict string
	err := db.QueryRowContext(cctx, `PRAGMA quick_check(1)`).Scan(&verdict)
	if cctx.Err() != nil && ctx.Err() == nil {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", ErrBroken, verdict)
	}
	return nil
}

// openMemory lets the store work without a file, because of cause.
func (s *Store) openMemory(ctx context.Context, cause error) error {
	db, err := openPool(ctx, "file::memory:?_foreign_keys=on&_txlock=immediate")
	if err != nil {
		return fmt.Errorf("open a database in memory: %w", err)
	}
	if err := migrate(ctx, db, migrations(), nil); err != nil {
		return errors.Join(err, db.Close())
	}
	s.db, s.memory = db, true
	s.mu.Lock()
	s.status.Memory, s.status.Problem, s.status.Since = true, cause, s.now()
	st := s.status
	s.mu.Unlock()
	s.log.Warn("the database cannot be opened; the router goes on in memory and forgets at its end", "file", s.opts.Path, "error", cause)
	s.tell(st)
	return nil
}

// leaveMemory moves a store that works in memory to the disk, once the disk allows it. A file that holds somebody's data is never overwritten.
// The caller holds gate.
func (s *Store) leaveMemory(ctx context.Context) error {
	if fi, err := os.Stat(s.opts.Path); err == nil {
		if fi.Size() > 0 {
			return s.Status().Problem // it is opened at the next start
		}
		if err := os.Remove(s.opts.Path); err != nil {
			return classify(err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return classify(err)
	}
	if _, err := s.db.ExecContext(ctx, `VACUUM INTO ?`, s.opts.Path); err != nil {
		return errors.Join(classify(err), removeIfThere(s.opts.Path))
	}
	db, err := openDB(ctx, s.opts.Path)
	if err != nil {
		return errors.Join(err, removeIfThere(s.opts.Path))
	}
	old := s.db
	s.db, s.memory = db, false
	s.mu.Lock()
	s.status.Memory, s.status.Problem, s.status.Since = false, nil, s.now()
	st := s.status
	s.mu.Unlock()
	s.log.Info("the database is on disk now", "file", s.opts.Path)
	s.tell(st)
	return old.Close()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// replaceBroken moves the broken file aside, opens a fresh one and salvages into it. The caller holds gate, or is Open.
func (s *Store) replaceBroken(ctx context.Context, cause error) error {
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.log.Debug("closing the broken database", "error", err)
		}
		s.db = nil
	}
	if s.memory {
		return s.openMemory(ctx, cause)
	}
	aside, err := moveAside(s.opts.Path, "broken", s.now())
	if err != nil {
		return s.openMemory(ctx, errors.Join(cause, fmt.Errorf("move the broken database aside: %w", classify(err))))
	}
	db, err := openDB(ctx, s.opts.Path)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrBusy) {
			return err
		}
		if err := s.openMemory(ctx, err); err != nil {
			return err
		}
	} else {
		s.db = db
	}
	n := salvage(ctx, aside, s.db)
	s.mu.Lock()
	s.status.Broken, s.status.Salvaged = aside, n
	st := s.status
	s.mu.Unlock()
	s.log.Warn("the database was broken; it was moved aside and a fresh one started", "file", s.opts.Path, "moved_to", aside, "salvaged_records", n, "error", cause)
	s.tell(st)
	return nil
}

// moveAside renames the file and its journal to a name that does not exist yet, tells by why, and returns it.
func moveAside(path, why string, now time.Time) (string, error) {
	base := path + "." + why + "-" + now.UTC().Format("20060102T150405Z")
	aside := base
	for i := 2; ; i++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if i > 1000 {
			return "", fmt.Errorf("%s.*: a thousand files of one second", base)
		}
		aside = fmt.Sprintf("%s-%d", base, i)
	}
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, nil
}

// salvage copies what a household cannot easily make again (devices with their numbers, policies, users, settings) from a broken file into
// to, as far as it can be read, and returns the number of records. It does not change the broken file.
func salvage(ctx context.Context, from string, to *sql.DB) int {
	src, err := openPool(ctx, "file:"+(&url.URL{Path: from}).EscapedPath()+"?mode=ro&immutable=1")
	if err != nil {
		return 0
	}
	defer src.Close()
	n := 0
	devices, _ := readDevices(ctx, src) // what was read before the damage counts
	for _, d := range devices {
		tx, err := to.BeginTx(ctx, nil)
		if err != nil {
			return n
		}
		if putDevices(ctx, tx, []Device{d}) == nil && tx.Commit() == nil {
			n++
		} else {
			tx.Rollback()
		}
	}
	n += copyRows(ctx, src, to, 5, `SELECT version, at, author, note, text FROM policies`,
		`INSERT OR IGNORE INTO policies (version, at, author, note, text) VALUES (?, ?, ?, ?, ?)`)
	// Without its users a house would be open to whoever comes first.
	n += copyRows(ctx, src, to, 9, `SELECT id, name, role, person, password, totp, step, recovery, made FROM users`,
		`INSERT OR IGNORE INTO users (id, name, role, person, password, totp, step, recovery, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	n += copyRows(ctx, src, to, 2, `SELECT key, value FROM settings`, `INSERT OR IGNORE INTO settings (key, value) VALUES (?, ?)`)
	return n
}

// copyRows copies rows of the given number of columns until one cannot be read.
func copyRows(ctx context.Context, from, to *sql.DB, columns int, read, write string) (n int) {
	rows, err := from.QueryContext(ctx, read)
	if err != nil {
		return 0
	}
	defer rows.Close()
	values, pointers := make([]any, columns), make([]any, columns)
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if rows.Scan(pointers...) != nil {
			return n
		}
		if _, err := to.ExecContext(ctx, write, values...); err == nil {
			n++
		}
	}
	return n
}
