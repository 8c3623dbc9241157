package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goodConfig = "lan: [{device: lan0}]\nlinks: [{name: fiber, device: wan1}]\n"

// in writes a file into the test's directory and returns its path.
func in(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCommandLines runs whole command lines: what is printed where, and the exit code that scripts rely on.
func TestCommandLines(t *testing.T) {
	dir := t.TempDir()
	good := in(t, dir, "good.yaml", goodConfig)
	bad := in(t, dir, "bad.yaml", goodConfig+"log_level: loud\n")
	policyA := in(t, dir, "a-policy.yaml", "devices: [{id: tv, name: TV, macs: [\"02:00:00:00:00:02\"]}]\n")
	policyB := in(t, dir, "b-policy.yaml", "devices: [{id: tv, name: Television, macs: [\"02:00:00:00:00:02\"]}]\n")
	broken := in(t, dir, "broken-policy.yaml", "devices: [{id: tv, colour: red}]\n")
	missing := filepath.Join(dir, "none")
	plain := in(t, dir, "plain", "")
	tests := []struct {
		args string
		code int
		out  string // part of standard output
		err  string // part of standard error; a failure says one thing
	}{
		{"version", exitDone, "trenza dev", ""},
		{"version --json", exitDone, `"version": "dev"`, ""},
		{"--help", exitDone, "router", ""},
		{"", exitDone, "Usage: trenza", ""},
		{"nonsense", exitUsage, "", "unexpected argument nonsense"},
		{"--nope", exitUsage, "", "unknown flag --nope"},
		{"why laptop", exitUsage, "", "expected"},
		{"router --check --config " + good, exitDone, "is good: 1 links", ""},
		{"router --check --json --config " + good, exitDone, `"Links"`, ""},
		{"router --check --config " + bad, exitUsage, "", "bad.yaml:3:12: log_level \"loud\": use debug, info, warn or error"},
		{"router --check --config " + missing, exitUsage, "", "start with the commented example of docs/CONFIG.md"},
		{"router --check --config " + good + " --web nonsense", exitUsage, "", "web: listen \"nonsense\""},
		{"router --check --config " + good + " --log-level loud", exitUsage, "", "log_level \"loud\""},
		{"router --config " + good + " --state " + plain, exitFailed, "", "making the directory of the database"},
		{"policy check " + policyA, exitDone, "is good: 0 house rules, 0 personal rules", ""},
		{"policy check --json " + policyA, exitDone, `"problems": []`, ""},
		{"policy check " + broken, exitNo, "", "broken-policy.yaml:1:"},
		{"policy check " + missing, exitUsage, "", "no such file"},
		{"policy diff " + policyA + " " + policyA, exitDone, "No difference.", ""},
		{"policy diff " + policyB + " " + policyA, exitDone, "TV -> Television", ""},
		{"policy diff - -", exitUsage, "", "only one of the policies"},
		{"policy diff " + broken + " " + policyA, exitNo, "", "colour"},
		{"policy show --socket " + missing, exitNoRouter, "", "no router runs here"},
		{"policy export --socket " + missing + " " + filepath.Join(dir, "export"), exitNoRouter, "", "no router runs here"},
		{"policy import --socket " + missing + " " + policyA, exitNoRouter, "", "no router runs here"},
		{"status --socket " + missing, exitNoRouter, "", "no router runs here"},
		{"status --socket " + plain, exitNoRouter, "", "the router does not answer"},
		{"why --socket " + missing + " tv example.org", exitNoRouter, "", "no router runs here"},
		{"doctor --nft " + missing, exitNo, "MISSING", ""},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.args, dir, ""), func(t *testing.T) {
			var out, errOut bytes.Buffer
			code := run(strings.Fields(tt.args), &out, &errOut)
			if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errOut.String(), tt.err) {
				t.Errorf("exit %d, want %d\nstandard output (want %q):\n%s\nstandard error (want %q):\n%s",
					code, tt.code, tt.out, out.String(), tt.err, errOut.String())
			}
			if tt.err != "" && strings.Count(strings.TrimSpace(errOut.String()), "\n") > 0 {
				t.Errorf("more than one line:\n%s", errOut.String())
			}
			if tt.err == "" && errOut.Len() > 0 {
				t.Errorf("something on standard error:\n%s", errOut.String())
			}
			if strings.Contains(tt.args, "--json") && !json.Valid(out.Bytes()) {
				t.Errorf("not JSON:\n%s", out.String())
			}
		})
	}
}

// A file that exists is not replaced when there is nothing to write.
func TestExportKeepsTheFile(t *testing.T) {
	dir := t.TempDir()
	path := in(t, dir, "mine.yaml", "mine")
	var out, errOut bytes.Buffer
	run([]string{"policy", "export", "--socket", filepath.Join(dir, "none"), path}, &out, &errOut)
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file is %q now, %v", text, err)
	}
}
