package linux

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/trenza-router/trenza/hal"
)

// sysctls reads and writes files below root, which is /proc/sys. The kernel shows the values of the network namespace of
// the thread that opens the file.
type sysctls struct{ root string }

// Sysctl reads a value without its final newline. A key that this kernel lacks is hal.ErrNotFound.
func (s sysctls) Sysctl(key string) (string, error) {
	path, err := s.path(key)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", s.explain("read", key, err)
	}
	return string(bytes.TrimRight(b, "\n")), nil
}

// SetSysctl writes a value. It does not create a key: one that is not there is hal.ErrNotFound, and one that may not be
// written (a read-only /proc/sys, as in a container) is hal.ErrPermission unless it has the value already.
func (s sysctls) SetSysctl(key, value string) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		if now, rerr := s.Sysctl(key); rerr == nil && now == value {
			return nil
		}
		return s.explain("set", key, err)
	}
	_, err = f.WriteString(value + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return s.explain("set", key+" to "+value, err)
	}
	return nil
}

func (s sysctls) path(key string) (string, error) {
	if !filepath.IsLocal(key) || filepath.Clean(key) != key || strings.ContainsRune(key, 0) {
		return "", fmt.Errorf("sysctl %q: write it with slashes, like net/ipv4/ip_forward", key)
	}
	return filepath.Join(s.root, key), nil
}

func (s sysctls) explain(doing, key string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s sysctl %s: this kernel has no such key: %w", doing, key, hal.ErrNotFound)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s sysctl %s: %s is mounted read-only (in a container, mount it writable): %w", doing, key, s.root, hal.ErrPermission)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s sysctl %s: %w", doing, key, hal.ErrPermission)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("%s sysctl %s: the kernel does not take this value: %w", doing, key, hal.ErrRefused)
	}
	return fmt.Errorf("%s sysctl %s: %w: %w", doing, key, hal.ErrRefused, err)
}
