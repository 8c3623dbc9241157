package haltest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// reportVariable names, in the child's environment, the file in which the child writes that it ran the test.
const reportVariable = "TRENZA_TEST_NAMESPACE_REPORT"

// InNamespace runs f in a network namespace that holds nothing but a loopback device that is up.
//
// It starts the test binary again, for this test alone, in a new namespace. That is the only way in which every
// goroutine of the code under test is in the namespace for sure: setns moves one thread, and the Go runtime starts
// goroutines on any. It also means that the namespace ends with the child process, whatever the test did in it. The price
// is some 10 ms for each call. The statements of the test outside f run in the parent and in the child: keep them few.
//
// InNamespace fails the test when the process has no right to make a namespace.
func InNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	inNamespace(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}, f)
}

// InUserNamespace is InNamespace with the rights that an ordinary user has who makes namespaces: root inside, and nobody
// to the rest of the machine.
func InUserNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	inNamespace(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}, f)
}

func inNamespace(t *testing.T, where *syscall.SysProcAttr, f func(t *testing.T)) {
	t.Helper()
	if report := os.Getenv(reportVariable); report != "" {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Fatalf("bring up the loopback device of the test's namespace: %v", err)
		}
		if err := os.WriteFile(report, []byte(t.Name()), 0o600); err != nil {
			t.Fatalf("report to the parent test: %v", err)
		}
		f(t)
		return
	}

	if os.Geteuid() != 0 {
		t.Fatal("this test makes a network namespace: run it as root")
	}
	report := filepath.Join(t.TempDir(), "report")
	args := []string{"-test.run=" + exactly(t.Name()), "-test.v", "-test.count=1"}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, fmt.Sprintf("-test.timeout=%s", max(time.Until(deadline)-time.Second, time.Second)))
	}
	child := exec.CommandContext(t.Context(), os.Args[0], args...)
	child.Env = append(os.Environ(), reportVariable+"="+report)
	child.SysProcAttr = where
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("in its own network namespace: %v\n%s", err, out)
	}
	if ran, err := os.ReadFile(report); err != nil || string(ran) != t.Name() {
		t.Fatalf("the child did not run %s (%q, %v)\n%s", t.Name(), ran, err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
}

// exactly is a -test.run pattern that matches the named test or subtest and no other.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}
