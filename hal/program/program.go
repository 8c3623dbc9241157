// Package program runs a program that the router starts, watches and ends: one that stays in the foreground, tells what it does line by line,
// and ends on SIGTERM.
package program

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// Find looks for a program, also where the PATH of an ordinary user leaves out the folders of root's programs. For is what needs it, for
// people; from is the package that brings it. ErrUnsupported when it is not there.
func Find(name, what, from string) (path string, err error) {
	for _, at := range []string{name, filepath.Join("/usr/sbin", name)} {
		if found, err := exec.LookPath(at); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s needs the program %s: install the package %s: %w", what, name, from, hal.ErrUnsupported)
}

// goodbye is how long a program may take to end before it is killed.
const goodbye = 5 * time.Second

// Run runs a program until the context ends, or the program does: that is an error, with its last words. What it says goes to the log.
func Run(ctx context.Context, log *slog.Logger, path string, args ...string) error {
	name := filepath.Base(path)
	// The program dies with the thread that started it, so that it never outlives a router that was killed, and holds the ports or radios
	// of the next one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = goodbye
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	said := make(chan string, 1)
	go func() { said <- listen(out, name, log) }()
	err := cmd.Wait()
	in.Close()
	last := <-said
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return fmt.Errorf("%s: %w: %s", name, err, last)
}

// listen passes on what the program says until it ends, and returns its last words.
func listen(said io.Reader, name string, log *slog.Logger) (last string) {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); text != "" {
			last = strings.TrimPrefix(text, name+": ")
			log.Debug(name, "says", last)
		}
	}
	_, _ = io.Copy(io.Discard, said) // a line that is too long must not hold the program up
	return last
}
