package dnsmasq

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// Options are what a Server works with.
type Options struct {
	Program string // "": dnsmasq from the PATH
	Dir     string // where the configuration file lies, which is made when it is missing
	Log     *slog.Logger
}

// Server runs dnsmasq. It implements hal.AddressServer and has no state but its file.
type Server struct{ options Options }

var _ hal.AddressServer = (*Server)(nil)

// New makes a Server. It starts nothing.
func New(o Options) *Server {
	if o.Program == "" {
		o.Program = "dnsmasq"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o}
}

// file is the configuration in use.
func (s *Server) file() string { return filepath.Join(s.options.Dir, "dnsmasq.conf") }

// CheckAddresses has the program read the configuration.
func (s *Server) CheckAddresses(ctx context.Context, service hal.AddressService) error {
	_, err := s.prepare(ctx, service)
	return err
}

// prepare writes the configuration beside the one in use and has the program read it. It returns the file.
func (s *Server) prepare(ctx context.Context, service hal.AddressService) (string, error) {
	if err := service.Validate(); err != nil {
		return "", err
	}
	program, err := s.program()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(s.options.Dir, 0o750); err != nil {
		return "", fmt.Errorf("making the directory of dnsmasq's configuration: %w", err)
	}
	next := s.file() + ".new"
	if err := os.WriteFile(next, []byte(Config(service)), 0o640); err != nil {
		return "", fmt.Errorf("writing dnsmasq's configuration: %w", err)
	}
	if out, err := exec.CommandContext(ctx, program, "--test", "--conf-file="+next).CombinedOutput(); err != nil {
		return "", fmt.Errorf("dnsmasq does not take the configuration %s: %w: %s", next, err, strings.TrimSpace(string(out)))
	}
	return next, nil
}

// program finds dnsmasq also where the PATH of an ordinary user leaves out the folders of root's programs.
func (s *Server) program() (string, error) {
	for _, name := range []string{s.options.Program, filepath.Join("/usr/sbin", s.options.Program)} {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("addresses for the household need the program %s: install the package dnsmasq-base: %w", s.options.Program, hal.ErrUnsupported)
}

// goodbye is how long the program may take to end before it is killed.
const goodbye = 5 * time.Second

// ServeAddresses runs the program with the configuration.
func (s *Server) ServeAddresses(ctx context.Context, service hal.AddressService) error {
	next, err := s.prepare(ctx, service)
	if err != nil {
		return err
	}
	if err := os.Rename(next, s.file()); err != nil {
		return fmt.Errorf("putting dnsmasq's configuration in its place: %w", err)
	}
	program, err := s.program()
	if err != nil {
		return err
	}
	// The program dies with the thread that started it, so that it never outlives a router that was killed, and holds the ports of the next one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// --no-daemon stays in the foreground, speaks to standard error and changes neither user nor groups, for which the router's service has no
	// right to give.
	cmd := exec.CommandContext(ctx, program, "--no-daemon", "--conf-file="+s.file())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = goodbye
	said, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("preparing dnsmasq: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting dnsmasq: %w", err)
	}
	last := s.listen(said)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return fmt.Errorf("dnsmasq: %w: %s", err, last)
}

// listen passes on what the program says until it ends, and returns its last words.
func (s *Server) listen(said io.Reader) (last string) {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); text != "" {
			last = strings.TrimPrefix(text, "dnsmasq: ")
			s.options.Log.Debug("dnsmasq", "says", last)
		}
	}
	return last
}
