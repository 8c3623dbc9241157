package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// backupOf names the copy of a file that was made before its schema left a version.
func backupOf(path string, version int) string { return fmt.Sprintf("%s.schema-%d", path, version) }

// backUp keeps a copy of the database as it is before a migration, for the program that may come back: one that knows no more than
// version finds it by that number. Earlier copies go.
func backUp(ctx context.Context, db *sql.DB, path string, version int) error {
	to := backupOf(path, version)
	half := to + ".half"
	if err := removeIfThere(half); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, half); err != nil {
		return errors.Join(classify(err), removeIfThere(half))
	}
	if err := errors.Join(flushFile(half), os.Rename(half, to)); err != nil {
		return err
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), filepath.Base(path)+".schema-") && n.Name() != filepath.Base(to) {
			err = errors.Join(err, removeIfThere(filepath.Join(filepath.Dir(path), n.Name())))
		}
	}
	return err
}

// flushFile waits until a file is on the disk.
func flushFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// rollBack serves a program that came back after a newer one: the newer one's file is moved aside, never deleted, and the copy that it made
// before its migration takes the place. Without such a copy it returns cause, an ErrNewer.
func (s *Store) rollBack(ctx context.Context, cause error) error {
	backup := backupOf(s.opts.Path, len(migrations()))
	if _, err := os.Stat(backup); errors.Is(err, fs.ErrNotExist) {
		return cause
	}
	// The copy first: what can go wrong goes wrong before anything was moved.
	half := s.opts.Path + ".half"
	if err := copyFile(backup, half); err != nil {
		return errors.Join(cause, fmt.Errorf("copy %s: %w", backup, classify(err)), removeIfThere(half))
	}
	aside, err := moveAside(s.opts.Path, "newer", s.now())
	if err != nil {
		return errors.Join(cause, fmt.Errorf("move the newer database aside: %w", classify(err)))
	}
	if err := os.Rename(half, s.opts.Path); err != nil {
		return errors.Join(cause, fmt.Errorf("put the copy in its place: %w", classify(err)))
	}
	if s.db, err = openDB(ctx, s.opts.Path); err != nil {
		return err
	}
	s.log.Warn("a newer version wrote the database; the copy from before its upgrade is in use again", "file", s.opts.Path, "moved_to", aside)
	return nil
}

// copyFile copies a file of somebody's data to a name that is free, and waits until it is on the disk.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
