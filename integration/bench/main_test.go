package bench

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

const (
	binaryVar = "TRENZA_BENCH_BINARY" // the program under test; set in the copy of this binary that runs the benchmarks
	dirVar    = "TRENZA_BENCH_DIR"    // where it may write
)

// TestMain runs the benchmarks in a network namespace of their own: what the process itself does to the kernel, as the
// router does it, must not touch the machine's.
func TestMain(m *testing.M) {
	if os.Getenv(wireguardVar) != "" {
		if err := wireguard(os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, "wireguard:", err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if os.Getenv(binaryVar) != "" || flag.Lookup("test.bench").Value.String() == "" {
		os.Exit(m.Run())
	}
	code, err := again()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// again builds the program, runs this binary once more in a new namespace and returns its exit code.
func again() (int, error) {
	dir, err := os.MkdirTemp("", "trenza-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "trenza")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/trenza-router/trenza")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("building the program: %w", err)
	}
	runtime.LockOSThread() // Pdeathsig follows the thread that started the child
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), binaryVar+"="+binary, dirVar+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			return 0, errors.New("the benchmarks make network namespaces: run them as root (CAP_SYS_ADMIN and CAP_NET_ADMIN)")
		}
		return 0, fmt.Errorf("starting in a new network namespace: %w", err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func binary() string { return os.Getenv(binaryVar) }

// folder makes a folder for a benchmark's files.
func folder(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp(os.Getenv(dirVar), "run-")
	if err != nil {
		b.Fatal(err)
	}
	return dir
}
