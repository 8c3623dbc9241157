package store

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("not found")
	// ErrDiskFull: the file system has no room; nothing was changed.
	ErrDiskFull = errors.New("disk full: make room and it goes on by itself")
	// ErrBusy: another process uses the file.
	ErrBusy = errors.New("the database is in use by another process: is another trenza router running with this state directory?")
	// ErrBroken: SQLite found the file damaged.
	ErrBroken = errors.New("the database file is broken")
	// ErrUnusable: the file cannot be opened or written here, though it is not broken.
	ErrUnusable = errors.New("the database file cannot be used")
	// ErrNewer: a later version of the program wrote the file.
	ErrNewer = errors.New("the database was written by a newer version: install that version again, or move the file away")
)

// classified is an error with its cause among the Err values; its text is SQLite's.
type classified struct{ cause, err error }

func (e classified) Error() string   { return e.cause.Error() + " (" + e.err.Error() + ")" }
func (e classified) Unwrap() []error { return []error{e.cause, e.err} }

// classify names the cause of a database error, so that callers can use errors.Is. Other errors pass unchanged.
func classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var se *sqlite.Error
	if !errors.As(err, &se) {
		switch {
		case errors.Is(err, syscall.ENOSPC):
			return classified{ErrDiskFull, err}
		case errors.Is(err, fs.ErrPermission):
			return classified{ErrUnusable, err}
		}
		return err
	}
	switch se.Code() & 0xff { // the low byte is the primary code, https://sqlite.org/rescode.html
	case sqlite3.SQLITE_FULL:
		return classified{ErrDiskFull, err}
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return classified{ErrBroken, err}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return classified{ErrBusy, err}
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH:
		return classified{ErrUnusable, err}
	}
	return err
}
