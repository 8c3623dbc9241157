package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestScript runs the job's script with the host's shell: arguments and variables arrive as they are, whatever is in them.
func TestScript(t *testing.T) {
	dir := t.TempDir()
	odd := []string{"plain", "two words", "it's", `"$HOME" \ * ; exit 3`, "", "line\nbreak"}
	text := script(Job{Program: "x", Args: odd, Dir: dir, Env: []string{"ODD=a'b $c", "EMPTY="}})
	text = strings.Replace(text, "exec /vm/job/program", `printf '%s|' "$PWD" "$ODD" "$EMPTY"; printf '%s|'`, 1)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", text).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]string{real, "a'b $c", ""}, odd...)
	if diff := cmp.Diff(strings.Join(want, "|")+"|", string(out)); diff != "" {
		t.Error(diff)
	}
}

func TestTestJob(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := TestJob(dir, "x.test", nil); err == nil || !strings.Contains(err.Error(), "no Go module") {
		t.Errorf("outside a module: %v", err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(root, "go.mod"), "module x\n")
	write(filepath.Join(dir, OptionsFile), "hide tun\n")
	t.Setenv("TRENZA_SAID", "yes")
	t.Setenv("SECRET", "no")
	j, err := TestJob(dir, "x.test", []string{"-test.testlogfile=/tmp/log", "-test.timeout=2m0s", "-test.v=true"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"-test.timeout=2m0s", "-test.v=true"}, j.Args); diff != "" {
		t.Error(diff)
	}
	env := strings.Join(j.Env, "\n")
	if j.Checkout != root || j.Deadline != 2*time.Minute+grace || len(j.Options.Hide) != 1 ||
		!strings.Contains(env, "TRENZA_SAID=yes") || strings.Contains(env, "SECRET") {
		t.Errorf("job %+v", j)
	}
	if _, err := TestJob(dir, "x.test", []string{"-test.cpuprofile=cpu.out"}); err == nil || !strings.Contains(err.Error(), "do not come back") {
		t.Errorf("a profile: %v", err)
	}
	write(filepath.Join(dir, OptionsFile), "cores 2\n")
	if _, err := TestJob(dir, "x.test", nil); err == nil || !strings.Contains(err.Error(), "vm.options: line 1") {
		t.Errorf("bad options: %v", err)
	}
}
