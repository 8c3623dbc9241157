package domainlist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trenza-router/trenza/router/flow"
)

// say is a list as short text: domains, "!" and exceptions, "~" and what was skipped.
func say(l List) []string {
	var out []string
	for _, d := range l.Domains {
		out = append(out, mark(d))
	}
	for _, d := range l.Except {
		out = append(out, "!"+mark(d))
	}
	for _, s := range l.Skipped {
		out = append(out, fmt.Sprintf("~%d %s from %s:%d", s.Count, s.What, s.File, s.Line))
	}
	for _, p := range l.Problems {
		out = append(out, p.Error())
	}
	return out
}

func mark(d Domain) string {
	if d.Exact {
		return "=" + d.Name
	}
	return d.Name
}

// open serves files from a map.
func open(files map[string]string) func(string) (io.ReadCloser, error) {
	return func(name string) (io.ReadCloser, error) {
		text, ok := files[name]
		if !ok {
			return nil, fmt.Errorf("list %q: %w", name, fs.ErrNotExist)
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}
}

func TestHosts(t *testing.T) {
	l, err := ParseHosts("h", strings.NewReader("\ufeff# a list\n127.0.0.1 localhost\n::1 ip6-localhost\n0.0.0.0 0.0.0.0\r\n"+
		"0.0.0.0 Ads.Example.com tracker.example.net # two\n0.0.0.0 ads.example.com\n\n192.168.1.5 nas.example.org\n:: v6.example.com\n"+
		"nonsense\n0.0.0.0\n0.0.0.0 not/a/name\n0.0.0.0 анализ.рф\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"=ads.example.com", "=tracker.example.net", "=v6.example.com", "=" + mustASCII(t, "анализ.рф"),
		"~2 names of the machine itself, such as localhost from h:2", "~1 addresses instead of names from h:4", "~1 names that are given a real address from h:8",
		`h:10: "nonsense" is not an address: a line is an address and names`, "h:11: no name follows the address 0.0.0.0", `h:12: "not/a/name" is not a host name`,
	}
	if diff := cmp.Diff(want, say(l)); diff != "" {
		t.Error(diff)
	}
	if l.Wrong != 3 {
		t.Errorf("%d wrong lines", l.Wrong)
	}
}

func mustASCII(t *testing.T, name string) string {
	t.Helper()
	s, ok := clean(name)
	if !ok || !strings.HasPrefix(s, "xn--") {
		t.Fatalf("clean(%q) = %q, %v", name, s, ok)
	}
	return s
}

func TestAdblock(t *testing.T) {
	l, err := ParseAdblock("a", strings.NewReader(`[Adblock Plus 2.0]
! Title: a list
# a comment, too
||ads.example.com^
||sub.ads.example.com^
|only.example.com^
||metrics.example.net^$important
@@||good.ads.example.com^
@@||fine.example.net^|
||third.example.com^$third-party
example.com##.banner
example.com#@#.banner
/banner\d+/
||example.com/ads/
||*.wild.example.com^
||open.example.com
-banner-
||192.0.2.1^
||com^
0.0.0.0 hosts.example.com
||no_good!name^
||
|http://example.com/
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ads.example.com", "=hosts.example.com", "metrics.example.net", "=only.example.com", "!fine.example.net", "!good.ads.example.com",
		"~1 rules with conditions from a:10", "~2 changes to pages from a:11", "~1 regular expressions from a:13",
		"~2 rules about paths and addresses of pages from a:14", "~1 patterns with wildcards from a:15", "~2 parts of addresses of pages from a:16",
		"~1 addresses instead of names from a:18", "~1 whole top-level domains from a:19",
		`a:21: "no_good!name" is not a host name`, `a:22: "||" is not a rule`,
	}
	if diff := cmp.Diff(want, say(l)); diff != "" {
		t.Error(diff)
	}
}

func TestCommunity(t *testing.T) {
	files := map[string]string{
		"google":      "# Google\ninclude:youtube\ninclude:google-ads @ads\ninclude:google-more @-cn\ndomain:google.com @cn # with an attribute\nfull:www.google.es\nkeyword:google\nregexp:^g.*\ngoogle.org &other @a @b\n",
		"youtube":     "youtube.com\nyoutu.be\nytimg.com @cn\n",
		"google-ads":  "doubleclick.net @ads\nnot-ads.example.com\n",
		"google-more": "a.more.example @cn\nb.more.example\n",
	}
	l, err := ParseCommunity("google", open(files), Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"b.more.example", "doubleclick.net", "google.com", "google.org", "=www.google.es", "youtu.be", "youtube.com", "ytimg.com",
		"~1 keywords from google:7", "~1 regular expressions from google:8"}
	if diff := cmp.Diff(want, say(l)); diff != "" {
		t.Error(diff)
	}
	l, err = ParseCommunity("google", open(files), Attributes{With: []string{"cn"}})
	if diff := cmp.Diff([]string{"google.com", "ytimg.com"}, say(l)); err != nil || diff != "" {
		t.Error(diff, err)
	}
	l, err = ParseCommunity("google", open(files), Attributes{With: []string{"a"}, Without: []string{"b"}})
	if err != nil || len(l.Domains) != 0 {
		t.Error(l, err)
	}
}

func TestCommunityMistakes(t *testing.T) {
	l, err := ParseCommunity("a", open(map[string]string{
		"a": "include:b\ninclude:none\ninclude:../etc/passwd\ndomain:no name\nmaybe:example.com\nfull:not/a/name\ncom\nexample.com ads\n",
		"b": "x.example\ninclude:a\n",
	}), Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"x.example", "~1 whole top-level domains from a:7",
		"b:2: include: a includes itself, by way of a, b",
		`a:2: include: list "none": file does not exist`,
		`a:3: include: "../etc/passwd" is not the name of a list`,
		`a:4: "name": after a rule there are only attributes such as @ads`,
		`a:5: "maybe:example.com": a rule begins with domain:, full:, keyword:, regexp: or include:`,
		`a:6: "not/a/name" is not a host name`,
		`a:8: "ads": after a rule there are only attributes such as @ads`,
	}
	if diff := cmp.Diff(want, say(l)); diff != "" {
		t.Error(diff)
	}
	if _, err := ParseCommunity("none", open(nil), Attributes{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a list that is not there: %v", err)
	}
}

func TestEffective(t *testing.T) {
	l, err := ParseAdblock("a", strings.NewReader("||a.example^\n||b.example^\n|c.example^\n||x.d.example^\n@@||b.example^\n@@|c.example^\n@@||d.example^\n@@||ok.a.example^\n@@||elsewhere.example^\n"))
	if err != nil {
		t.Fatal(err)
	}
	domains, lost := l.Effective()
	if diff := cmp.Diff([][]Domain{{{"a.example", false}}, {{"ok.a.example", false}}}, [][]Domain{domains, lost}); diff != "" {
		t.Error(diff)
	}
}

// TestBounds: what is too much is refused or told, never read into memory.
func TestBounds(t *testing.T) {
	l, err := ParseHosts("h", strings.NewReader("0.0.0.0 a.example\n"+strings.Repeat("x", maxLine+10)+"\n0.0.0.0 b.example"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"=a.example", "=b.example", fmt.Sprintf("h:2: the line has more than %d bytes", maxLine)}
	if diff := cmp.Diff(want, say(l)); diff != "" {
		t.Error(diff)
	}
	l, err = ParseHosts("h", strings.NewReader(strings.Repeat("bad\n", 10*maxProblems)))
	if err != nil || l.Wrong != 10*maxProblems || len(l.Problems) != maxProblems {
		t.Errorf("%d wrong lines, %d told, %v", l.Wrong, len(l.Problems), err)
	}
	if _, err := ParseAdblock("endless", &endless{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a text without an end: %v", err)
	}
	if _, err := ParseHosts("broken", io.MultiReader(strings.NewReader("0.0.0.0 a.example\n"), broken{})); err == nil {
		t.Error("a text that breaks off was taken as whole")
	}
	deep := map[string]string{}
	for i := range maxDepth + 5 {
		deep[fmt.Sprintf("l%d", i)] = fmt.Sprintf("d%d.example\ninclude:l%d\n", i, i+1)
	}
	if l, err := ParseCommunity("l0", open(deep), Attributes{}); err != nil || len(l.Domains) != maxDepth || l.Wrong != 1 {
		t.Errorf("%d domains, %v, %v", len(l.Domains), l.Problems, err)
	}
}

// endless is one line without an end.
type endless struct{}

func (*endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// checkList is what holds for every list.
func checkList(t *testing.T, l List, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]Domain{l.Domains, l.Except} {
		for i, d := range list {
			if host, ok := flow.CleanHost(d.Name); !ok || host != d.Name || !strings.Contains(host, ".") {
				t.Fatalf("%q is not a domain", d.Name)
			}
			if i > 0 && list[i-1].Name >= d.Name {
				t.Fatalf("%q follows %q", d.Name, list[i-1].Name)
			}
		}
	}
	if len(l.Problems) > maxProblems || l.Wrong < len(l.Problems) {
		t.Fatalf("%d wrong, %d told", l.Wrong, len(l.Problems))
	}
	l.Effective()
}

func FuzzHosts(f *testing.F) {
	f.Add("0.0.0.0 a.example b.example # c\n::1 localhost\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseHosts("f", strings.NewReader(text))
		checkList(t, l, err)
	})
}

func FuzzAdblock(f *testing.F) {
	f.Add("||a.example^$important\n@@|b.a.example^|\na.example##x\n/x/\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseAdblock("f", strings.NewReader(text))
		checkList(t, l, err)
	})
}

func FuzzCommunity(f *testing.F) {
	f.Add("include:b @x @-y\ndomain:a.example @x\n", "full:b.example &a\ninclude:a\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		l, err := ParseCommunity("a", open(map[string]string{"a": a, "b": b}), Attributes{Without: []string{"no"}})
		checkList(t, l, err)
	})
}
