package modem

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// SessionDevice is the network interface of a session over a serial port.
func SessionDevice(port string) string {
	name := "ppp-" + port
	return name[:min(len(name), 15)]
}

// Sessions are the diallers (pppd) of connected modems whose data go over a serial port. They outlive the router.
type Sessions struct {
	log *slog.Logger

	mu      sync.Mutex
	running map[string]*exec.Cmd // by port
}

// NewSessions makes a set without sessions.
func NewSessions(log *slog.Logger) *Sessions {
	return &Sessions{log: log, running: map[string]*exec.Cmd{}}
}

// Start dials on a serial port, unless a dialler is at work on it already.
func (s *Sessions) Start(port, user, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[port] != nil {
		return nil
	}
	if strings.ContainsAny(user+password, "\"\\\n") {
		return fmt.Errorf("user and password of a session have no quotes, backslashes or line ends: %w", hal.ErrRefused)
	}
	// Options come over a pipe: arguments and files could be read by others.
	options := fmt.Sprintf("nodetach\nnoauth\nnoipdefault\nnodefaultroute\nnoipv6\nlocal\nifname %s\nlcp-echo-interval 10\nlcp-echo-failure 3\n", SessionDevice(port))
	if user != "" {
		options += fmt.Sprintf("user \"%s\"\npassword \"%s\"\n", user, password)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("preparing a session: %w", err)
	}
	defer r.Close()
	// Without an end of its own: what is connected goes on when the router ends.
	cmd := exec.CommandContext(context.Background(), "pppd", "/dev/"+port, "file", "/dev/fd/3")
	cmd.ExtraFiles = []*os.File{r}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	_, err = w.WriteString(options) // far below a pipe's capacity
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("starting pppd: %w: %w", hal.ErrUnsupported, err)
	}
	s.running[port] = cmd
	go func() {
		err := cmd.Wait()
		s.mu.Lock()
		if s.running[port] == cmd {
			delete(s.running, port)
		}
		s.mu.Unlock()
		s.log.Info("a modem's session has ended", "port", port, "error", err, "said", tail(said.String()))
	}()
	return nil
}

// tail is the last of what a program said.
func tail(s string) string { return strings.TrimSpace(s[max(0, len(s)-200):]) }

// Stop ends the session over a port, if there is one.
func (s *Sessions) Stop(ctx context.Context, port string) {
	s.mu.Lock()
	cmd := s.running[port]
	delete(s.running, port)
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	// It says goodbye to the other side; a port that nobody reads would make that take a minute.
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
}
