package policy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
)

// FuzzParse: no input makes Parse panic; what it accepts compiles, and formats to a text that means the same and
// formats to itself.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.Parse("fuzz.yaml", data)
		if err != nil {
			return
		}
		if _, _, err := policy.Compile(p, policy.Known{}); err != nil {
			t.Fatalf("Parse accepts what Compile refuses: %v", err)
		}
		text, err := policy.Format(p)
		if err != nil {
			t.Fatalf("Parse accepts what Format refuses: %v", err)
		}
		back, err := policy.Parse("again.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(p, back, equal()); diff != "" {
			t.Fatalf("the policy changed:\n%s\n%s", diff, text)
		}
		again, err := policy.Format(back)
		if err != nil || !bytes.Equal(text, again) {
			t.Fatalf("the text changed (%v):\n%s", err, cmp.Diff(string(text), string(again)))
		}
	})
}

// seeds adds the test files and a few drawn policies.
func seeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for seed := range 8 {
		text, err := policy.Format(policytest.Policy(6, 6).Example(seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("- - - - -\n? ? ? :\n&a *a !!b |\n"))
	f.Add([]byte("house: [{id: a, force: must, log: true, name: \"\\u00e9\"}]"))
}

// The property tests draw from all rules; this one makes sure that what they draw is not all of one kind. It draws until it has seen everything,
// always the same: what is rare must not be a matter of luck.
func TestGeneratorsReachEveryOutcome(t *testing.T) {
	type kind struct {
		policy.Outcome
		policy.Aspect
	}
	missing := map[kind]bool{}
	for _, o := range []policy.Outcome{policy.Decided, policy.Limited, policy.Clamped, policy.Overruled, policy.NoEffect} {
		for _, a := range []policy.Aspect{policy.AspectSteer, policy.AspectQoS, policy.AspectFilter} {
			missing[kind{o, a}] = true
		}
	}
	for seed := 0; seed < 2000 && len(missing) > 0; seed++ {
		c := mustCompile(t, policytest.Policy(10, 8).Example(seed))
		for n := range 10 {
			for _, r := range c.Decide(policytest.Query(c).Example(10*seed + n)).Reasons {
				delete(missing, kind{r.Outcome, r.Aspect})
			}
		}
	}
	for k := range missing {
		t.Errorf("no policy drawn has the outcome %s for %s", k.Outcome, k.Aspect)
	}
}
