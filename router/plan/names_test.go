package plan

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestNoProtocolNames: the ruleset loads where /etc/protocols is missing, as in a container without netbase.
func TestNoProtocolNames(t *testing.T) {
	golden, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(golden) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range golden {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// Not every kernel has the statement, and the capability probe tells. It names no protocol.
		text = bytes.ReplaceAll(text, []byte("queue flags bypass to"), []byte("log group"))
		file := filepath.Join(t.TempDir(), "ruleset.nft")
		ruleset, _, _ := bytes.Cut(text, []byte("\n}\n")) // rules, routes and sysctls follow
		if err := os.WriteFile(file, append(ruleset, "\n}\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		// The namespaces end with the shell.
		out, err := exec.Command("unshare", "--net", "--mount", "sh", "-c",
			`[ ! -e /etc/protocols ] || mount --bind /dev/null /etc/protocols; exec nft -c -f "$0"`, file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
