package store

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pathURI is a file as SQLite takes it, whatever characters its name has.
func pathURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// beside lists the files whose names go on from that of the database.
func beside(t *testing.T, path, more string) (found []string) {
	t.Helper()
	names, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	for _, n := range names {
		if strings.HasPrefix(n.Name(), filepath.Base(path)+more) {
			found = append(found, filepath.Join(filepath.Dir(path), n.Name()))
		}
	}
	return found
}

// upgraded makes a database of the last schema but one, has this program take it over, and then a program of the future.
func upgraded(t *testing.T, path string) {
	t.Helper()
	db, err := openPool(t.Context(), pathURI(path))
	must(t, err)
	must(t, migrate(t.Context(), db, append(migrations(), `CREATE TABLE future (x INTEGER)`), func(version int) error { return backUp(t.Context(), db, path, version) }))
	must(t, db.Close())
}

func TestRollBack(t *testing.T) {
	s, c, path := newStore(t)
	fill(t, s)
	must(t, s.Close())
	upgraded(t, path)

	s = open(t, path, c)
	if st := s.Status(); st.Memory || st.Problem != nil || st.Broken != "" {
		t.Fatalf("status %+v", st)
	}
	devices, err := s.Devices(t.Context())
	must(t, err)
	diff(t, len(devices), 40)
	_, err = s.SavePolicy(t.Context(), "rules: [] # after the return\n", "anna", "")
	must(t, err)
	must(t, s.Close())
	aside := beside(t, path, ".newer-")
	if len(aside) != 1 {
		t.Fatalf("the newer file is at %v", aside)
	}
	db, err := openPool(t.Context(), pathURI(aside[0]))
	must(t, err)
	defer db.Close()
	var n int
	must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_master WHERE name = 'future'`).Scan(&n))
	diff(t, n, 1)

	// The next upgrade finds what the household changed since.
	upgraded(t, path)
	s = open(t, path, c)
	p, err := s.CurrentPolicy(t.Context())
	must(t, err)
	diff(t, p.Text, "rules: [] # after the return\n")
}

// TestMigrationKeepsACopy upgrades a file of each schema that was ever released.
func TestMigrationKeepsACopy(t *testing.T) {
	for from := 1; from < len(migrations()); from++ {
		_, c, path := newStore(t)
		path += ".old"
		db, err := openPool(t.Context(), pathURI(path))
		must(t, err)
		must(t, migrate(t.Context(), db, migrations()[:from], nil))
		must(t, db.Close())
		must(t, os.WriteFile(backupOf(path, 0), []byte("an earlier copy"), 0o600))
		s := open(t, path, c)
		if st := s.Status(); st.Memory || st.Problem != nil {
			t.Fatalf("schema %d: status %+v", from, st)
		}
		copies := beside(t, path, ".schema-")
		diff(t, copies, []string{backupOf(path, from)})
		db, err = openPool(t.Context(), pathURI(backupOf(path, from)))
		must(t, err)
		var version int
		must(t, db.QueryRowContext(t.Context(), `PRAGMA user_version`).Scan(&version))
		must(t, db.Close())
		diff(t, version, from)
	}
}

// TestNoRoomForTheCopy leaves the old file as it is: a migration without a way back is none.
func TestNoRoomForTheCopy(t *testing.T) {
	_, c, path := newStore(t)
	path += ".old"
	db, err := openPool(t.Context(), pathURI(path))
	must(t, err)
	must(t, migrate(t.Context(), db, migrations()[:1], nil))
	must(t, db.Close())
	must(t, os.MkdirAll(filepath.Join(backupOf(path, 1)+".half", "in the way"), 0o755))
	s := open(t, path, c)
	if st := s.Status(); !st.Memory || st.Problem == nil {
		t.Fatalf("status %+v", st)
	}
	must(t, s.Close())
	db, err = openPool(t.Context(), pathURI(path))
	must(t, err)
	defer db.Close()
	var version int
	must(t, db.QueryRowContext(t.Context(), `PRAGMA user_version`).Scan(&version))
	diff(t, version, 1)
}
