package app

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// read returns the page's files by name.
func read(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Files(), name)
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	imported = regexp.MustCompile(`(?m)^(?:import|export)\s(?:[^'"\n]*\bfrom\s+)?['"]([^'"]+)['"]`)
	linked   = regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	inURL    = regexp.MustCompile(`url\(([^)]*)\)`)
)

// references lists what a file asks the browser to load.
func references(name, text string) []string {
	var out []string
	find := func(re *regexp.Regexp) {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			out = append(out, strings.Trim(m[1], `"'`))
		}
	}
	switch path.Ext(name) {
	case ".html":
		find(linked)
	case ".js":
		find(imported)
	case ".css":
		find(inURL)
	}
	return out
}

// TestEveryFileIsThereAndUsed follows the references from index.html: each leads to a file, and no file is left over.
func TestEveryFileIsThereAndUsed(t *testing.T) {
	files := read(t)
	seen := map[string]bool{}
	todo := []string{"index.html"}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		text, ok := files[name]
		if !ok {
			t.Errorf("%s is referred to and does not exist", name)
			continue
		}
		for _, ref := range references(name, text) {
			if strings.Contains(ref, ":") || strings.HasPrefix(ref, "/") {
				t.Errorf("%s refers to %q: everything the page needs lies beside it", name, ref)
				continue
			}
			todo = append(todo, path.Join(path.Dir(name), ref))
		}
	}
	for name := range files {
		if !seen[name] {
			t.Errorf("%s is served and nothing refers to it", name)
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d files were followed: the references are not found any more", len(seen))
	}
}

// TestKeepsToThePolicy looks for what the server's content security policy would refuse, and for markup made from text.
func TestKeepsToThePolicy(t *testing.T) {
	forbidden := []struct {
		ext, why string
		re       *regexp.Regexp
	}{
		{".html", "an inline script", regexp.MustCompile(`(?is)<script(?:\s[^>]*)?>\s*[^<\s]`)},
		{".html", "an inline style", regexp.MustCompile(`(?i)<style|\sstyle\s*=`)},
		{".html", "an inline handler", regexp.MustCompile(`(?i)\son\w+\s*=`)},
		{".svg", "an inline style or script", regexp.MustCompile(`(?i)<style|<script|\sstyle\s*=|\son\w+\s*=`)},
		{".js", "text parsed as markup", regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc`)},
		{".js", "text run as code", regexp.MustCompile(`\beval\(|new Function|setTimeout\(['"]|javascript:`)},
		{".js", "a style attribute", regexp.MustCompile(`\bstyle:\s|setAttribute\('style'|\.cssText`)},
		{".css", "a style from elsewhere", regexp.MustCompile(`@import`)},
	}
	outside := regexp.MustCompile(`(?i)\b(?:https?|wss?):?//[^\s"'<>)]*`)
	// Names of XML vocabularies; nothing is loaded from there.
	vocabularies := []string{"http://www.w3.org/2000/svg"}
	for name, text := range read(t) {
		for _, f := range forbidden {
			if path.Ext(name) == f.ext {
				if hit := f.re.FindString(text); hit != "" {
					t.Errorf("%s has %s: %q", name, f.why, hit)
				}
			}
		}
		for _, url := range outside.FindAllString(text, -1) {
			if !slices.Contains(vocabularies, url) {
				t.Errorf("%s names an outside address: %s", name, url)
			}
		}
	}
}

var (
	word    = regexp.MustCompile(`(?m)^ {2}'([\w.-]+)': |, '([\w.-]+)': `)
	wanted  = regexp.MustCompile(`\bt\('([\w.-]+)'(\s*\+)?`)
	ternary = regexp.MustCompile(`\bt\([^()']* \? '([\w.-]+)' : '([\w.-]+)'`)
)

// TestWords checks that every key that a view asks for has words. Keys that are put together must have a beginning that exists.
func TestWords(t *testing.T) {
	files := read(t)
	known := map[string]bool{}
	for _, m := range word.FindAllStringSubmatch(files["text.js"], -1) {
		known[m[1]+m[2]] = true
	}
	if len(known) < 100 {
		t.Fatalf("%d keys were found in text.js: the test does not read it any more", len(known))
	}
	begins := func(prefix string) bool {
		for key := range known {
			if strings.HasPrefix(key, prefix) {
				return true
			}
		}
		return false
	}
	for name, text := range files {
		if path.Ext(name) != ".js" {
			continue
		}
		for _, m := range wanted.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] && (m[2] == "" || !begins(m[1])) {
				t.Errorf("%s asks for %q, which has no words", name, m[1])
			}
		}
		for _, m := range ternary.FindAllStringSubmatch(text, -1) {
			for _, key := range m[1:] {
				if !known[key] {
					t.Errorf("%s asks for %q, which has no words", name, key)
				}
			}
		}
	}
}

// TestServed looks at the types: a browser runs a module only as JavaScript, and takes a style sheet only as CSS.
func TestServed(t *testing.T) {
	server := httptest.NewServer(http.FileServerFS(Files()))
	defer server.Close()
	for name, want := range map[string]string{"": "text/html", "main.js": "text/javascript", "trenza.css": "text/css", "icon.svg": "image/svg+xml"} {
		resp, err := http.Get(server.URL + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(got, want) {
			t.Errorf("/%s: %s as %q, want %s", name, resp.Status, got, want)
		}
	}
}
