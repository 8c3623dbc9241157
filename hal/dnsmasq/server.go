package dnsmasq

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/program"
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
	path, err := s.program()
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
	if out, err := exec.CommandContext(ctx, path, "--test", "--conf-file="+next).CombinedOutput(); err != nil {
		return "", fmt.Errorf("dnsmasq does not take the configuration %s: %w: %s", next, err, strings.TrimSpace(string(out)))
	}
	return next, nil
}

func (s *Server) program() (string, error) {
	return program.Find(s.options.Program, "giving out addresses", "dnsmasq-base")
}

// ServeAddresses runs the program with the configuration.
func (s *Server) ServeAddresses(ctx context.Context, service hal.AddressService) error {
	next, err := s.prepare(ctx, service)
	if err != nil {
		return err
	}
	if err := os.Rename(next, s.file()); err != nil {
		return fmt.Errorf("putting dnsmasq's configuration in its place: %w", err)
	}
	path, err := s.program()
	if err != nil {
		return err
	}
	// --no-daemon stays in the foreground, speaks to standard error and changes neither user nor groups, for which the router's service has no
	// right to give.
	return program.Run(ctx, s.options.Log, path, "--no-daemon", "--conf-file="+s.file())
}
