package netlab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
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
	inside, err := lab.Router().Listen(ctx, "tcp", RouterWeb)
	if err != nil {
		fmt.Println("ERROR", err)
		return 1
	}
	go func() {
		for {
			c, err := inside.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "the page")
			c.Close()
		}
	}()
	door, err := lab.Expose(ctx, "127.0.0.1:0", lab.Router(), RouterWeb)
	if err != nil {
		fmt.Println("ERROR", err)
		return 1
	}
	fmt.Println("READY", lab.ID(), door)
	<-ctx.Done()
	if err := lab.Close(); err != nil {
		fmt.Println("ERROR", err)
		return 1
	}
	return 0
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
	if err := await(testContext(t), "the stubborn program", func() (bool, error) {
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

// startChild runs a lab in another process and returns, when it is ready, its ID
// and the address at which it serves a page.
func startChild(t *testing.T, cmd *exec.Cmd) (id, page string) {
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
		if ready, ok := strings.CutPrefix(lines.Text(), "READY "); ok {
			id, page, _ = strings.Cut(ready, " ")
			return id, page
		}
		t.Errorf("the lab's process says: %s", lines.Text())
	}
	t.Fatalf("the lab's process did not get ready: %s", &stderr)
	return "", ""
}

func TestKilledLabIsRemovedByTheNext(t *testing.T) {
	needRoot(t)
	root := labRoot(t)
	before := traces(t)
	cmd := exec.CommandContext(testContext(t), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+root)
	id, _ := startChild(t, cmd)
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

func TestForeignNamespaceOfTheSameNameStays(t *testing.T) {
	needRoot(t)
	root := labRoot(t)
	ctx := testContext(t)
	id := strings.ToLower(rand.Text()[:8])
	foreign, err := NewNamespace(ctx, "tzl"+id+"-router")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := foreign.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := New(ctx, Options{Root: root, ID: id}); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("error %v, want one that says that the name exists already", err)
	}
	dev, ino, err := inodeOf(foreign.path())
	if err != nil {
		t.Fatal(err)
	}
	// The state of a lab that died, one of whose names has come to mean another
	// namespace, and one of whose process numbers another process.
	s := state{ID: id, Boot: bootID(), Namespaces: []netnsRecord{
		{Name: foreign.name, Device: dev, Inode: ino + 1},
		{Name: foreign.name + "x", Device: dev, Inode: ino}, // gone, and its number given again
	}}
	sleep := foreign.Command(ctx, "sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = sleep.Process.Kill(), sleep.Wait() })
	p, err := processOf(strconv.Itoa(sleep.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	s.Processes = []process{{PID: p.PID, Start: p.Start + 1}}
	dir := filepath.Join(root, id)
	if err := errors.Join(os.Mkdir(dir, 0o755), s.save(dir)); err != nil {
		t.Fatal(err)
	}
	if err := Clean(ctx, root, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead lab's folder is still there (%v)", err)
	}
	if _, _, err := inodeOf(foreign.path()); err != nil {
		t.Errorf("the foreign namespace is gone: %v", err)
	}
	if !p.alive() {
		t.Error("the foreign process is gone")
	}
}

func TestParseStat(t *testing.T) {
	const rest = " 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 987654 0 0"
	for _, test := range []struct {
		line string
		want process
		err  string
	}{
		{line: "42 (sleep) S" + rest, want: process{42, 987654}},
		{line: "42 (a) b (c)) R" + rest, want: process{42, 987654}},
		{line: "42 (sleep) Z" + rest, err: "finished"},
		{line: "42 (sleep) S 1", err: "too few fields"},
		{line: "x (sleep) S" + rest, err: "invalid syntax"},
		{line: "", err: "too few fields"},
	} {
		got, err := parseStat(test.line)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: %+v, %v; want %+v, %q", test.line, got, err, test.want, test.err)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (sleep) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 987654 0 0")
	f.Add("42 (a) b (c)) R")
	f.Add(")")
	f.Fuzz(func(t *testing.T, line string) {
		if p, err := parseStat(line); err != nil && p != (process{}) {
			t.Errorf("%q: both %+v and %v", line, p, err)
		}
	})
}
