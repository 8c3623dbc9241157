package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Where `ip netns` keeps its names, and the files that `ip netns exec` mounts
// over those in /etc (ip-netns(8)).
const (
	netnsDir    = "/run/netns"
	netnsEtcDir = "/etc/netns"
)

// Namespace is a named network namespace, the same that `ip netns` shows.
type Namespace struct {
	name string
}

// NewNamespace makes a new namespace with its loopback device up. The name must
// not exist yet; [Namespace.Remove] takes it away.
//
// It does what `ip netns add` does, which has to go back to where it came from
// and so fails in a user namespace.
func NewNamespace(ctx context.Context, name string) (*Namespace, error) {
	n, err := bindNamespace(name, func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if err != nil {
		return nil, err
	}
	if err := n.ip(ctx, "link set lo up"); err != nil {
		return nil, errors.Join(err, n.Remove(ctx))
	}
	return n, nil
}

// NameNamespace gives a further name to the namespace that this process runs in,
// as `ip netns attach` does: what works on a Namespace works on it, too.
// [Namespace.Remove] takes the name away and nothing else.
func NameNamespace(name string) (*Namespace, error) {
	return bindNamespace(name, func() error { return nil })
}

// bindNamespace names the namespace in which a thread is after enter.
func bindNamespace(name string, enter func() error) (*Namespace, error) {
	if err := shareNames(); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", netnsDir, err)
	}
	n := &Namespace{name: name}
	f, err := os.OpenFile(n.path(), os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return nil, fmt.Errorf("name network namespace %s: %w", name, err)
	}
	f.Close()
	err = onOwnThread(func() error {
		if err := enter(); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", n.path(), "none", unix.MS_BIND, "")
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make network namespace %s: %w", name, err), os.Remove(n.path()))
	}
	return n, nil
}

// shareNames makes the folder of the names a shared mount, as `ip netns` does:
// shells opened before see the namespaces made after.
func shareNames() error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	err := unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	// Not a mount of its own yet.
	if err := unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "")
}

// Remove takes the name away; the namespace ends with its last process and
// socket. Removing one that is gone is no error.
func (n *Namespace) Remove(ctx context.Context) error {
	if err := os.RemoveAll(n.etc()); err != nil {
		return fmt.Errorf("remove the files of namespace %s: %w", n.name, err)
	}
	if _, err := os.Stat(n.path()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return run(ctx, "", "ip", "netns", "del", n.name)
}

// Name returns the name under which `ip netns` knows the namespace.
func (n *Namespace) Name() string { return n.name }

func (n *Namespace) path() string { return filepath.Join(netnsDir, n.name) }

// etc returns the folder whose files stand for those in /etc in commands run by
// Command.
func (n *Namespace) etc() string { return filepath.Join(netnsEtcDir, n.name) }

// Command returns a command that will run in the namespace, with the
// namespace's own /etc/resolv.conf and /sys. It is a process of its own from
// start to end (`ip netns exec` replaces itself), so signals reach it. When ctx
// ends it gets SIGTERM, and SIGKILL 2 s later.
func (n *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, tool("ip"), append([]string{"netns", "exec", n.name, name}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Do calls f on a thread inside the namespace and waits for it. Sockets, devices
// and processes that f makes on its own goroutine belong to the namespace for
// good and can be used outside Do afterwards; goroutines that f starts do not
// run in it.
func (n *Namespace) Do(f func() error) error {
	return onOwnThread(func() error {
		there, err := os.Open(n.path())
		if err != nil {
			return fmt.Errorf("open network namespace %s: %w", n.name, err)
		}
		defer there.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", n.name, err)
		}
		return f()
	})
}

// onOwnThread runs f on an operating-system thread that ends with it. A thread
// cannot be sent back instead: in a user namespace that takes rights over the
// machine's own network namespace, which nobody has there.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// Go cannot end the main thread, and would keep it where f leaves it. While
			// this goroutine holds it, another gets another.
			done <- onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		err := errors.New("the function ended its goroutine")
		defer func() { done <- err }()
		err = f()
	}()
	return <-done
}

// Dial connects from inside the namespace. The address must be numeric: names
// are for [Namespace.Command] and the clients that run in it.
func (n *Namespace) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = n.Do(func() error {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Listen listens for streams inside the namespace. The address must be numeric.
func (n *Namespace) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	err = n.Do(func() error {
		var c net.ListenConfig
		l, err = c.Listen(ctx, network, address)
		return err
	})
	return l, err
}

// ip runs lines of ip(8)'s batch language in the namespace; the first that
// fails is in the error.
func (n *Namespace) ip(ctx context.Context, lines ...string) error {
	return run(ctx, strings.Join(lines, "\n")+"\n", "ip", "-n", n.name, "-batch", "-")
}

// sysctl sets keys below /proc/sys/net, given as key=value with slashes.
func (n *Namespace) sysctl(settings ...string) error {
	return n.Do(func() error {
		for _, s := range settings {
			key, value, _ := strings.Cut(s, "=")
			// A thread sees the /proc/sys/net of its own namespace.
			if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644); err != nil {
				return fmt.Errorf("set sysctl %s in %s: %w", s, n.name, err)
			}
		}
		return nil
	})
}

// setResolver writes the namespace's /etc/resolv.conf. The file keeps its
// identity, so that commands that already run see the change too.
func (n *Namespace) setResolver(servers ...string) error {
	if err := os.MkdirAll(n.etc(), 0o755); err != nil {
		return fmt.Errorf("make the folder for namespace %s: %w", n.name, err)
	}
	var text strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&text, "nameserver %s\n", s)
	}
	if err := os.WriteFile(filepath.Join(n.etc(), "resolv.conf"), []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write the resolver address of namespace %s: %w", n.name, err)
	}
	return nil
}

// run runs a program to its end with stdin as its input; what it printed is in
// the error.
func run(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, tool(name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// tool returns the path of a program that an ordinary user's PATH may lack.
func tool(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p
		}
	}
	return name // exec will say that it is not there
}
