package vm

import (
	"context"
	"debug/elf"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// start is the guest's part of a run: no part of the image, which need not be built anew for it.
//
//go:embed start.sh
var start string

// Job is a program to run in a guest.
type Job struct {
	Program  string   // path on the host: static, for linux/amd64
	Args     []string // its arguments
	Dir      string   // working directory, inside the checkout
	Checkout string   // the repository's folder
	Env      []string // further variables, KEY=value
	Disk     string   // raw image that the guest has as its disk (virtio); "" for no disk
	Options  Options
	Deadline time.Duration // after which the guest is ended, counted from the job's start
	Output   io.Writer     // takes what the program prints, as it comes
	Log      *slog.Logger
}

// ErrGuest says that the guest did not report a result: it hung, panicked or ended.
var ErrGuest = errors.New("the guest gave no result")

// consoleLines is how much of the console is shown when a guest failed.
const consoleLines = 60

// Why a guest is ended.
var (
	errNoStart = fmt.Errorf("it did not come to the job within %v", bootTime)
	errNoEnd   = errors.New("the job had no end")
)

// Run runs the job in a guest of its own and returns the program's exit code. When the guest itself fails, the error wraps ErrGuest and
// shows the end of its console. A guest that fails before it comes to the job is started once more: an emulated kernel dies
// in its first second once in some dozens of starts, and nothing has been tried by then.
func (i *Image) Run(ctx context.Context, j Job) (code int, err error) {
	if err := checkStatic(j.Program); err != nil {
		return 0, err
	}
	for again := true; ; again = false {
		code, started, err := i.attempt(ctx, j)
		if err == nil || started || !again || ctx.Err() != nil {
			return code, err
		}
		j.Log.Warn("the guest did not start; once more", "err", err)
	}
}

// attempt is one guest. started tells whether it came to the job.
func (i *Image) attempt(ctx context.Context, j Job) (code int, started bool, err error) {
	dir, err := os.MkdirTemp("", "trenza-vm-")
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is in the way of nobody
	m, err := i.prepare(ctx, dir, j)
	if err != nil {
		return 0, false, fmt.Errorf("prepare the job: %w", err)
	}
	console := filepath.Join(dir, "console")
	m.serial = "file:" + console

	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan bool, 1)
	go func() { watched <- watch(ctx, m.result, j.Deadline, cancel) }()
	ended := runMachine(ctx, m, j.Output)
	if text, err := os.ReadFile(filepath.Join(m.result, "exit")); err == nil {
		cancel(nil)
		<-watched
		code, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return code, true, err
	}
	err = i.autopsy(ctx, j, console, ended)
	cancel(nil)
	return 0, <-watched, err
}

// watch waits for the guest to come to the job, and then for the job's deadline, and ends the guest that is late. It returns when ctx ends and
// tells whether the job has begun.
func watch(ctx context.Context, result string, deadline time.Duration, end context.CancelCauseFunc) (started bool) {
	begun := func() bool { _, err := os.Stat(filepath.Join(result, "started")); return err == nil }
	late := time.After(bootTime)
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !started {
		select {
		case <-ctx.Done():
			return begun()
		case <-late:
			end(errNoStart)
			return begun()
		case <-look.C:
			started = begun()
		}
	}
	select {
	case <-ctx.Done():
	case <-time.After(deadline):
		end(errNoEnd)
	}
	return true
}

// autopsy says why there is no result.
func (i *Image) autopsy(ctx context.Context, j Job, console string, ended error) error {
	text, err := os.ReadFile(console)
	if err != nil {
		text = []byte(err.Error())
	}
	why := fmt.Sprintf("it ended early (%s: %v)", program, ended)
	switch cause := context.Cause(ctx); {
	case strings.Contains(string(text), "Kernel panic"):
		why = "its kernel panicked"
	case errors.Is(cause, errNoEnd):
		why = fmt.Sprintf("%v after %v, and it was ended", cause, j.Deadline)
	case errors.Is(cause, errNoStart):
		why = fmt.Sprintf("%v, and was ended", cause)
	case cause != nil:
		why = "it was interrupted"
	}
	kept := filepath.Join(i.dir, "console-"+filepath.Base(j.Dir)+".log")
	if err := os.WriteFile(kept, text, 0o644); err != nil {
		kept = err.Error()
	}
	return fmt.Errorf("%w: %s; its console (all of it: %s) ends with:\n%s", ErrGuest, why, kept, tail(string(text), consoleLines))
}

// runMachine runs qemu until it ends, and copies what the job prints.
func runMachine(ctx context.Context, m machine, output io.Writer) error {
	// The descriptor's path and not the standard output itself: qemu would truncate a file.
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	m.channel = "/dev/fd/3"
	cmd := exec.CommandContext(ctx, program, m.args()...)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start the virtual machine: %w", err)
	}
	_, copied := io.Copy(output, r)
	return errors.Join(cmd.Wait(), copied)
}

// prepare writes the job's share into a folder.
func (i *Image) prepare(ctx context.Context, dir string, j Job) (machine, error) {
	m := machine{image: i, accel: i.Accelerator(ctx, j.Log), memory: j.Options.Memory, checkout: j.Checkout, disk: j.Disk,
		job: filepath.Join(dir, "job"), result: filepath.Join(dir, "result"), control: filepath.Join(dir, "control")}
	if m.accel == tcg {
		// First: who says otherwise on the host is right.
		j.Env = append([]string{SlownessEnv + "=" + slowness}, j.Env...)
	}
	for _, d := range []string{m.job, m.result} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return m, err
		}
	}
	for name, text := range map[string]string{
		"start": start, "job": script(j), "repository": j.Checkout, "hidden": strings.Join(j.Options.Hide, "\n"),
	} {
		if err := os.WriteFile(filepath.Join(m.job, name), []byte(text), 0o644); err != nil {
			return m, err
		}
	}
	if j.Program == "" {
		return m, nil
	}
	return m, place(j.Program, filepath.Join(m.job, "program"))
}

// script is the job as the guest's shell runs it.
func script(j Job) string {
	var s strings.Builder
	for _, e := range j.Env {
		key, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&s, "export %s=%s\n", key, quote(value))
	}
	fmt.Fprintf(&s, "cd %s || exit 125\n", quote(j.Dir))
	if j.Program == "" {
		s.WriteString("exec bash\n")
		return s.String()
	}
	s.WriteString("exec /vm/job/program")
	for _, a := range j.Args {
		s.WriteString(" " + quote(a))
	}
	s.WriteString("\n")
	return s.String()
}

// quote makes a word of any text for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// place puts a program's file at a path: by a link, or as a copy on another file system.
func place(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// checkStatic refuses a program that cannot run in the guest.
func checkStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read the test program: %w", err)
	}
	defer f.Close()
	if f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("%s is for %v, and guests are amd64: build it with GOARCH=amd64", path, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs the libraries of this machine, which the guest does not have: build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}
