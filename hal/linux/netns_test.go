package linux

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal/haltest"
)

// neighbour is another machine at the end of a cable.
type neighbour struct{ *haltest.Neighbour }

// newNeighbour makes one that is joined to the test's namespace: device here, peer there, both up.
func newNeighbour(t *testing.T, device, peer string) *neighbour {
	t.Helper()
	n := &neighbour{haltest.NewNeighbour(t)}
	run(t, fmt.Sprintf("ip link add %s type veth peer name %s netns %d", device, peer, n.PID))
	run(t, "ip link set "+device+" up")
	n.Run("ip link set " + peer + " up")
	return n
}

// start runs a program in the neighbour until the test ends or the result is called.
func (n *neighbour) start(t *testing.T, line string) (stop func()) {
	t.Helper()
	// The program dies with the thread that started it, so that a killed test leaves nothing behind.
	runtime.LockOSThread()
	words := append([]string{"-t", fmt.Sprint(n.PID), "-n"}, strings.Fields(line)...)
	c := exec.Command("nsenter", words...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", line, out.String())
		}
	}
	t.Cleanup(stop)
	return stop
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for: %s", what)
		}
	}
}

// nft loads a ruleset in another process.
func nft(t *testing.T, text string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "nft", "-f", "-")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
}

func writeSysctl(t *testing.T, key, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}
