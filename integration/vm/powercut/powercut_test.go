//go:build vm

package powercut

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/vm"
)

var (
	cuts = flag.Int("cuts", 20, "how often the power is cut")
	seed = flag.Uint64("seed", 0, "decides the moments of the cuts; 0 draws one")
)

const (
	// roundEnv tells the guest that it is one: what it is to do.
	roundEnv = "TRENZA_POWERCUT"
	work     = "work" // change rules until the power is cut
	look     = "look" // tell what is there, and end

	diskSize = 256 << 20
	// longest is the time from the first confirmed policy to the cut. Usage is written every 20 s.
	longest = 45 * time.Second
	// deadline is for a guest beside other work; it is told if one takes it.
	deadline = 10 * time.Minute
)

func TestMain(m *testing.M) {
	if round := os.Getenv(roundEnv); round != "" && os.Getenv("TRENZA_VM") != "" {
		os.Exit(inside(round))
	}
	os.Exit(m.Run())
}

// TestPowerCut kills the machine at random while rules are put in force and usage is written: each time it starts again, its file system and its database are
// whole, and the rules in force are the last that were confirmed, or those that were on their way.
func TestPowerCut(t *testing.T) {
	if os.Getenv("TRENZA_BINARY") == "" {
		t.Fatal("TRENZA_BINARY names no program: run this by `make test-powercut`")
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d: the same moments again by -seed", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	image, err := vm.Ready(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	b := bench{t: t, image: image, log: log, disk: newDisk(t)}

	var used uint64
	for cut := range *cuts {
		after := time.Duration(random.Int64N(int64(longest)))
		r := b.cutAfter(after)
		used = b.check(r, used)
		confirmed, _ := r.number(sayConfirmed)
		b.least = confirmed
		if b.most, _ = r.number(sayTrying); b.most < b.least {
			t.Fatalf("policy %d was confirmed, and %d is the last that was tried:\n%s", b.least, b.most, r)
		}
		t.Logf("cut %d, %v after the first change: policy %d was confirmed, %d MB of usage had been kept before", cut+1, after.Round(time.Millisecond), confirmed, used>>20)
	}
	r := b.lookOnly()
	if used = b.check(r, used); used == 0 {
		t.Errorf("no usage was ever kept:\n%s", r)
	}
	// The guest has taken the disk out in order: there is nothing to mend.
	run(t, "e2fsck", "-f", "-n", b.disk)
	t.Logf("after %d cuts: policy %d is in force, %d MB of usage are kept", *cuts, b.least, used>>20)
}

// A bench is the one disk that goes from guest to guest, and what must be on it.
type bench struct {
	t           *testing.T
	image       *vm.Image
	log         *slog.Logger
	disk        string
	least, most uint64 // the last policy that was confirmed, and the last that was tried
}

// check compares what a guest found with what must be there, and returns the usage that it found.
func (b *bench) check(r *report, used uint64) uint64 {
	b.t.Helper()
	for _, word := range []string{sayKept, sayRunning} {
		n, said := r.number(word)
		if !said || n < b.least || n > b.most {
			b.t.Fatalf("policy %d is %s (said: %v), and %d was confirmed and %d the last to be tried:\n%s", n, word, said, b.least, b.most, r)
		}
	}
	now, said := r.number(sayUsed)
	if !said || now < used {
		b.t.Fatalf("%d bytes of usage (said: %v), and there were %d:\n%s", now, said, used, r)
	}
	return now
}

func (b *bench) cutAfter(after time.Duration) *report {
	b.t.Helper()
	ctx, cut := context.WithCancel(b.t.Context())
	defer cut()
	r := newReport(func() { time.AfterFunc(after, cut) })
	if code, err := b.run(ctx, work, r); ctx.Err() == nil || !errors.Is(err, vm.ErrGuest) {
		b.t.Fatalf("the guest ended by itself: code %d, %v:\n%s", code, err, r)
	}
	return r
}

func (b *bench) lookOnly() *report {
	b.t.Helper()
	r := newReport(func() {})
	if code, err := b.run(b.t.Context(), look, r); code != 0 || err != nil {
		b.t.Fatalf("the guest: code %d, %v:\n%s", code, err, r)
	}
	return r
}

func (b *bench) run(ctx context.Context, round string, r *report) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	here, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	job, err := vm.TestJob(here, self, nil)
	if err != nil {
		return 0, err
	}
	job.Disk, job.Output, job.Log, job.Deadline = b.disk, r, b.log, deadline
	job.Env = append(job.Env, roundEnv+"="+round)
	return b.image.Run(ctx, job)
}

// newDisk makes an empty file system.
func newDisk(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-F", path)
	return path
}

// run runs a tool for disks, which are in sbin.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command("/usr/sbin/"+name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w:\n%s", name, err, out))
	}
}
