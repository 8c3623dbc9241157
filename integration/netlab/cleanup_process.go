package netlab

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// process identifies a process for good: its number comes again, its number and
// start time do not.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot (proc_pid_stat(5), field 22)
}

// processOf reads a process's identity from /proc. Zombies count as gone.
func processOf(pid string) (process, error) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return process{}, err
	}
	return parseStat(string(text))
}

// parseStat reads a line of /proc/PID/stat.
func parseStat(line string) (process, error) {
	pid, rest, _ := strings.Cut(line, " ")
	// The second field is the program's name in parentheses and may hold
	// anything, parentheses and spaces too.
	fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:])
	if len(fields) < 20 {
		return process{}, fmt.Errorf("process status %q has too few fields", line)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return process{}, fmt.Errorf("process %s: %w", pid, os.ErrProcessDone)
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		return process{}, fmt.Errorf("process status %q: %w", line, err)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return process{}, fmt.Errorf("process status %q: %w", line, err)
	}
	return process{PID: n, Start: start}, nil
}

// alive says whether this very process runs.
func (p process) alive() bool {
	now, err := processOf(strconv.Itoa(p.PID))
	return err == nil && now == p
}

// signal sends a signal to this very process; one that is gone is no error.
func (p process) signal(sig syscall.Signal) error {
	handle, err := os.FindProcess(p.PID) // a pidfd: it cannot come to mean another process
	if err != nil {
		return fmt.Errorf("find process %d: %w", p.PID, err)
	}
	defer func() { _ = handle.Release() }()
	if !p.alive() {
		return nil
	}
	if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to process %d: %w", sig, p.PID, err)
	}
	return nil
}

// bootID returns what tells this run of the kernel from all others; empty if
// the kernel does not say.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
