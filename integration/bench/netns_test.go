package bench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// machine is a network namespace that a sleeping process holds. It ends with the benchmark, also when that is killed: the
// process then reads the end of its input.
type machine struct {
	b   *testing.B
	pid int
}

func newMachine(b *testing.B) *machine {
	b.Helper()
	holder := exec.Command("cat")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	input, err := holder.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		b.Fatalf("making a network namespace: %v", err)
	}
	b.Cleanup(func() {
		input.Close()
		_ = holder.Wait()
	})
	m := &machine{b: b, pid: holder.Process.Pid}
	m.run("ip link set lo up")
	return m
}

// cable joins two machines: device here, peer there, both up.
func (m *machine) cable(device string, to *machine, peer string) {
	m.b.Helper()
	m.run(fmt.Sprintf("ip link add %s type veth peer name %s netns %d", device, peer, to.pid))
	m.run("ip link set " + device + " up")
	to.run("ip link set " + peer + " up")
}

// command is a command in the namespace.
func (m *machine) command(words ...string) *exec.Cmd {
	return exec.CommandContext(m.b.Context(), "nsenter", append([]string{"-t", fmt.Sprint(m.pid), "-n"}, words...)...)
}

// run runs a command line of words without spaces.
func (m *machine) run(line string) {
	m.b.Helper()
	if out, err := m.command(strings.Fields(line)...).CombinedOutput(); err != nil {
		m.b.Fatalf("%s: %v: %s", line, err, out)
	}
}

// nft loads a ruleset.
func (m *machine) nft(text string) {
	m.b.Helper()
	c := m.command("nft", "-f", "-")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		m.b.Fatalf("nft: %v: %s", err, out)
	}
}

// sysctl sets a key below /proc/sys/net.
func (m *machine) sysctl(key, value string) {
	m.b.Helper()
	m.do(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

// enter calls f on a thread in the namespace and waits. Sockets that f makes stay there; the thread ends with f.
func (m *machine) enter(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime discards the thread
		ns, err := netns.GetFromPid(m.pid)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// do is enter for what must not fail.
func (m *machine) do(f func() error) {
	m.b.Helper()
	if err := m.enter(f); err != nil {
		m.b.Fatal(err)
	}
}

// received counts the packets that arrived on a machine's devices.
func (m *machine) received(devices ...string) uint64 {
	m.b.Helper()
	var sum uint64
	m.do(func() error {
		for _, d := range devices {
			l, err := netlink.LinkByName(d)
			if err != nil {
				return fmt.Errorf("reading the counters of %s: %w", d, err)
			}
			sum += l.Attrs().Statistics.RxPackets
		}
		return nil
	})
	return sum
}
