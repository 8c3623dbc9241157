package haltest

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netns"
)

// Neighbour is another machine beside the test's: a network namespace that a sleeping process holds. It ends with the test, also when the
// test is killed: then the process reads the end of its input. (A death signal would come too early: the kernel sends it when the thread
// that started the process ends.)
type Neighbour struct {
	PID int // of the process that holds it
	tb  testing.TB
}

// NewNeighbour makes one that holds nothing but a loopback device that is up. It fails the test when the process has no right to.
func NewNeighbour(tb testing.TB) *Neighbour {
	tb.Helper()
	holder := exec.Command("cat")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	input, err := holder.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		tb.Fatalf("making a network namespace: %v", err)
	}
	tb.Cleanup(func() {
		input.Close()
		_ = holder.Wait()
	})
	n := &Neighbour{PID: holder.Process.Pid, tb: tb}
	n.Run("ip link set lo up")
	return n
}

// Command is a command in the neighbour, ended with the test.
func (n *Neighbour) Command(words ...string) *exec.Cmd {
	return exec.CommandContext(n.tb.Context(), "nsenter", append([]string{"-t", fmt.Sprint(n.PID), "-n"}, words...)...)
}

// Run runs a command line of words without spaces in the neighbour and returns what it prints; the test fails when the command does.
func (n *Neighbour) Run(line string) string {
	n.tb.Helper()
	out, err := n.Command(strings.Fields(line)...).CombinedOutput()
	if err != nil {
		n.tb.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// Enter calls f on a thread in the neighbour and waits. Sockets that f opens stay there; goroutines that it starts do not.
func (n *Neighbour) Enter(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime discards the thread
		ns, err := netns.GetFromPid(n.PID)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("in the neighbour's namespace: %w", err)
	}
	return nil
}

// Do is Enter for what must not fail.
func (n *Neighbour) Do(f func() error) {
	n.tb.Helper()
	if err := n.Enter(f); err != nil {
		n.tb.Fatal(err)
	}
}
