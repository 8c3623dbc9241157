//go:build shipped

package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	published "github.com/trenza-router/trenza/router/release"
)

// TestShippedProgram builds the router as it is packaged: it is small, static, without the lab, and the same bytes from two places.
func TestShippedProgram(t *testing.T) {
	m := machines()[0]
	first, err := build("..", "1.2.3", m)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "elsewhere")
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(here, link); err != nil {
		t.Fatal(err)
	}
	second, err := build(link, "1.2.3", m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the same source makes two programs")
	}
	f, err := elf.NewFile(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if libs, err := f.ImportedLibraries(); err == nil && len(libs) > 0 {
		t.Errorf("the program needs %v", libs)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, first, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "version").CombinedOutput(); err != nil || string(out) != "trenza 1.2.3\n" {
		t.Errorf("version: %s, %v", out, err)
	}
	var exit *exec.ExitError
	if out, err := exec.Command(path, "lab").CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the lab is in it: %s, %v", out, err)
	}
	bill, err := billOf(first, "1.2.3", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(bill, &b); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range b.Components {
		names = append(names, c.Name)
	}
	if !slices.Contains(names, "modernc.org/sqlite") || slices.Contains(names, "github.com/quic-go/quic-go") || b.Metadata.Component.Hashes[0].Content != published.Sum(first) {
		t.Errorf("the bill of materials is not that of the program: %v", names)
	}
	// Limits of the release; the program's own is told in docs/PERFORMANCE.md.
	for kind, limit := range map[string]int{"deb": 10 << 20, "ipk": 8 << 20} {
		file, data := pack(t, testRelease("1.2.3"), kind, "amd64", first)
		t.Logf("%s: %d bytes, program %d bytes", file, len(data), len(first))
		if len(data) > limit+4<<20 {
			t.Errorf("%s has %d bytes, far more than %d", file, len(data), limit)
		}
	}
}

// uci stands for /lib/functions.sh: variables hold what config_load would have read.
const uci = `
config_get() { eval "v=\${CONFIG_$2_$3}"; [ -n "$v" ] || v=$4; eval "$1=\$v"; }
config_get_bool() { config_get "$@"; }
config_foreach() { for s in $(eval "echo \$SECTIONS_$2"); do "$1" "$s"; done; }
`

// TestOpenwrtConfiguration: what the init script makes of UCI is a configuration that the router takes, whatever is in it.
func TestOpenwrtConfiguration(t *testing.T) {
	binary, err := build("..", "1.2.3", machines()[0])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	trenza := filepath.Join(dir, "trenza")
	if err := os.WriteFile(trenza, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	script := uci + ". ./files/openwrt/configure.sh; trenza_configure"
	env := []string{"TRENZA_RUN=" + dir, "SECTIONS_lan=a", "CONFIG_a_device=br-lan", "SECTIONS_link=fiber lte none",
		"CONFIG_fiber_device=eth1", "CONFIG_fiber_ipv4=dhcp", "CONFIG_fiber_weight=70", "CONFIG_lte_device=wwan0", "CONFIG_lte_role=backup", "CONFIG_lte_metered=1"}
	file := strings.TrimSpace(ash(t, dir, env, script))
	if out, err := exec.Command(trenza, "router", "--check", "--config", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "2 links") {
		t.Errorf("the router says: %s, %v", out, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"- name: 'lte'\n    device: 'wwan0'\n    role: 'backup'\n    metered: true\n", "weight: 70\n", "- {device: 'br-lan'}\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
	// A value that tries to be more than a value stays one, and is refused as such.
	bad := append(env, "CONFIG_fiber_device=x'\nnft: /tmp/evil #")
	ash(t, dir, bad, script)
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "\nnft:") {
		t.Errorf("a value became a key:\n%s", text)
	}
	own := append(env, "CONFIG_main_config=/etc/trenza/own.yaml")
	if got := strings.TrimSpace(ash(t, dir, own, script)); got != "/etc/trenza/own.yaml" {
		t.Errorf("the user's own file is not taken: %s", got)
	}
}
