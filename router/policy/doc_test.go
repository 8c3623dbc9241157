package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/policy"
)

// The examples of docs/POLICY.md compile without warnings and findings; what Format makes of them is golden text.
func TestExamplesOfTheReference(t *testing.T) {
	doc, err := os.ReadFile("../../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for i, part := range strings.Split(string(doc), "```") {
		if text, ok := strings.CutPrefix(part, "yaml\n"); ok && i%2 == 1 {
			examples = append(examples, text)
		}
	}
	names := []string{"family", "office", "content", "throttle"}
	if len(examples) != len(names) {
		t.Fatalf("%d examples, want %d", len(examples), len(names))
	}
	for i, name := range names {
		p, err := policy.Parse(name, []byte(examples[i]))
		if err != nil {
			t.Fatal(err)
		}
		c, warnings, err := policy.Compile(p, policy.Known{Links: []string{"fiber", "wifi", "lte"}})
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v %v", name, warnings, err)
		}
		if findings := c.Findings(); len(findings) > 0 {
			t.Errorf("%s: %+v", name, findings)
		}
		text, err := policy.Format(p)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/"+name+".golden", string(text))
		back, err := policy.Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, back, equal()); diff != "" {
			t.Error(diff)
		}
	}
}
