package linux

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

func TestParseRefusal(t *testing.T) {
	text := "table inet trenza {\n chain a {\n  foo bar baz\n ip saddr @nope accept\n }\n}\n"
	long := "\tset s { elements = { " + strings.Repeat("192.0.2.1, ", 1000) + "oops, 192.0.2.2 }; }"
	column := strings.Index(long, "oops") + 1
	for name, c := range map[string]struct {
		stderr, text string
		want         hal.RulesetError
	}{
		"a name that is not there": {
			"/dev/stdin:4:11-15: Error: No such file or directory\n ip saddr @nope accept\n          ^^^^^\n", text,
			hal.RulesetError{Line: 4, Text: "ip saddr @nope accept", Message: `No such file or directory (at "@nope")`},
		},
		"the first of two": {
			"/dev/stdin:3:14-14: Error: syntax error, unexpected newline\n  foo bar baz\n             ^\n/dev/stdin:4:11-15: Error: other\n", text,
			hal.RulesetError{Line: 3, Text: "foo bar baz", Message: "syntax error, unexpected newline"},
		},
		"the end of the text": {
			"/dev/stdin:7:1-1: Error: syntax error, unexpected end of file\n", text,
			hal.RulesetError{Line: 7, Message: "syntax error, unexpected end of file"},
		},
		"no place": {
			"Error: Could not process rule: Message too long\n", text, hal.RulesetError{Message: "Could not process rule: Message too long"},
		},
		"a place that is not in the text": {
			"internal:0:0-0: Error: Could not process rule\n", text, hal.RulesetError{Message: "Could not process rule"},
		},
		"a warning before it": {
			"/dev/stdin:1:1-2: Warning: old\nnetlink: Error: cache is stale\n", text, hal.RulesetError{Message: "cache is stale"},
		},
		"nothing like an error": {"Killed\n", text, hal.RulesetError{Message: "Killed"}},
		"nothing":               {"", text, hal.RulesetError{}},
		"a line of many elements": {
			fmt.Sprintf("/dev/stdin:1:%d-%d: Error: Could not resolve hostname\n", column, column+3), long,
			hal.RulesetError{Line: 1, Message: `Could not resolve hostname (at "oops")`, Text: clip(long, column-1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseRefusal(c.stderr, c.text)
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Error(diff)
			}
			if len(got.Text) > excerpt+10 || c.text == long && !strings.Contains(got.Text, "oops") {
				t.Errorf("the excerpt %q does not show the place", got.Text)
			}
		})
	}
}

func FuzzParseRefusal(f *testing.F) {
	f.Add("/dev/stdin:4:11-15: Error: No such file or directory\n", "a\nb\nc\nd @nope e\n")
	f.Add("/dev/stdin:-1:0--5: Error: x", "")
	f.Add("/dev/stdin:1:9223372036854775807-9223372036854775807: Error: x", "é")
	f.Add("Error: ", strings.Repeat("ü", 300))
	f.Fuzz(func(t *testing.T, stderr, text string) {
		e := parseRefusal(stderr, text)
		if len(e.Text) > excerpt+10 || len(e.Message) > 2*excerpt+excerpt*4 {
			t.Errorf("not bounded: %d bytes of text, %d of message", len(e.Text), len(e.Message))
		}
		if e.Line < 0 || e.Line > 1+strings.Count(text, "\n") {
			t.Errorf("line %d of a text of %d", e.Line, 1+strings.Count(text, "\n"))
		}
		_ = denied(stderr)
	})
}

func TestMissingNft(t *testing.T) {
	for _, path := range []string{"trenza-no-such-nft", "/nonexistent/nft"} {
		m, err := New(Options{Nft: path})
		if err != nil {
			t.Fatal(err)
		}
		err = m.Load(t.Context(), "flush ruleset\n")
		if !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(fmt.Sprint(err), "install nftables") {
			t.Errorf("nft at %s: %v", path, err)
		}
	}
}

// Two texts that mean the same must hash the same although nft names their anonymous sets and chains otherwise.
func TestFingerprintOfAnonymousObjects(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		body := `
		udp dport { 53, 123 } accept
		tcp dport { 80, 443 } ip saddr vmap { 192.0.2.1 : accept, 192.0.2.2 : jump other }
		meta mark set ip daddr map { 192.0.2.1 : 0x1, 192.0.2.2 : 0x2 }
		ip daddr 192.0.2.9 jump {
			counter packets 5 bytes 500 accept
		}
		quota over 10 mbytes used 1 mbytes drop
		limit rate 3/second accept
	`
		text := func(body string) string {
			return "add table inet trenza\ndelete table inet trenza\ntable inet trenza {\n\tchain other {\n\t}\n\tchain c {\n\t\ttype filter hook input priority 0; policy accept;" +
				body + "}\n\tmap classes {\n\t\ttype mark : verdict\n\t\telements = { 0x1 : jump other, 0x2 : accept }\n\t}\n\tset nets {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { 10.0.0.0/8 }\n\t}\n}\n"
		}
		print := func(text string) string {
			t.Helper()
			if err := m.Load(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			s, err := m.Fingerprint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := print(text(body))
		// In one transaction the new names cannot be those of the objects that are on their way out.
		if again := print(text(body)); again != first {
			t.Error("the same text, loaded again, has another fingerprint")
		}
		counted := strings.NewReplacer("packets 5 bytes 500", "packets 6 bytes 600", "used 1 mbytes", "used 2 mbytes").Replace(body)
		if again := print(text(counted)); again != first {
			t.Error("counts changed the fingerprint")
		}
		for _, change := range [][2]string{
			{"{ 80, 443 }", "{ 80, 444 }"}, {"192.0.2.2 : jump other", "192.0.2.2 : goto other"},
			{"192.0.2.2 : 0x2", "192.0.2.2 : 0x3"}, {"bytes 500 accept", "bytes 500 drop"},
			{"10 mbytes", "11 mbytes"}, {"3/second", "4/second"}, {"53, 123", "53"},
		} {
			changed := strings.Replace(body, change[0], change[1], 1)
			if changed == body {
				t.Fatalf("%q is not in the text", change[0])
			}
			if print(text(changed)) == first {
				t.Errorf("%q instead of %q did not change the fingerprint", change[1], change[0])
			}
		}
		if print(strings.Replace(text(body), "10.0.0.0/8", "10.0.0.0/9", 1)) == first {
			t.Error("another range did not change the fingerprint")
		}
		if print(strings.Replace(text(body), "0x2 : accept", "0x2 : drop", 1)) == first {
			t.Error("another verdict in a map did not change the fingerprint")
		}
		// The same chains, in another table or family, are not ours.
		before := print(text(body))
		run(t, "nft add table ip other")
		run(t, "nft add chain ip other c")
		if after, err := m.Fingerprint(t.Context()); err != nil || after != before {
			t.Error("another program's table changed the fingerprint", err)
		}
	})
}

// A table of 5,000 rules and as many elements in one is read in one pass: what is allocated does not grow with either.
func TestFingerprintOfLargeTable(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		const n = 5000
		m := newMachine(t)
		var rules, elements strings.Builder
		for i := range n {
			fmt.Fprintf(&elements, "10.0.%d.%d : accept, ", i>>8, i&255)
			fmt.Fprintf(&rules, "ip saddr 10.1.%d.%d tcp dport %d counter meta mark set %#x comment \"rule %d\"\n", i>>8, i&255, i+1, i, i)
		}
		load(t, m, "table inet trenza {\nchain c {\nip daddr vmap { "+elements.String()+"}\n"+rules.String()+"}\n}\n")
		print := func() string {
			s, err := m.Fingerprint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := print()
		if n := testing.AllocsPerRun(3, func() { print() }); n > 1000 {
			t.Errorf("%.0f allocations", n)
		}
		run(t, "nft add rule inet trenza c drop")
		if print() == first {
			t.Error("one more rule did not change the fingerprint")
		}
	})
}
