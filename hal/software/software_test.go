package software

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a file below root.
func write(t *testing.T, root, path, text string, mode os.FileMode) {
	t.Helper()
	to := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// TestDpkg upgrades a package with the real dpkg, in a root of the test's own; the administrator's change to a configuration file stays.
func TestDpkg(t *testing.T) {
	root, source := t.TempDir(), t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root, "var/lib/dpkg/status", "", 0o644)
	write(t, root, "var/lib/dpkg/available", "", 0o644)
	options := Options{Root: root, Dpkg: []string{"--root=" + root, "--force-not-root", "--force-script-chrootless"}}
	if _, err := Find(t.Context(), options); !errors.Is(err, ErrUnknown) {
		t.Fatalf("nothing is installed: %v", err)
	}
	pack := func(version string) string {
		write(t, source, version+"/DEBIAN/control", "Package: trenza\nVersion: "+version+"\nArchitecture: all\nMaintainer: nobody <nobody@trenza.invalid>\nDescription: a test\n", 0o644)
		write(t, source, version+"/DEBIAN/conffiles", "/etc/default/trenza\n", 0o644)
		write(t, source, version+"/etc/default/trenza", "# of "+version+"\n", 0o644)
		file := filepath.Join(source, version+".deb")
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", filepath.Join(source, version), file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return file
	}
	if out, err := exec.Command("dpkg", append(options.Dpkg, "--install", pack("1.0.0"))...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	write(t, root, "etc/default/trenza", "# mine\n", 0o644)
	m, err := Find(t.Context(), options)
	if err != nil || m.Kind != "deb" || m.Restarts {
		t.Fatalf("%+v, %v", m, err)
	}
	if want := "trenza_1.1.0_" + m.Arch + ".deb"; m.Arch == "" || m.File("1.1.0") != want {
		t.Errorf("the file is %q, not %q", m.File("1.1.0"), want)
	}
	if said, err := m.Install(t.Context(), pack("1.1.0")); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	status, err := os.ReadFile(filepath.Join(root, "var/lib/dpkg/status"))
	if err != nil || !strings.Contains(string(status), "Version: 1.1.0") {
		t.Errorf("%v:\n%s", err, status)
	}
	kept, err := os.ReadFile(filepath.Join(root, "etc/default/trenza"))
	if err != nil || string(kept) != "# mine\n" {
		t.Errorf("the administrator's file is %q, %v", kept, err)
	}
	if _, err := m.Install(t.Context(), filepath.Join(root, "var/lib/dpkg/status")); err == nil {
		t.Error("dpkg takes anything")
	}
}

// TestCard runs a program in the place of the card's own, which has tests beside it.
func TestCard(t *testing.T) {
	root := t.TempDir()
	write(t, root, "proc/cmdline", "console=tty1 trenza.slot=2 quiet\n", 0o644)
	write(t, root, slotProgram, "#!/bin/sh\necho \"$@\"\n", 0o755)
	m, err := Find(t.Context(), Options{Root: root})
	if err != nil || m.Kind != "card" || !m.Restarts || m.File("1.2.3") != "trenza_1.2.3_rpi.slot" {
		t.Fatalf("%+v, %v", m, err)
	}
	if said, err := m.Install(t.Context(), "/a file"); err != nil || said != "install /a file\ntry" {
		t.Errorf("%q, %v", said, err)
	}
}

func TestOpkg(t *testing.T) {
	root := t.TempDir()
	write(t, root, "usr/lib/opkg/info/trenza.control", "Package: trenza\nArchitecture: aarch64_cortex-a53\n", 0o644)
	m, err := Find(t.Context(), Options{Root: root})
	if err != nil || m.File("1.2.3") != "trenza_1.2.3-1_aarch64_cortex-a53.ipk" {
		t.Errorf("%+v, %v", m, err)
	}
}
