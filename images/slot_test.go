package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A selector is a first partition in a folder, for the card's own script.
type selector struct {
	t   *testing.T
	dir string
	env []string
}

func newSelector(t *testing.T) selector {
	s := selector{t: t, dir: t.TempDir()}
	for _, name := range []string{"autoboot.txt", "trial"} {
		text, err := recipes.ReadFile("rpi/boot/" + name)
		if err != nil {
			t.Fatal(err)
		}
		s.write(name, string(text))
	}
	return s
}

func (s selector) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s selector) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// slot runs the script as the system of a slot does, and returns what it printed. Restarts are printed, too.
func (s selector) slot(running, command string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "rpi/files/usr/lib/trenza/slot", command)
	cmd.Env = append(os.Environ(), append(s.env, "TRENZA_SLOT="+running, "TRENZA_SELECT="+s.dir, "TRENZA_PATIENCE=0", "TRENZA_RESTART=echo restart")...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s selector) must(running, command, want string) {
	s.t.Helper()
	out, err := s.slot(running, command)
	if err != nil || !strings.Contains(out, want) || want == "" && out != "" {
		s.t.Fatalf("slot %s in %s: %v: %q, not %q", command, running, err, out, want)
	}
}

func (s selector) expect(what, all, tryboot, trial string) {
	s.t.Helper()
	want := "[all]\ntryboot_a_b=1\nboot_partition=" + all + "\n[tryboot]\nboot_partition=" + tryboot + "\n"
	if got := s.read("autoboot.txt"); got != want {
		s.t.Errorf("%s: autoboot.txt is %q, not %q", what, got, want)
	}
	if got := s.read("trial"); got != trial+"\n" {
		s.t.Errorf("%s: the trial is %q, not %q", what, got, trial)
	}
}

func TestSlotFilesKeepTheirLength(t *testing.T) {
	s := newSelector(t)
	s.expect("a fresh card", "2", "3", "quiet 2")
}

// TestTrialByFirmware is the way of a kernel that hands "tryboot" on: the default never changes before the new system is kept.
func TestTrialByFirmware(t *testing.T) {
	s := newSelector(t)
	s.env = []string{"TRENZA_FIRMWARE=/dev/null"} // any character device
	s.must("2", "try", "restart --reboot-argument=0 tryboot")
	s.expect("asked", "2", "3", "begun 3")
	s.must("3", "health", "restart")
	s.expect("not healthy", "2", "3", "begun 3")
	s.must("2", "health", "did not become healthy")
	s.expect("back", "2", "3", "fails 3")
	s.must("2", "health", "")
	s.must("2", "status", "running 2\nfails 3\n")
}

// TestTrialWithoutFirmware is the way of Debian's kernel: the first file system of the new slot, which the test stands for, writes "begun".
func TestTrialWithoutFirmware(t *testing.T) {
	s := newSelector(t)
	s.env = []string{"TRENZA_FIRMWARE=/nonexistent"}
	s.must("2", "try", "restart\n")
	s.expect("asked", "3", "2", "asked 3")
	// Power was cut before the restart, or the first file system did not get so far and somebody chose the old slot.
	s.must("2", "health", "did not become healthy")
	s.expect("never begun", "2", "3", "fails 3")
}

// TestUnhealthyGoesBack: no router runs here, so no trial is ever healthy; a system that is not on trial is left alone.
func TestUnhealthyGoesBack(t *testing.T) {
	s := newSelector(t)
	s.must("2", "health", "")
	s.write("trial", "begun 2\n")
	s.must("2", "health", "restart")
	if out, err := s.slot("4", "status"); err == nil || !strings.Contains(out, "two slots") {
		t.Errorf("slot 4: %v, %q", err, out)
	}
	if out, err := s.slot("2", "jump"); err == nil || !strings.Contains(out, "usage") {
		t.Errorf("an unknown command: %v, %q", err, out)
	}
}

// TestScripts has a shell read every script: a mistake in one shows after half an hour of building otherwise.
func TestScripts(t *testing.T) {
	for _, name := range []string{"rpi/root.sh", "rpi/system.sh", "rpi/first/init", "rpi/files/usr/lib/trenza/slot", "rpi/files/usr/lib/trenza/firstboot",
		"rpi/files/usr/lib/trenza/console", "openwrt.sh", "container.sh"} {
		if out, err := exec.Command("sh", "-n", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
