package cli

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal/haltest"
)

func shell(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// TestStartsThatFail starts the router where it cannot run: one line says what to do, and the kernel is as it was.
func TestStartsThatFail(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		for _, name := range []string{"lan0", "wan1"} {
			shell(t, "ip link add "+name+" type veth peer name far-"+name)
			shell(t, "ip link set "+name+" up")
		}
		kernel := func() string {
			return shell(t, "ip rule") + shell(t, "ip route show table all type unicast") + shell(t, "nft list ruleset")
		}
		for _, tt := range []struct {
			name, flags string
			before      []string
			after       []string
			err         []string
		}{
			{"nft missing", "--nft /nonexistent", nil, nil, []string{`there is no program "/nonexistent"`, "install nftables", "trenza doctor"}},
			{"mwan3", "", []string{"ip rule add pref 2001 fwmark 0x100/0x3f00 lookup 1"}, []string{"ip rule del pref 2001"}, []string{"mwan3", "2001: from all fwmark 0x100/0x3f00", "To do: stop it"}},
			{"pbr", "", []string{"ip rule add pref 2001 fwmark 0x10000/0xff0000 lookup 1"}, []string{"ip rule del pref 2001"}, []string{"pbr", "To do: stop it"}},
			{"bad first policy", "--policy POLICY", nil, nil, []string{"reading the first policy", "policy.yaml:1:", "nonsense"}},
		} {
			dir := t.TempDir()
			config := in(t, dir, "trenza.yaml", goodConfig)
			in(t, dir, "policy.yaml", "nonsense: 5\n")
			for _, line := range tt.before {
				shell(t, line)
			}
			before := kernel()
			args := append([]string{"router", "--config", config, "--state", filepath.Join(dir, "state"), "--run", filepath.Join(dir, "run"), "--log-level", "error"},
				strings.Fields(strings.ReplaceAll(tt.flags, "POLICY", filepath.Join(dir, "policy.yaml")))...)
			var out, errOut bytes.Buffer
			if code := run(args, &out, &errOut); code != exitFailed {
				t.Errorf("%s: exit %d, want %d", tt.name, code, exitFailed)
			}
			for _, part := range tt.err {
				if !strings.Contains(errOut.String(), part) {
					t.Errorf("%s: no %q in:\n%s", tt.name, part, errOut.String())
				}
			}
			if strings.Count(strings.TrimSpace(errOut.String()), "\n") > 0 {
				t.Errorf("%s: more than one line:\n%s", tt.name, errOut.String())
			}
			if after := kernel(); after != before {
				t.Errorf("%s: the kernel's state was\n%s\nand is\n%s", tt.name, before, after)
			}
			for _, line := range tt.after {
				shell(t, line)
			}
		}
	})
}
