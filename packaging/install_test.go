package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// dpkg installs into a root of the test's own, with the real dpkg and the package's real scripts, which get DPKG_ROOT (dpkg(1),
// --force-script-chrootless).
type dpkg struct {
	t    *testing.T
	root string
}

func newDpkg(t *testing.T) dpkg {
	d := dpkg{t, t.TempDir()}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(d.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"status", "available"} {
		d.write("var/lib/dpkg/"+file, "")
	}
	return d
}

func (d dpkg) write(path, text string) {
	d.t.Helper()
	to := filepath.Join(d.root, path)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d dpkg) read(path string) string {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.root, path))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(data)
}

func (d dpkg) run(args ...string) {
	d.t.Helper()
	args = append([]string{"--root=" + d.root, "--force-script-chrootless", "--force-depends", "--force-confold", "--force-not-root", "--force-bad-path"}, args...)
	cmd := exec.Command("dpkg", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("dpkg %v: %v\n%s", args, err, out)
	}
}

// left are the files outside dpkg's own records.
func (d dpkg) left() []string {
	d.t.Helper()
	var out []string
	err := filepath.WalkDir(d.root, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, d.root)
		if name == "/var/lib/dpkg" || name == "/var/log" {
			return filepath.SkipDir
		}
		if !e.IsDir() {
			out = append(out, name)
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// TestDebLife: installed, upgraded with a file that the administrator changed, removed, purged.
func TestDebLife(t *testing.T) {
	arch := runtime.GOARCH
	if arch == "arm" {
		arch = "armhf"
	}
	dir := t.TempDir()
	file := func(version string) string {
		name, data := pack(t, testRelease(version), "deb", arch, program(t))
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d := newDpkg(t)
	d.run("--install", file("1.2.3"))
	if !strings.Contains(d.read("usr/lib/systemd/system/trenza.service"), "ExecStart=/usr/bin/trenza router") {
		t.Error("the unit is not installed")
	}
	if info, err := os.Stat(filepath.Join(d.root, "usr/bin/trenza")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program: %v, %v", info, err)
	}
	if !strings.Contains(d.read("usr/share/doc/trenza/trenza.yaml.example"), "links:") {
		t.Error("there is no example of the configuration")
	}
	// A household's data, and a changed file of the package's.
	d.write("etc/default/trenza", "TRENZA_OPTIONS=\"--log-level debug\"\n")
	d.write("etc/trenza/trenza.yaml", "mine\n")
	d.write("var/lib/trenza/trenza.db", "mine\n")
	d.run("--install", file("1.2.4"))
	if got := d.read("etc/default/trenza"); got != "TRENZA_OPTIONS=\"--log-level debug\"\n" {
		t.Errorf("the upgrade changed a changed file: %q", got)
	}
	if !strings.Contains(d.read("var/lib/dpkg/status"), "Version: 1.2.4") {
		t.Error("the new version is not installed")
	}
	d.run("--remove", "trenza")
	for _, path := range []string{"etc/default/trenza", "etc/trenza/trenza.yaml", "var/lib/trenza/trenza.db"} {
		d.read(path)
	}
	if _, err := os.Stat(filepath.Join(d.root, "usr/bin/trenza")); err == nil {
		t.Error("the program outlives its removal")
	}
	d.run("--purge", "trenza")
	if left := d.left(); len(left) > 0 {
		t.Errorf("left behind by a purge: %v", left)
	}
}
