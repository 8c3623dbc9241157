package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/policy"
)

// TestBadFiles compares what Parse says about each file of testdata/bad with the golden text beside it.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = policy.Parse(filepath.Base(file), data)
			if err == nil {
				t.Fatal("the file was accepted")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *updateGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run the test with -update to write it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (run with -update if it is meant):\n%s", file, diff)
	}
}

// Input that is made to exhaust the reader is refused by its shape.
func TestParseIsBounded(t *testing.T) {
	var keys, people strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&keys, "k%d: a\n", i)
		fmt.Fprintf(&people, "  k%d:\n    - {id: r%d, log: true}\n", i, i)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"flow":      {strings.Repeat("[", 1<<17), "x:1:17: the file is nested too deeply for a policy"},
		"sequences": {strings.Repeat("- ", 1<<17), "x:1:33: the file is nested too deeply for a policy"},
		"keys":      {strings.Repeat("? ", 1<<17), "x:1:33: the file is nested too deeply for a policy"},
		"anchors":   {strings.Repeat("&a ", 1<<17), "x:1:49: the file is nested too deeply for a policy"},
		"values":    {strings.Repeat("a: ", 1<<17), "x:1:122: the file is nested too deeply for a policy"},
		"wide":      {keys.String(), "x:1001:6: more than 1000 keys stand here side by side"},
		"people":    {"personal:\n" + people.String(), "x:2002:8: more than 1000 keys stand here side by side"},
		"size":      {strings.Repeat("#\n", 3<<20), "x: the file has 6291456 bytes; a policy has at most 4194304"},
	} {
		_, err := policy.Parse("x", []byte(tt.text))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}
