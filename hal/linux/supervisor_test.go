package linux

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestSupervisor(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "notify"), "@trenza-test" + dir} {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		env := map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}
		s, err := NewSupervisor(func(k string) string { return env[k] }, 7)
		if err != nil || s.Interval != 30*time.Second {
			t.Fatalf("%v, %v", s, err)
		}
		for _, step := range []struct {
			tell func() error
			want string
		}{{s.Ready, "READY=1"}, {s.Alive, "WATCHDOG=1"}, {s.Stopping, "STOPPING=1"}} {
			if err := step.tell(); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := c.Read(buf); err != nil || string(buf[:n]) != step.want {
				t.Errorf("the manager hears %q, %v; want %q", buf[:n], err, step.want)
			}
		}
		c.Close()
		if name[0] == '/' && s.Ready() == nil {
			t.Error("a manager that is gone hears")
		}
	}
}

func TestSupervisorEnvironment(t *testing.T) {
	for _, tt := range []struct {
		socket, usec, pid string
		interval          time.Duration
		bad               bool
	}{
		{"", "1000000", "", 0, false}, // nobody to tell
		{"/run/n", "", "", 0, false},
		{"/run/n", "1000000", "", time.Second, false},
		{"/run/n", "1000000", "8", 0, false}, // meant for another process
		{"/run/n", "soon", "", 0, true},
		{"/run/n", "-5", "", 0, true},
		{"vsock:2:3", "", "", 0, true},
	} {
		env := map[string]string{"NOTIFY_SOCKET": tt.socket, "WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}
		s, err := NewSupervisor(func(k string) string { return env[k] }, 7)
		if s.Interval != tt.interval || (err != nil) != tt.bad {
			t.Errorf("%+v: %v, %v", tt, s, err)
		}
	}
	if err := (Supervisor{}).Ready(); err != nil {
		t.Error(err)
	}
}
