package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// bootTime is what a guest may take to come to its job: seconds, or much longer beside others.
	bootTime = 2 * time.Minute
	// grace is how much longer than its own timeout a test program may take, which then says where it hung. go test itself, which counts
	// the guest's start too, waits a minute longer and then interrupts.
	grace = 20 * time.Second
	// endless bounds a test program that was given no timeout.
	endless = 2 * time.Hour
)

// TestJob is the job of a test program with the arguments that go test gives it, in the package's folder.
func TestJob(dir, program string, args []string) (Job, error) {
	j, err := newJob(dir)
	if err != nil {
		return j, err
	}
	j.Program = program
	j.Deadline = endless
	for _, a := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch name {
		case "test.testlogfile":
			// It is for go's cache of results, which does not know the guest.
			continue
		case "test.timeout":
			d, err := time.ParseDuration(value)
			if err != nil {
				return j, fmt.Errorf("%s: %w", a, err)
			}
			if d > 0 {
				j.Deadline = d + grace
			}
		case "test.coverprofile", "test.cpuprofile", "test.memprofile", "test.blockprofile", "test.mutexprofile", "test.trace", "test.gocoverdir":
			return j, fmt.Errorf("%s: a guest's files do not come back to the host", a)
		}
		j.Args = append(j.Args, a)
	}
	return j, nil
}

// ShellJob is a person's shell in the folder.
func ShellJob(dir string) (Job, error) { return newJob(dir) }

func newJob(dir string) (Job, error) {
	j := Job{Dir: dir}
	var err error
	if j.Checkout, err = checkout(dir); err != nil {
		return j, err
	}
	if j.Options, err = ReadOptions(dir); err != nil {
		return j, err
	}
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "TRENZA_") || name == "GODEBUG" || name == "GOTRACEBACK" || name == "TERM" {
			j.Env = append(j.Env, e)
		}
	}
	j.Env = append(j.Env, "TRENZA_VM=1", "PATH="+filepath.Join(j.Checkout, "bin")+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	return j, nil
}

// checkout finds the repository that a folder is in.
func checkout(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is in no Go module: run vmrun inside the checkout", dir)
		}
	}
}

// Shell runs a guest with a person's shell on its console, which is this process's terminal, until the shell ends.
func (i *Image) Shell(ctx context.Context, j Job) error {
	dir, err := os.MkdirTemp("", "trenza-vm-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is in the way of nobody
	m, err := i.prepare(ctx, dir, j)
	if err != nil {
		return fmt.Errorf("prepare the shell: %w", err)
	}
	m.serial = "mon:stdio"
	cmd := exec.CommandContext(ctx, program, m.args()...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if _, missing := os.Stat(filepath.Join(m.result, "exit")); err == nil && missing != nil {
		return errors.New("the guest ended before its shell did")
	}
	return err
}
