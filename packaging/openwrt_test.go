package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ash runs a script with the shell of OpenWrt. Programs in path come first.
func ash(t *testing.T, path string, env []string, script string, args ...string) string {
	t.Helper()
	cmd := exec.Command("busybox", append([]string{"ash", "-e", "-c", script, "ash"}, args...)...)
	cmd.Env = append([]string{"PATH=" + path + ":" + os.Getenv("PATH")}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestOpenwrtScripts runs the control scripts with programs that only write down how they were called.
func TestOpenwrtScripts(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	for _, script := range []string{"postinst", "prerm"} {
		text, err := shipped.ReadFile("files/openwrt/" + script)
		if err != nil {
			t.Fatal(err)
		}
		// The same script in a root of the test's own.
		moved := strings.NewReplacer("/etc/", dir+"/etc/", "/usr/bin/", dir+"/usr/bin/").Replace(string(text))
		if err := os.WriteFile(filepath.Join(dir, script), []byte(moved), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"etc/init.d/trenza", "etc/uci-defaults/95-trenza", "usr/bin/trenza"} {
		path := filepath.Join(dir, program)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho ${0##*/} $* >>"+log+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	said := func() string {
		data, _ := os.ReadFile(log)
		os.Remove(log)
		return string(data)
	}
	for _, tt := range []struct {
		script, arg, env, want string
	}{
		{"postinst", "", "IPKG_INSTROOT=/image", ""},
		{"prerm", "", "IPKG_INSTROOT=/image", ""},
		{"postinst", "", "", "95-trenza\ntrenza enable\ntrenza running\ntrenza restart\n"},
		{"postinst", "", "", "trenza enable\ntrenza running\ntrenza restart\n"}, // the defaults ran once
		{"prerm", "upgrade", "", ""},
		{"prerm", "", "", "trenza stop\ntrenza disable\ntrenza router --cleanup\n"},
	} {
		ash(t, dir, []string{tt.env}, `exec busybox ash "$@"`, filepath.Join(dir, tt.script), tt.arg)
		if got := said(); got != tt.want {
			t.Errorf("%s %s with %q calls\n%swant\n%s", tt.script, tt.arg, tt.env, got, tt.want)
		}
	}
}

// TestShellSyntax: every script that is shipped is one for the shell that will run it.
func TestShellSyntax(t *testing.T) {
	for _, script := range []string{"openwrt/postinst", "openwrt/prerm", "openwrt/uci-defaults", "openwrt/hotplug", "openwrt/trenza.init", "openwrt/configure.sh",
		"debian/postinst", "debian/prerm", "debian/postrm"} {
		if out, err := exec.Command("busybox", "ash", "-n", filepath.Join("files", script)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}

// TestForwardRules: what fw4 includes is a part of a chain, as the kernel's own compiler reads it.
func TestForwardRules(t *testing.T) {
	text, err := shipped.ReadFile("files/openwrt/forward.nft")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fw4.nft")
	ruleset := "table inet fw4 {\n chain forward {\n  type filter hook forward priority filter; policy drop;\n" + string(text) + " }\n}\n"
	if err := os.WriteFile(path, []byte(ruleset), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("nft", "--check", "--file", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestUCIDefaults: LAN and WAN of the box become sections, once, and the router stays off.
func TestUCIDefaults(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	fake := "#!/bin/sh\n[ \"$1\" = -q ] && shift\ncase \"$1 $2\" in\n\"get network.lan.device\") echo br-lan ;;\n\"get network.wan.device\") echo eth1 ;;\nget*) exit 1 ;;\n*) echo \"$*\" >>" + log + " ;;\nesac\n"
	if err := os.WriteFile(filepath.Join(dir, "uci"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	ash(t, dir, nil, `exec busybox ash files/openwrt/uci-defaults`)
	got, err := os.ReadFile(log)
	want := "add trenza lan\nset trenza.@lan[-1].device=br-lan\nset trenza.wan=link\nset trenza.wan.device=eth1\ncommit trenza\n"
	if err != nil || string(got) != want {
		t.Errorf("%v, uci is told\n%swant\n%s", err, got, want)
	}
}
