package netlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// state is what must be known to remove a lab after its process was killed. It
// is written before what it names is made.
type state struct {
	ID         string        `json:"id"`
	Boot       string        `json:"boot"`  // the kernel's boot id: processes are of that run only
	Owner      process       `json:"owner"` // the lab's own process
	Namespaces []netnsRecord `json:"namespaces"`
	Processes  []process     `json:"processes"` // those the lab started
}

// netnsRecord identifies a namespace by name and, once it is made, by device and
// inode. The kernel uses an inode's number again as soon as a namespace is gone,
// so that neither means anything alone.
type netnsRecord struct {
	Name   string `json:"name"`
	Device uint64 `json:"device,omitempty"`
	Inode  uint64 `json:"inode,omitempty"`
}

const stateFile = "state.json"

// save writes the state into the lab's folder, whole or not at all.
func (s state) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the lab's state: %w", err)
	}
	next := filepath.Join(dir, stateFile+".new")
	if err := os.WriteFile(next, text, 0o644); err != nil {
		return fmt.Errorf("write the lab's state: %w", err)
	}
	if err := os.Rename(next, filepath.Join(dir, stateFile)); err != nil {
		return fmt.Errorf("write the lab's state: %w", err)
	}
	return nil
}

// load reads the state of the lab in a folder.
func load(dir string) (s state, err error) {
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read the lab's state %s: %w", filepath.Join(dir, stateFile), err)
	}
	return s, nil
}

// alive says whether the lab's own process still runs.
func (s state) alive() bool { return s.Boot == bootID() && s.Owner.alive() }

// Clean removes what labs left behind whose processes are gone. root is the
// folder of the labs' folders; empty means the default. Labs that run are not
// touched. New calls it.
func Clean(ctx context.Context, root string, log *slog.Logger) error {
	if root == "" {
		root = defaultRoot()
	}
	unlock, err := lock(root)
	if err != nil {
		return err
	}
	defer unlock()
	return clean(ctx, root, log)
}

// clean does Clean's work under the lock.
func clean(ctx context.Context, root string, log *slog.Logger) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("look for old labs: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(root, e.Name())
		s, err := load(dir)
		switch {
		case errors.Is(err, os.ErrNotExist):
			// Folder and state are made under the lock: this one's maker died between.
			errs = append(errs, os.RemoveAll(dir))
		case err != nil:
			errs = append(errs, err)
		case !s.alive():
			log.Info("removing what a killed lab left behind", "lab", s.ID, "pid", s.Owner.PID)
			errs = append(errs, s.teardown(ctx, dir))
		}
	}
	return errors.Join(errs...)
}

// teardown ends the lab's processes and removes its namespaces and files. What
// is gone already is no error.
func (s state) teardown(ctx context.Context, dir string) error {
	var errs []error
	if s.Boot == bootID() {
		errs = append(errs, s.killAll(ctx))
	}
	for _, r := range s.Namespaces {
		n := &Namespace{name: r.Name}
		// A namespace of the same name that is not the one we made is not ours.
		if dev, ino, err := inodeOf(n.path()); err == nil && r.Inode != 0 && (dev != r.Device || ino != r.Inode) {
			continue
		}
		errs = append(errs, n.Remove(ctx))
	}
	if err := os.RemoveAll(dir); err != nil {
		errs = append(errs, fmt.Errorf("remove the lab's folder: %w", err))
	}
	return errors.Join(errs...)
}

// killAll ends every process that the lab started or that lives in one of its
// namespaces, first by SIGTERM, then by SIGKILL.
func (s state) killAll(ctx context.Context) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, 2 * time.Second}, {syscall.SIGKILL, 5 * time.Second}} {
		for _, p := range s.living() {
			if err := p.signal(step.signal); err != nil {
				return err
			}
		}
		for end := time.Now().Add(step.wait); time.Now().Before(end); {
			if len(s.living()) == 0 {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("end the lab's processes: %w", context.Cause(ctx))
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	if left := s.living(); len(left) > 0 {
		return fmt.Errorf("the lab's processes %v do not end: a reboot would remove them", left)
	}
	return nil
}

// living returns the lab's processes that still run, without this one: those it
// started, and those in a namespace that is surely its own.
func (s state) living() []process {
	var out []process
	ours := make(map[netnsRecord]bool) // nameless
	for _, r := range s.Namespaces {
		if dev, ino, err := inodeOf((&Namespace{name: r.Name}).path()); err == nil && dev == r.Device && ino == r.Inode {
			ours[netnsRecord{Device: dev, Inode: ino}] = true // the name keeps it alive
		}
	}
	for _, p := range s.Processes {
		if !p.alive() {
			continue
		}
		out = append(out, p)
		// Without root, the names went with the lab's mount namespace; its
		// programs are still where it started them.
		dev, ino, err := inodeOf(fmt.Sprintf("/proc/%d/ns/net", p.PID))
		if err == nil && slices.ContainsFunc(s.Namespaces, func(r netnsRecord) bool { return dev == r.Device && ino == r.Inode }) {
			ours[netnsRecord{Device: dev, Inode: ino}] = true
		}
	}
	pids, err := os.ReadDir("/proc")
	if err != nil {
		return out
	}
	for _, e := range pids {
		dev, ino, err := inodeOf(filepath.Join("/proc", e.Name(), "ns/net"))
		if err != nil || !ours[netnsRecord{Device: dev, Inode: ino}] {
			continue
		}
		if p, err := processOf(e.Name()); err == nil && p.PID != os.Getpid() && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// inodeOf returns what identifies a namespace file.
func inodeOf(path string) (dev, ino uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, err
	}
	return st.Dev, st.Ino, nil
}

// defaultRoot returns where the folders of the labs are: /run/trenza-lab for
// root, for others a folder in the user's runtime folder or, without one, in
// /tmp.
func defaultRoot() string {
	uid := os.Getenv(unprivilegedEnv)
	if uid == "" {
		if os.Geteuid() == 0 {
			return "/run/trenza-lab"
		}
		uid = strconv.Itoa(os.Geteuid())
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "trenza-lab")
	}
	return filepath.Join(os.TempDir(), "trenza-lab-"+uid)
}

// lock makes root if it is not there and takes the lock that guards making and
// removing labs in it.
func lock(root string) (unlock func(), err error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the labs: %w", err)
	}
	dir, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the labs: %w", err)
	}
	// What state files say is believed, so they must be this user's.
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil || int(st.Uid) != os.Geteuid() {
		dir.Close()
		return nil, fmt.Errorf("the folder of the labs %s belongs to user %d: remove it, or choose another (%v)", root, st.Uid, err)
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock the folder of the labs: %w", err)
	}
	return func() { dir.Close() }, nil
}
