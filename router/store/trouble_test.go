package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

func fill(t *testing.T, s *Store) {
	t.Helper()
	for i := range 40 {
		must(t, s.PutDevices(t.Context(), []Device{{Number: flow.DeviceID(i + 1), ID: fmt.Sprint("device-", i), MACs: []flow.MAC{{2, 0, 0, 0, 0, byte(i)}}}}))
	}
	_, err := s.SavePolicy(t.Context(), "rules: []\n", "anna", "")
	must(t, err)
	for i := range 3000 {
		s.AddUsage([]Usage{{noon.Add(-time.Duration(i) * time.Minute), fmt.Sprint("device-", i%40), "app", "fiber", Traffic{Up: 1}}})
	}
	must(t, s.Flush(t.Context()))
}

func TestBrokenFileIsMovedAside(t *testing.T) {
	for _, tt := range []struct {
		name     string
		damage   func([]byte)
		salvaged bool
	}{
		{"header", func(b []byte) { copy(b, "this is no database any more") }, false},
		{"usage pages", func(b []byte) {
			for i := len(b) / 2; i < len(b); i++ {
				b[i] = 0xa5
			}
		}, true},
		{"all but the header", func(b []byte) {
			for i := 100; i < len(b); i++ {
				b[i] = byte(i)
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c, path := newStore(t)
			fill(t, s)
			must(t, s.Close())
			file, err := os.ReadFile(path)
			must(t, err)
			tt.damage(file)
			must(t, os.WriteFile(path, file, 0o600))

			var log bytes.Buffer
			var told []Status
			s = open(t, path, c, func(o *Options) {
				o.Log, o.OnStatus = slog.New(slog.NewTextHandler(&log, nil)), func(st Status) { told = append(told, st) }
			})
			st := s.Status()
			if want := path + ".broken-20280615T120030Z"; st.Broken != want || st.Memory || st.Problem != nil {
				t.Fatalf("status %+v", st)
			}
			diff(t, told, []Status{st})
			kept, err := os.ReadFile(st.Broken)
			must(t, err)
			if !bytes.Equal(kept, file) {
				t.Fatal("the broken file was changed")
			}
			devices, err := s.Devices(t.Context())
			must(t, err)
			if tt.salvaged != (len(devices) == 40 && st.Salvaged == 41) {
				t.Fatalf("%d devices, %d records salvaged", len(devices), st.Salvaged)
			}
			fill(t, s)
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Fatalf("%d log lines instead of 1:\n%s", n, &log)
			}
		})
	}
}

// Damage that shows only while running is repaired on the spot.
func TestBrokenWhileRunning(t *testing.T) {
	s, c, path := newStore(t)
	fill(t, s)
	must(t, s.Close())
	s = open(t, path, c)
	fi, err := os.Stat(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	// All pages but the first, which the connection has read already.
	_, err = f.WriteAt(bytes.Repeat([]byte{0x5a}, int(fi.Size())-4096), 4096)
	must(t, err)
	must(t, f.Close())
	if _, err := s.db.ExecContext(t.Context(), `PRAGMA shrink_memory`); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		s.AddUsage([]Usage{{noon.Add(-time.Duration(i) * time.Hour), "laptop", "app", "fiber", Traffic{Up: 1}}})
	}
	must(t, s.Flush(t.Context()))
	if st := s.Status(); st.Broken == "" || st.Problem != nil {
		t.Fatalf("status %+v", st)
	}
	got, err := s.Usage(t.Context(), UsageQuery{Resolution: Day})
	must(t, err)
	diff(t, got, []Usage{{Traffic: Traffic{Up: 50}}})
}

// Random damage anywhere never panics and always leaves a store that works.
func TestRandomDamage(t *testing.T) {
	s, c, path := newStore(t)
	fill(t, s)
	must(t, s.Close())
	sound, err := os.ReadFile(path)
	must(t, err)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 25 {
		file := bytes.Clone(sound)
		for range 1 + rnd.IntN(2000) {
			file[rnd.IntN(len(file))] = byte(rnd.Uint32())
		}
		if i%5 == 0 {
			file = file[:rnd.IntN(len(file))]
		}
		p := filepath.Join(t.TempDir(), "x.db")
		must(t, os.WriteFile(p, file, 0o600))
		s := open(t, p, c)
		fill(t, s)
		if st := s.Status(); st.Memory {
			t.Fatalf("round %d: %+v", i, st)
		}
		must(t, s.Close())
	}
}

func TestForeignAndNewerFilesAreLeftAlone(t *testing.T) {
	for name, script := range map[string]string{
		"foreign": `CREATE TABLE cats (name)`,
		"newer":   fmt.Sprintf(`CREATE TABLE x (y); PRAGMA application_id = %d; PRAGMA user_version = 99`, applicationID),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			db, err := openPool(t.Context(), "file:"+path)
			must(t, err)
			_, err = db.ExecContext(t.Context(), script)
			must(t, err)
			must(t, db.Close())
			s := open(t, path, &clock{now: noon})
			st := s.Status()
			if !st.Memory || st.Broken != "" || name == "newer" != errors.Is(st.Problem, ErrNewer) {
				t.Fatalf("status %+v", st)
			}
			must(t, s.PutSetting(t.Context(), "k", []byte("works in memory")))
			s.AddUsage([]Usage{{At: noon, Traffic: Traffic{Up: 1}}})
			must(t, s.Flush(t.Context()))
			if !s.Status().Memory {
				t.Fatal("somebody's file was taken")
			}
			must(t, s.Close())
			db, err = openPool(t.Context(), "file:"+path)
			must(t, err)
			defer db.Close()
			var n int
			must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_master`).Scan(&n))
			diff(t, n, 1)
		})
	}
}

// smallDisk mounts a tmpfs of the given size and returns its path and a function that fills it to the last byte.
func smallDisk(t *testing.T, size string) (dir string, fillUp func() (free func())) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a file system: run it as root")
	}
	dir = t.TempDir()
	must(t, syscall.Mount("trenza-test", dir, "tmpfs", 0, "size="+size))
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func() func() {
		f, err := os.Create(filepath.Join(dir, "ballast"))
		must(t, err)
		for n := 4096; ; {
			if _, err := f.Write(make([]byte, n)); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		must(t, f.Close())
		return func() { must(t, os.Remove(f.Name())) }
	}
}

func TestDiskFullWhileRunning(t *testing.T) {
	dir, fillUp := smallDisk(t, "2m")
	var log bytes.Buffer
	c := &clock{now: noon}
	s := open(t, filepath.Join(dir, "trenza.db"), c, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	_, err := s.SavePolicy(t.Context(), "one\n", "anna", "")
	must(t, err)
	free := fillUp()
	var want uint64
	for i := range 8000 { // more than the room that the journal has taken already
		s.AddUsage([]Usage{{noon.Add(time.Duration(i) * time.Minute), "laptop", "app", "fiber", Traffic{Up: 1}}})
		want++
	}
	for range 3 {
		if err := s.Flush(t.Context()); !errors.Is(err, ErrDiskFull) {
			t.Fatalf("flush on a full disk: %v", err)
		}
	}
	if _, err := s.SavePolicy(t.Context(), strings.Repeat("two\n", 100_000), "anna", ""); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("policy on a full disk: %v", err)
	}
	if st := s.Status(); !errors.Is(st.Problem, ErrDiskFull) {
		t.Fatalf("status %+v", st)
	}
	check := func() {
		t.Helper()
		got, err := s.Usage(t.Context(), UsageQuery{})
		must(t, err)
		diff(t, got, []Usage{{Traffic: Traffic{Up: want}}})
		p, err := s.CurrentPolicy(t.Context())
		must(t, err)
		diff(t, p.Text, "one\n")
	}
	check()
	free()
	must(t, s.Flush(t.Context()))
	if st := s.Status(); st.Problem != nil {
		t.Fatalf("status %+v", st)
	}
	check()
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Fatalf("%d log lines instead of 2:\n%s", n, &log)
	}
}

func TestDiskFullAtStart(t *testing.T) {
	dir, fillUp := smallDisk(t, "2m")
	free := fillUp()
	path := filepath.Join(dir, "trenza.db")
	c := &clock{now: noon}
	s := open(t, path, c)
	if st := s.Status(); !st.Memory || st.Problem == nil {
		t.Fatalf("status %+v", st)
	}
	must(t, s.PutDevices(t.Context(), []Device{{Number: 9, ID: "tv"}}))
	s.AddUsage([]Usage{{At: noon, Traffic: Traffic{Up: 5}}})
	must(t, s.Flush(t.Context()))
	free()
	s.AddUsage([]Usage{{At: noon, Traffic: Traffic{Up: 6}}})
	must(t, s.Flush(t.Context()))
	if st := s.Status(); st.Memory || st.Problem != nil {
		t.Fatalf("status %+v", st)
	}
	must(t, s.Close())
	s = open(t, path, c)
	devices, err := s.Devices(t.Context())
	must(t, err)
	diff(t, devices, []Device{{Number: 9, ID: "tv"}})
	got, err := s.Usage(t.Context(), UsageQuery{})
	must(t, err)
	diff(t, got, []Usage{{Traffic: Traffic{Up: 11}}})
}

// What was there before the disk filled up can be read by a daemon that starts on the full disk.
func TestReopenOnFullDisk(t *testing.T) {
	dir, fillUp := smallDisk(t, "2m")
	path := filepath.Join(dir, "trenza.db")
	c := &clock{now: noon}
	s := open(t, path, c)
	must(t, s.PutDevices(t.Context(), []Device{{Number: 9, ID: "tv"}}))
	must(t, s.Close())
	fillUp()
	s = open(t, path, c)
	devices, err := s.Devices(t.Context())
	must(t, err)
	diff(t, devices, []Device{{Number: 9, ID: "tv"}})
	if s.Status().Memory {
		t.Fatalf("status %+v", s.Status())
	}
}

func TestPendingIsBounded(t *testing.T) {
	s, _, _ := newStore(t, func(o *Options) { o.Limits.Pending = 100 })
	for i := range 20_000 {
		s.AddUsage([]Usage{{noon.Add(time.Duration(i) * time.Second), fmt.Sprint(i % 3), fmt.Sprint(i % 7), "l", Traffic{Up: 1}}})
		if n := len(s.pending.usage); n > 100 {
			t.Fatalf("%d sums in memory", n)
		}
	}
	got, err := s.Usage(t.Context(), UsageQuery{Resolution: Hour})
	must(t, err)
	if got[0].Traffic.Up != 20_000 || s.Status().Lost != 0 {
		t.Fatalf("%+v, lost %d: detail may go, sums must stay", got, s.Status().Lost)
	}
}
