package netlab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

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
			if err := await(ctx, "addresses of "+h.Spec().Name, func() (bool, error) {
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
