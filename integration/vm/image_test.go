package vm

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestSweep: only what nobody uses and nobody used for long goes.
func TestSweep(t *testing.T) {
	cache := t.TempDir()
	old := time.Now().Add(-2 * unused)
	add := func(name string, at time.Time) {
		t.Helper()
		dir := filepath.Join(cache, name)
		if err := os.MkdirAll(filepath.Join(dir, "root"), 0o755); err != nil {
			t.Fatal(err)
		}
		lock, err := openLock(dir)
		if err != nil {
			t.Fatal(err)
		}
		lock.Close()
		for _, p := range []string{dir, dir + ".lock"} {
			if err := os.Chtimes(p, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("image-old", old)
	add("image-new", time.Now())
	add("image-busy", old)
	busy, err := openLock(filepath.Join(cache, "image-busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := unix.Flock(int(busy.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]time.Time{"building-old": old, "building-now": time.Now()} {
		dir := filepath.Join(cache, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := sweep(cache, time.Now().Add(-unused)); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*[a-z]"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			got = append(got, filepath.Base(path))
		}
	}
	if diff := cmp.Diff([]string{"building-now", "image-busy", "image-new"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestImageKey(t *testing.T) {
	one, err := imageKey()
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := imageKey(); one != two {
		t.Errorf("keys %s and %s of the same inputs", one, two)
	}
}
