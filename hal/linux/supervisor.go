package linux

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Supervisor is the service manager that started this process, as sd_notify(3) reaches it: a datagram socket named in the
// environment. Without one, everything it is told is nothing.
type Supervisor struct {
	socket string
	// Interval is how often the manager wants to hear Alive at the least; 0: it does not watch.
	Interval time.Duration
}

// NewSupervisor reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (sd_watchdog_enabled(3)). pid is this process's own.
func NewSupervisor(getenv func(string) string, pid int) (Supervisor, error) {
	s := Supervisor{socket: getenv("NOTIFY_SOCKET")}
	if s.socket == "" {
		return s, nil
	}
	if s.socket[0] != '/' && s.socket[0] != '@' {
		return Supervisor{}, fmt.Errorf("NOTIFY_SOCKET %q is neither a path nor an abstract name", s.socket)
	}
	if of := getenv("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return s, nil
	}
	text := getenv("WATCHDOG_USEC")
	if text == "" {
		return s, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
		return Supervisor{}, fmt.Errorf("WATCHDOG_USEC %q is no number of microseconds up to a day", text)
	}
	s.Interval = time.Duration(usec) * time.Microsecond
	return s, nil
}

// Ready tells that the service works.
func (s Supervisor) Ready() error { return s.tell("READY=1") }

// Alive keeps the watchdog quiet for another Interval.
func (s Supervisor) Alive() error { return s.tell("WATCHDOG=1") }

// Stopping tells that the service ends by its own will.
func (s Supervisor) Stopping() error { return s.tell("STOPPING=1") }

func (s Supervisor) tell(state string) error {
	if s.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling the service manager %s: %w", state, err)
	}
	_, err = c.Write([]byte(state))
	if err := errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("telling the service manager %s: %w", state, err)
	}
	return nil
}
