package netlab

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asNobody returns a command that runs this test binary as a user without
// rights, on a machine on which all users may open TAP devices, as most let
// them.
func asNobody(t *testing.T, root string) *exec.Cmd {
	t.Helper()
	needRoot(t)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	// Where the test binary lies, others may not look.
	binary := filepath.Join(labRoot(t), "lab")
	labs := filepath.Join(root, "labs")
	const nobody = 65534
	for _, step := range []func() error{
		func() error { return os.WriteFile(binary, self, 0o755) },
		func() error { return os.Chmod(filepath.Dir(binary), 0o755) },
		func() error { return os.Chmod(root, 0o755) },
		func() error { return os.MkdirAll(labs, 0o755) },
		func() error { return os.Chown(labs, nobody, nobody) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	const script = `set -e
mount -t tmpfs -o dev,mode=0755 devices "$1"
mknod -m 0666 "$1/tun" c 10 200
mount --bind "$1/tun" /dev/net/tun
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$2"`
	devices := filepath.Join(root, "dev")
	if err := os.MkdirAll(devices, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(testContext(t), "unshare", "--mount", "sh", "-c", script, "sh", devices, binary)
	cmd.Env = append(os.Environ(), childEnv+"="+labs, "HOME=/")
	return cmd
}

func TestWithoutRoot(t *testing.T) {
	root := labRoot(t)
	labs := filepath.Join(root, "labs")
	first := asNobody(t, root)
	id, page := startChild(t, first)
	c, err := net.Dial("tcp", page)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text, err := io.ReadAll(c); err != nil || string(text) != "the page" {
		t.Errorf("the page through the door: %q (%v)", text, err)
	}
	remote, err := Connect(labs, id)
	if err != nil {
		t.Fatal(err)
	}
	line, err := remote.Shell(t.Context(), "laptop", "sh", "-c", "cat /etc/resolv.conf; ping -q -c 1 -W 10 10.77.0.1 >/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	for _, as := range [][]string{
		{"env"}, // the machine's root
		{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"}, // the user
	} {
		shell := exec.CommandContext(testContext(t), as[0], append(as[1:], line...)...)
		if out, err := shell.CombinedOutput(); err != nil || string(out) != "nameserver 10.77.0.1\n" {
			t.Errorf("%v %v: %q (%v)", as, line, out, err)
		}
	}

	// Killed, it leaves processes, which the same user's next lab ends.
	s, err := load(filepath.Join(labs, id))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Owner.signal(9); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // "exit status"
	if len(s.living()) == 0 {
		t.Fatal("the killed lab left nothing behind: this test proves nothing")
	}
	second := asNobody(t, root)
	id, _ = startChild(t, second)
	if left := s.living(); len(left) > 0 {
		t.Errorf("processes left behind: %v", left)
	}
	s, err = load(filepath.Join(labs, id))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Owner.signal(15); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
	if left := readDir(t, labs); len(left) > 0 || len(s.living()) > 0 {
		t.Errorf("left behind: %v, %v", left, s.living())
	}
}

// readDir returns what is in a folder.
func readDir(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// TestWithNeither runs without capabilities, where no more user namespaces may
// be made.
func TestWithNeither(t *testing.T) {
	needRoot(t)
	const script = `echo 0 > /proc/sys/user/max_user_namespaces
exec setpriv --bounding-set -all --inh-caps -all /proc/self/fd/3`
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.CommandContext(testContext(t), "unshare", "--user", "--map-root-user", "sh", "-c", script)
	cmd.Env = append(os.Environ(), childEnv+"="+labRoot(t))
	cmd.ExtraFiles = []*os.File{self}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), ErrPrivileges.Error()) {
		t.Errorf("%v, %s; want an error that says: %v", err, out, ErrPrivileges)
	}
}
