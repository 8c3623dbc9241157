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

	"github.com/vishvananda/netns"
)

// neighbour is another machine: a network namespace that a sleeping process holds. It ends with the test, also when
// the test is killed: then the process reads the end of its input.
type neighbour struct{ pid int }

// newNeighbour makes one that is joined to the test's namespace by a cable: device here, peer there, both up.
func newNeighbour(t *testing.T, device, peer string) *neighbour {
	t.Helper()
	holder := exec.Command("cat")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	input, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		_ = holder.Wait()
	})
	n := &neighbour{pid: holder.Process.Pid}
	run(t, fmt.Sprintf("ip link add %s type veth peer name %s netns %d", device, peer, n.pid))
	run(t, "ip link set "+device+" up")
	n.run(t, "ip link set "+peer+" up")
	n.run(t, "ip link set lo up")
	return n
}

// run runs a command line of words without spaces in the neighbour.
func (n *neighbour) run(t *testing.T, line string) string {
	t.Helper()
	return run(t, fmt.Sprintf("nsenter -t %d -n %s", n.pid, line))
}

// start runs a program in the neighbour until the test ends or the result is called.
func (n *neighbour) start(t *testing.T, line string) (stop func()) {
	t.Helper()
	// The program dies with the thread that started it, so that a killed test leaves nothing behind.
	runtime.LockOSThread()
	words := append([]string{"-t", fmt.Sprint(n.pid), "-n"}, strings.Fields(line)...)
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

// do calls f on a thread in the neighbour. Sockets that f opens stay there.
func (n *neighbour) do(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime discards the thread
		ns, err := netns.GetFromPath(fmt.Sprintf("/proc/%d/ns/net", n.pid))
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
		t.Fatalf("in the neighbour's namespace: %v", err)
	}
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
