package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/trenza-router/trenza/router/bond/tunnel"
)

// aside is where the secrets of before wait, below the state directory, until a restore is kept.
const aside = "before-restore"

// readSecrets reads the files of a state directory that are secrets.
func readSecrets(dir string) (map[string]File, error) {
	out := map[string]File{}
	read := func(name string) error {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the secrets of the router: %w", err)
		}
		if !secretName(name) || len(data) > largeSecret {
			return nil // not written by a router
		}
		out[name] = data
		return nil
	}
	names := []string{authorityCert, authorityKey, addedLinks}
	bonds, err := os.ReadDir(filepath.Join(dir, relays))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the keys of bonds: %w", err)
	}
	for _, b := range bonds {
		files, err := os.ReadDir(filepath.Join(dir, relays, b.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading the keys of bonds: %w", err)
		}
		for _, f := range files {
			if f.Type().IsRegular() {
				names = append(names, path.Join(relays, b.Name(), f.Name()))
			}
		}
	}
	for _, name := range names {
		if err := read(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// writeSecrets makes the secrets of a state directory equal to files. Done again after it was interrupted, it comes to the same end.
func writeSecrets(dir string, files map[string]File) error {
	present, err := readSecrets(dir)
	if err != nil {
		return err
	}
	for name := range present {
		if _, stays := files[name]; !stays {
			if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("taking secrets away: %w", err)
			}
		}
	}
	for name, data := range files {
		if slices.Equal(present[name], data) && present[name] != nil {
			continue
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return fmt.Errorf("restoring secrets: %w", err)
		}
		if err := tunnel.WriteFile(to, data); err != nil {
			return fmt.Errorf("restoring secrets: %w", err)
		}
	}
	return nil
}

// setAside copies the secrets of before to where the way back finds them.
func setAside(dir string) error {
	present, err := readSecrets(dir)
	if err != nil {
		return err
	}
	if err := forgetAside(dir); err != nil {
		return err
	}
	to := filepath.Join(dir, aside)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("keeping the secrets of before: %w", err)
	}
	return writeSecrets(to, present)
}

// bringBack restores the secrets of before, if they were set aside.
func bringBack(dir string) error {
	from := filepath.Join(dir, aside)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	files, err := readSecrets(from)
	if err != nil {
		return err
	}
	return writeSecrets(dir, files)
}

func forgetAside(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, aside)); err != nil {
		return fmt.Errorf("destroying the secrets of before: %w", err)
	}
	return nil
}
