package netlab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// childEnv makes the test binary a program that runs a lab below the folder it
// names until it is told to stop.
const childEnv = "NETLAB_TEST_LAB_BELOW"

func TestMain(m *testing.M) {
	if root := os.Getenv(childEnv); root != "" {
		os.Exit(childLab(root))
	}
	os.Exit(m.Run())
}

// childLab is what `trenza lab` does about processes, without its servers.
func childLab(root string) int {
	done, code, err := Enter()
	if done || err != nil {
		if err != nil {
			fmt.Println("ERROR", err)
		}
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	lab, err := New(ctx, Options{Root: root})
	if err != nil {
		fmt.Println("ERROR", err)
		return 1
	}
	fmt.Println("READY", lab.ID())
	<-ctx.Done()
	if err := lab.Close(); err != nil {
		fmt.Println("ERROR", err)
		return 1
	}
	return 0
}

// labRoot returns a folder for labs. It is short, because unix sockets' paths
// are (unix(7)), and removed at the end.
func labRoot(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "tzl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	return root
}

// testContext ends well before the test would be killed.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func needRoot(t *testing.T) {
	t.Helper()
	if err := Check(); err != nil {
		t.Fatalf("this test builds a lab: %v", err)
	}
}

func newLab(t *testing.T, root string) *Lab {
	t.Helper()
	needRoot(t)
	lab, err := New(testContext(t), Options{Root: root, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Err(); err != nil {
			t.Errorf("a part of the lab failed: %v", err)
		}
		if err := lab.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return lab
}

// useLink makes a link the router's only way out, as the daemon would for the
// flows it sends there.
func useLink(t *testing.T, lab *Lab, spec LinkSpec) {
	t.Helper()
	ctx := testContext(t)
	lease, err := lab.Router().RequestLease(ctx, spec.Device, "home", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if !spec.Gateway4.Masked().Contains(lease.Address.Addr()) || lease.Gateway != spec.Gateway4.Addr() {
		t.Errorf("lease %+v, want an address of %v and the gateway %v", lease, spec.Gateway4.Masked(), spec.Gateway4.Addr())
	}
	if err := lease.configure(ctx, lab.Router(), spec.Device, 1); err != nil {
		t.Fatal(err)
	}
	if err := lab.Router().ip(ctx, fmt.Sprintf("route replace default via %v dev %s metric 1", spec.Gateway6.Addr(), spec.Device)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Router().ip(context.Background(),
			fmt.Sprintf("route del default dev %s metric 1", spec.Device),
			fmt.Sprintf("route del default via %v dev %s metric 1", spec.Gateway6.Addr(), spec.Device),
			fmt.Sprintf("address del %v dev %s", lease.Address, spec.Device),
		); err != nil {
			t.Error(err)
		}
	})
}

var rttLine = regexp.MustCompile(`time=([0-9.]+) ms`)

// ping sends echo requests until one is answered and returns its time.
func ping(t *testing.T, n *Namespace, target string) time.Duration {
	t.Helper()
	ctx := testContext(t)
	for ctx.Err() == nil {
		out, err := n.Command(ctx, "ping", "-n", "-c", "1", "-W", "5", target).Output()
		if m := rttLine.FindSubmatch(out); err == nil && m != nil {
			ms, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(ms * float64(time.Millisecond))
		}
	}
	t.Fatalf("%s never answered to %s", target, n.Name())
	return 0
}

// unreachable fails the test if an echo request is answered.
func unreachable(t *testing.T, n *Namespace, target string) {
	t.Helper()
	if out, err := n.Command(testContext(t), "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", target).CombinedOutput(); err == nil {
		t.Errorf("%s answers to %s:\n%s", target, n.Name(), out)
	}
}

// greeting is a server that tells each client the address it came from, and
// takes what it sends until the end.
func greeting(t *testing.T, n *Namespace, address string) {
	t.Helper()
	l, err := n.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
				fmt.Fprintln(c, from)
				n, _ := io.Copy(io.Discard, c)
				fmt.Fprintln(c, n)
			}()
		}
	}()
}

// greeted connects to a greeting server, sends size bytes, and returns the
// address that the server saw and how long the sending took.
func greeted(t *testing.T, n *Namespace, address string, size int) (netip.Addr, time.Duration) {
	t.Helper()
	c, err := n.Dial(testContext(t), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	from, err := netip.ParseAddr(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if line, err = r.ReadString('\n'); err != nil || strings.TrimSpace(line) != strconv.Itoa(size) {
		t.Fatalf("sent %d bytes, the server took %q (%v)", size, line, err)
	}
	return from, time.Since(start)
}

func TestHome(t *testing.T) {
	lab := newLab(t, labRoot(t))
	ctx := testContext(t)
	greeting(t, lab.Internet(), "0.0.0.0:7000")
	greeting(t, lab.Internet(), "[::]:7001")

	t.Run("hosts have leases", func(t *testing.T) {
		text, err := os.ReadFile(lab.leaseFile())
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range lab.Hosts() {
			spec, lease := h.Spec(), h.Lease()
			if !lanPrefix4.Masked().Contains(lease.Address.Addr()) || lease.Gateway != lanPrefix4.Addr() {
				t.Errorf("%s: lease %+v", spec.Name, lease)
			}
			if spec.Fixed4.IsValid() && lease.Address.Addr() != spec.Fixed4 {
				t.Errorf("%s: address %v, want %v", spec.Name, lease.Address, spec.Fixed4)
			}
			if want := fmt.Sprintf("%s %v %s", spec.MAC, lease.Address.Addr(), spec.Name); !strings.Contains(string(text), want) {
				t.Errorf("the lease file has no %q:\n%s", want, text)
			}
			resolv, err := h.Command(ctx, "cat", "/etc/resolv.conf").Output()
			if err != nil || string(resolv) != "nameserver 10.77.0.1\n" {
				t.Errorf("%s: resolv.conf %q (%v)", spec.Name, resolv, err)
			}
			ping(t, h.Namespace, "10.77.0.1")
			ping(t, h.Namespace, "fd00:77::1")
		}
	})
	t.Run("privacy addresses where asked for", func(t *testing.T) {
		for _, h := range lab.Hosts() {
			if err := lab.await(ctx, "addresses of "+h.Spec().Name, func() (bool, error) {
				addrs, err := h.Addresses6(ctx)
				return len(addrs) == 2 || !h.Spec().Privacy && len(addrs) == 1, err
			}); err != nil {
				t.Error(err)
			}
		}
	})
	for _, spec := range lab.Links() {
		t.Run(spec.Name, func(t *testing.T) {
			useLink(t, lab, spec)
			seen, _ := lab.SeenAs(spec.Name)
			least := spec.Params.Up.Delay + spec.Params.Down.Delay
			// The upper bound is for a machine that is busy with other things;
			// the scheduling itself is tested on a virtual clock.
			for _, target := range []string{"198.51.100.1", "2001:db8:100::1"} {
				if rtt := ping(t, lab.Router(), target); rtt < least || rtt > least+time.Second {
					t.Errorf("round trip to %s: %v, want %v or a little more", target, rtt, least)
				}
			}
			const size = 200_000
			for _, test := range []struct {
				address string
				from    netip.Prefix
			}{{"203.0.113.10:7000", seen.V4}, {"[2001:db8:100:10::1]:7001", seen.V6}} {
				from, took := greeted(t, lab.Router(), test.address, size)
				if !test.from.Contains(from) {
					t.Errorf("the server at %s saw %v, want one of %v", test.address, from, test.from)
				}
				// What the queue and the line hold is not counted as sent late.
				if atLeast := time.Duration(size * 8 * float64(time.Second) / float64(spec.Params.Up.Rate)); took < atLeast {
					t.Errorf("%d bytes took %v, want at least %v at %d bit/s", size, took, atLeast, spec.Params.Up.Rate)
				}
			}
			wan, err := lab.Router().addresses6(ctx, spec.Device)
			if err != nil || len(wan) == 0 {
				t.Fatalf("no IPv6 address on %s (%v)", spec.Device, err)
			}
			ping(t, lab.Internet(), wan[0].String())
			if spec.NAT4.IsValid() {
				lease, err := lab.Router().RequestLease(ctx, spec.Device, "home", netip.Addr{})
				if err != nil {
					t.Fatal(err)
				}
				unreachable(t, lab.Internet(), lease.Address.Addr().String())
			}
		})
	}
	t.Run("control", func(t *testing.T) { testControl(t, lab) })
	t.Run("door", func(t *testing.T) {
		greeting(t, lab.Router(), "127.0.0.1:8080")
		at, err := lab.Expose(ctx, "127.0.0.1:0", lab.Router(), RouterWeb)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "127.0.0.1\n0\n" {
			t.Errorf("through the door: %q (%v)", got, err)
		}
	})
	t.Run("spawn", func(t *testing.T) {
		p, err := lab.Spawn(lab.Host("tv").Namespace, "false", "sh", "-c", "echo it is broken; exit 3")
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if p.Err() == nil || !strings.Contains(p.Err().Error(), "exit status 3") || !strings.Contains(p.Err().Error(), "it is broken") {
			t.Errorf("error %v, want the exit status and the output", p.Err())
		}
	})
}

func testControl(t *testing.T, lab *Lab) {
	ctx := testContext(t)
	remote, err := Connect(filepath.Dir(lab.Dir()), "")
	if err != nil {
		t.Fatal(err)
	}
	spec := lab.Links()[0]
	useLink(t, lab, spec)
	carrier := func(want string) {
		t.Helper()
		if err := lab.await(ctx, "carrier "+want, func() (bool, error) {
			out, err := lab.Router().Command(ctx, "cat", "/sys/class/net/"+spec.Device+"/carrier").Output()
			return strings.TrimSpace(string(out)) == want, err
		}); err != nil {
			t.Error(err)
		}
	}
	state := func(want emulator.State) {
		t.Helper()
		s, err := remote.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Links[0].State; got != want {
			t.Errorf("state %q, want %q", got, want)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const server = "198.51.100.1"
	ping(t, lab.Router(), server)
	state(emulator.Whole)

	do(remote.Cut(ctx, "fiber", true))
	state(emulator.Silent)
	carrier("1")
	unreachable(t, lab.Router(), server)
	do(remote.Heal(ctx, "fiber"))
	state(emulator.Whole)
	ping(t, lab.Router(), server)

	do(remote.CutOneWay(ctx, "fiber", emulator.Down))
	state(emulator.Silent)
	before := lab.Link("fiber").Counters(emulator.Up).Delivered
	unreachable(t, lab.Router(), server)
	if after := lab.Link("fiber").Counters(emulator.Up).Delivered; after == before {
		t.Error("a cut of the way down stopped the way up")
	}
	do(remote.Heal(ctx, "fiber"))

	do(remote.Cut(ctx, "fiber", false))
	state(emulator.Unplugged)
	carrier("0")
	do(remote.Heal(ctx, "fiber"))
	carrier("1")
	// With the carrier came the routes' end or not, as the kernel likes; the
	// test's own are put back.
	do(lab.Router().ip(ctx, fmt.Sprintf("route replace default via %v dev %s metric 1", spec.Gateway4.Addr(), spec.Device)))
	ping(t, lab.Router(), server)

	do(remote.Set(ctx, "fiber", []string{"delay=100ms", "up.rate=5mbit"}))
	if rtt := ping(t, lab.Router(), server); rtt < 200*time.Millisecond {
		t.Errorf("round trip %v, want at least 200ms", rtt)
	}
	if p := lab.Link("fiber").Params(); p.Up.Rate != 5e6 || p.Down.Rate != spec.Params.Down.Rate {
		t.Errorf("rates %d and %d, want 5 Mbit/s up and the old down", p.Up.Rate, p.Down.Rate)
	}
	do(lab.Link("fiber").Set(spec.Params))

	argv, err := remote.Shell(ctx, "laptop", "cat", "/sys/class/net/eth0/address")
	do(err)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != lab.Host("laptop").Spec().MAC {
		t.Errorf("shell in laptop: %q (%v)", out, err)
	}

	for _, test := range []struct {
		err  error
		want string
	}{
		{remote.Cut(ctx, "dsl", true), `no link "dsl": there are fiber, wifi, lte`},
		{remote.Set(ctx, "lte", []string{"loss=200%"}), "must be between 0 and 1"},
		{remote.Set(ctx, "lte", nil), "nothing to change"},
		{func() error { _, err := remote.Shell(ctx, "fridge"); return err }(), `no node "fridge"`},
		{func() error { _, err := Connect(filepath.Dir(lab.Dir()), "other"); return err }(), "lab other: no lab is running"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("error %v, want one with %q", test.err, test.want)
		}
	}
}

// traces lists what a lab could leave on the machine: namespaces, their files,
// devices in this namespace, and processes in namespaces not this one.
func traces(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for _, pattern := range []string{netnsDir + "/tzl*", netnsEtcDir + "/tzl*", "/sys/class/net/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			found[p] = true
		}
	}
	return found
}

// newTraces returns the traces that were not there before and carry the lab's
// name, or are devices.
func newTraces(t *testing.T, before map[string]bool, id string) (left []string) {
	t.Helper()
	for p := range traces(t) {
		if !before[p] && (strings.Contains(p, "tzl"+id) || strings.HasPrefix(p, "/sys/class/net/")) {
			left = append(left, p)
		}
	}
	return left
}

func TestCloseLeavesNothing(t *testing.T) {
	root := labRoot(t)
	before := traces(t)
	lab := newLab(t, root)
	// A program that does not want to end, and its child.
	if _, err := lab.Spawn(lab.Host("phone").Namespace, "stubborn", "sh", "-c", "trap '' TERM; sleep 1000 & wait; sleep 1000"); err != nil {
		t.Fatal(err)
	}
	if err := lab.await(testContext(t), "the stubborn program", func() (bool, error) {
		return len(lab.state.living()) >= 6, nil // four DHCP servers, the shell, its child
	}); err != nil {
		t.Fatal(err)
	}
	s := lab.state
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	if left := newTraces(t, before, lab.ID()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left := s.living(); len(left) > 0 {
		t.Errorf("processes left behind: %v", left)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v (%v)", left, err)
	}
	if lab.Err() != nil {
		t.Errorf("a closed lab failed: %v", lab.Err())
	}
}

// startChild runs a lab in another process and returns its ID when it is ready.
func startChild(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // gone already, if the test went well
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "READY "); ok {
			return id
		}
		t.Errorf("the lab's process says: %s", lines.Text())
	}
	t.Fatalf("the lab's process did not get ready: %s", &stderr)
	return ""
}

func TestKilledLabIsRemovedByTheNext(t *testing.T) {
	needRoot(t)
	root := labRoot(t)
	before := traces(t)
	cmd := exec.CommandContext(testContext(t), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+root)
	id := startChild(t, cmd)
	s, err := load(filepath.Join(root, id))
	if err != nil {
		t.Fatal(err)
	}
	if err := Clean(t.Context(), root, slog.New(slog.DiscardHandler)); err != nil || !s.alive() {
		t.Fatalf("cleaning beside a lab that runs: %v; alive %v", err, s.alive())
	}
	if left := newTraces(t, before, id); len(left) == 0 {
		t.Fatal("cleaning removed a lab that runs")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	if len(s.living()) == 0 || len(newTraces(t, before, id)) == 0 {
		t.Fatal("a killed lab left nothing behind: this test proves nothing")
	}
	if _, err := Connect(root, ""); !errors.Is(err, ErrNoLab) {
		t.Errorf("connect to a killed lab: %v, want ErrNoLab", err)
	}

	// A stranger's namespace that has come to have one of its names stays.
	lab := newLab(t, root)
	if left := newTraces(t, before, id); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left := s.living(); len(left) > 0 {
		t.Errorf("processes left behind: %v", left)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 || entries[0].Name() != lab.ID() {
		t.Errorf("folders: %v (%v), want the new lab's alone", entries, err)
	}
}
