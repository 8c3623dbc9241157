package hostapd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/program"
)

// Options are what a Server works with.
type Options struct {
	Program string // "": hostapd from the PATH
	Dir     string // where the configuration files lie, which is made when it is missing
	Sysfs   string // "": /sys
	Log     *slog.Logger
}

// Server runs hostapd. It implements hal.AccessPoints and has no state but its files.
type Server struct{ options Options }

var _ hal.AccessPoints = (*Server)(nil)

// New makes a Server. It starts nothing.
func New(o Options) *Server {
	if o.Program == "" {
		o.Program = "hostapd"
	}
	if o.Sysfs == "" {
		o.Sysfs = "/sys"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o}
}

// ServeAccessPoint runs the program with the configuration, which holds the passphrase and is for nobody else to read.
func (s *Server) ServeAccessPoint(ctx context.Context, a hal.AccessPoint) error {
	if err := a.Validate(); err != nil {
		return fmt.Errorf("access point on %s: %w", a.Device, err)
	}
	path, err := program.Find(s.options.Program, "an access point", "hostapd")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.options.Dir, 0o750); err != nil {
		return fmt.Errorf("making the directory of hostapd's configuration: %w", err)
	}
	file := filepath.Join(s.options.Dir, "hostapd-"+a.Device+".conf")
	// Written beside and put in its place: an older file of other rights must not keep them.
	if err := os.WriteFile(file+".new", []byte(Config(a)), 0o600); err != nil {
		return fmt.Errorf("writing hostapd's configuration: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("putting hostapd's configuration in its place: %w", err)
	}
	s.unblock(a.Device)
	return program.Run(ctx, s.options.Log, path, file)
}

// unblock switches a radio on that was switched off by software, as a new card is until somebody has told the country (rfkill in the kernel's
// documentation). Whether it worked, the program tells.
func (s *Server) unblock(device string) {
	switches, _ := filepath.Glob(filepath.Join(s.options.Sysfs, "class/net", device, "phy80211/rfkill*/soft")) // the pattern is a good one
	for _, path := range switches {
		if state, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(state)) == "0" {
			continue
		}
		if err := os.WriteFile(path, []byte("0"), 0o644); err != nil {
			s.options.Log.Warn("a radio is switched off and cannot be switched on", "device", device, "error", err)
		}
	}
}
