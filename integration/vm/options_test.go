package vm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOptions(t *testing.T) {
	for text, want := range map[string]Options{
		"":                                     {Memory: 1024},
		"# nothing\n\n":                        {Memory: 1024},
		"memory 1536":                          {Memory: 1536},
		"hide sch_cake nft_queue # no\nhide a": {Memory: 1024, Hide: []string{"sch_cake", "nft_queue", "a"}},
	} {
		got, err := ParseOptions(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"memory":           "memory MIB",
		"\nmemory much":    "line 2: memory much",
		"memory 12":        "at least 256",
		"hide":             "hide MODULE",
		"hide ../../etc":   "no module's name",
		"hide a;reboot":    "no module's name",
		"cores 4":          `"cores 4"`,
		"memory 1024 2048": "memory MIB",
	} {
		if _, err := ParseOptions(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestPackageList(t *testing.T) {
	text, err := inputs.ReadFile("image/packages")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range packageList(string(text)) {
		if seen[p] || strings.ContainsAny(p, "#,") {
			t.Errorf("package %q is listed twice or is no name", p)
		}
		seen[p] = true
	}
	if !seen["nftables"] || !seen["busybox-static"] {
		t.Errorf("the list %v lacks what every guest needs", seen)
	}
}
