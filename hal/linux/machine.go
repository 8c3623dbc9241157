package linux

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/trenza-router/trenza/hal"
)

// Options configure a Machine. The zero value serves: nft from the PATH, the real /proc/sys, no log.
type Options struct {
	Nft  string       // program that loads rulesets; "" means "nft" from the PATH
	Proc string       // mount point of procfs; "" means /proc. Tests of the sysctl code point it elsewhere.
	Log  *slog.Logger // nil means that nothing is logged
}

// Machine is this computer, as the network namespace of the process shows it; a process that moves single threads between
// namespaces cannot use one. It implements hal.Machine. Each part keeps the state of its own files and locks it itself;
// a Machine has no lock of its own. It is never closed: it lives as long as the process.
type Machine struct {
	log *slog.Logger

	*firewall // nft, sets, counters: firewall*.go, elements*.go
	routing   // rules and routes: routing*.go
	shapers   // queueing: shaping*.go
	sysctls   // sysctl*.go

	arrivals arrivals // what pings share: sockets_ping.go
	counters counters // watch.go
}

var _ hal.Machine = (*Machine)(nil)

// New makes a Machine. It opens nothing: sockets are opened by the calls that need them, so that a Machine made by
// a process without rights still tells, call by call, what it may not do.
func New(o Options) (*Machine, error) {
	if o.Nft == "" {
		o.Nft = "nft"
	}
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if !filepath.IsAbs(o.Proc) {
		return nil, fmt.Errorf("procfs at %q: %w", o.Proc, errors.New("the path must be absolute"))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Machine{
		log:      o.Log,
		firewall: &firewall{nft: o.Nft, log: o.Log},
		shapers:  shapers{own: &ports{}},
		sysctls:  sysctls{root: filepath.Join(o.Proc, "sys")},
	}, nil
}
