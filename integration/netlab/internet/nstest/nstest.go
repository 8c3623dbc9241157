package nstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/netlab/internet"
)

// The environment tells a copy of the test binary what it is.
const (
	roleVar = "TRENZA_NSTEST_ROLE"
	linkVar = "TRENZA_NSTEST_LINK" // number, parent pid, addresses
	tests   = "tests"
)

// Main is called by TestMain. Roles are what the commands of Host may become: they run in the host's namespace, after
// its link is up, and their result is the exit code.
func Main(m *testing.M, roles map[string]func() int) {
	switch role := os.Getenv(roleVar); role {
	case "":
		os.Exit(again())
	case tests:
		if err := loopback(); err != nil {
			fmt.Fprintln(os.Stderr, "nstest: set up the namespace:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	default:
		run, ok := roles[role]
		if !ok {
			fmt.Fprintf(os.Stderr, "nstest: no role %q\n", role)
			os.Exit(1)
		}
		if err := join(os.Getenv(linkVar)); err != nil {
			fmt.Fprintln(os.Stderr, "nstest: join the host to the internet:", err)
			os.Exit(1)
		}
		os.Exit(run())
	}
}

// again runs this test binary in a new network namespace and returns its exit code.
func again() int {
	runtime.LockOSThread() // Pdeathsig follows the thread that started the child
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), roleVar+"="+tests)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			fmt.Fprintln(os.Stderr, "nstest: these tests make network namespaces: run them as root (CAP_SYS_ADMIN and CAP_NET_ADMIN)")
		} else {
			fmt.Fprintln(os.Stderr, "nstest: start in a new network namespace:", err)
		}
		return 1
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // a timed-out test prints its goroutines
		}
	}()
	err := cmd.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nstest:", err)
		return 1
	}
	return 0
}

// loopback brings lo up with all addresses of the lab's internet.
func loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	for _, p := range internet.Addresses() {
		// The workers of a fuzz target share the namespace of the test that started them.
		if err := assign(&netlink.Handle{}, lo, p); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// Host returns a command that runs the test binary in the given role in a new namespace. It has one link to the
// namespace of the tests, number n (1 to 250, each once in use at a time), the addresses Addr4(n) and Addr6(n), all
// further addresses given, and default routes. The caller starts it; the namespace ends with the process.
func Host(ctx context.Context, role string, n int, further ...netip.Addr) *exec.Cmd {
	link := []string{strconv.Itoa(n), strconv.Itoa(os.Getpid())}
	for _, a := range further {
		link = append(link, a.String())
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), roleVar+"="+role, linkVar+"="+strings.Join(link, ","))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return cmd
}

// Addr4 is the IPv4 address of host n.
func Addr4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, byte(n), 2}) }

// Addr6 is the IPv6 address of host n.
func Addr6(n int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd99:%x::2", n)) }

// join makes the host's link from inside the host's new namespace.
func join(link string) error {
	fields := strings.Split(link, ",")
	if len(fields) < 2 {
		return fmt.Errorf("link %q: want number, pid and addresses", link)
	}
	n, errN := strconv.Atoi(fields[0])
	pid, errPid := strconv.Atoi(fields[1])
	if err := errors.Join(errN, errPid); err != nil {
		return fmt.Errorf("link %q: %w", link, err)
	}
	parent, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("open the namespace of the tests: %w", err)
	}
	defer parent.Close()
	there, err := netlink.NewHandleAt(parent, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("reach the namespace of the tests: %w", err)
	}
	defer there.Close()
	here := &netlink.Handle{}
	peer := "host" + strconv.Itoa(n)
	// A link of that number that a killed process left goes away with its namespace, a moment late.
	if old, err := there.LinkByName(peer); err == nil {
		_ = there.LinkDel(old)
	}
	if err := here.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "wan0"}, PeerName: peer, PeerNamespace: netlink.NsFd(parent)}); err != nil {
		return fmt.Errorf("make the link: %w", err)
	}
	lan4, lan6 := netip.PrefixFrom(Addr4(n), 24), netip.PrefixFrom(Addr6(n), 64)
	gate4, gate6 := lan4.Addr().Prev(), lan6.Addr().Prev()
	if err := end(there, peer, netip.PrefixFrom(gate4, 24), netip.PrefixFrom(gate6, 64)); err != nil {
		return err
	}
	if err := end(here, "lo"); err != nil {
		return err
	}
	mine := []netip.Prefix{lan4, lan6}
	for _, s := range fields[2:] {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("further address: %w", err)
		}
		bits := 24
		if a.Is6() {
			bits = 64
		}
		mine = append(mine, netip.PrefixFrom(a, bits))
	}
	if err := end(here, "wan0", mine...); err != nil {
		return err
	}
	for _, gate := range []netip.Addr{gate4, gate6} {
		if err := here.RouteAdd(&netlink.Route{Gw: gate.AsSlice()}); err != nil {
			return fmt.Errorf("default route by %s: %w", gate, err)
		}
	}
	return nil
}

// end brings one end of a link up with its addresses.
func end(h *netlink.Handle, name string, addrs ...netip.Prefix) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	for _, p := range addrs {
		if err := assign(h, link, p); err != nil {
			return err
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

// assign adds an address, without duplicate address detection: it is usable at once.
func assign(h *netlink.Handle, link netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(link, a); err != nil {
		return fmt.Errorf("add %s to %s: %w", p, link.Attrs().Name, err)
	}
	return nil
}
