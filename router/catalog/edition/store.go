package edition

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trenza-router/trenza/router/catalog"
)

// Store is the directory of the editions that a router was given.
type Store struct {
	Dir  string
	Keys []ed25519.PublicKey // whose editions are taken
}

const (
	current  = "current.trzcat"
	previous = "previous.trzcat"
	// MaxSize is the size in bytes of the largest edition that is read.
	MaxSize = 40 << 20
)

// Why an edition is not installed, though it is whole.
var (
	ErrOlder = errors.New("older than the catalogue in force")
	ErrSame  = errors.New("in force already")
)

// read opens one of the directory's files; nil without an error when it is not there.
func (s Store) read(name string) (*catalog.Catalog, []byte, error) {
	path := filepath.Join(s.Dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil && info.Size() > MaxSize {
		err = fmt.Errorf("%d bytes are too many", info.Size())
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the catalogue %s: %w", path, err)
	}
	c, err := Open(data, s.Keys)
	if err != nil {
		return nil, nil, fmt.Errorf("the catalogue %s is not used: %w; \"trenza catalog update\" brings a whole one", path, err)
	}
	return c, data, nil
}

// Load returns the newest catalogue that can be read: the current edition, else the one before; the built-in one when there is neither or
// it is newer, as after an update of the program. What could not be read is told.
func (s Store) Load(builtIn *catalog.Catalog) (*catalog.Catalog, []error) {
	var problems []error
	for _, name := range []string{current, previous} {
		c, _, err := s.read(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if c != nil && c.Version() > builtIn.Version() {
			return c, problems
		}
		if c != nil {
			break
		}
	}
	return builtIn, problems
}

// Installed tells what Install did.
type Installed struct {
	Before, Now uint64 // versions
}

// Install verifies an edition and makes it the current one; the router uses it from its next start on. On any error nothing has
// changed. An edition that is older than the current one is taken only with allowOlder, and never one that is older than the
// built-in one, since Load would pass it over.
func (s Store) Install(data []byte, builtIn *catalog.Catalog, allowOlder bool) (Installed, error) {
	c, err := Open(data, s.Keys)
	if err != nil {
		return Installed{}, err
	}
	old, oldData, err := s.read(current)
	if err != nil {
		old = nil // a broken one is simply replaced, and does not become the one to fall back to
	}
	inForce, _ := s.Load(builtIn)
	done := Installed{Before: inForce.Version(), Now: c.Version()}
	switch {
	case done.Now == done.Before:
		return done, fmt.Errorf("version %d is %w", done.Now, ErrSame)
	case done.Now <= builtIn.Version():
		return done, fmt.Errorf("version %d is %w: this program carries version %d itself", done.Now, ErrOlder, builtIn.Version())
	case done.Now < done.Before && !allowOlder:
		return done, fmt.Errorf("version %d is %w, version %d; say --older to go back", done.Now, ErrOlder, done.Before)
	}
	if err := os.MkdirAll(s.Dir, 0o750); err != nil {
		return done, fmt.Errorf("making the directory of the catalogue: %w", err)
	}
	if old != nil && !bytes.Equal(oldData, data) {
		if err := replace(filepath.Join(s.Dir, previous), oldData); err != nil {
			return done, err
		}
	}
	return done, replace(filepath.Join(s.Dir, current), data)
}

// replace writes a file whole or not at all: readers, and a power cut, find the old or the new one.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing the catalogue: %w", err)
	}
	defer os.Remove(f.Name()) // after the rename there is none
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing the catalogue: %w", err)
	}
	return nil
}

// syncDir makes renames in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
