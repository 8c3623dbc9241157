package app

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
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
	linked = regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	// Static and dynamic imports of built modules, and the list of what the loader fetches beside them.
	imported = regexp.MustCompile("(?:from|import)\\s*\\(?\\s*[\"'`]([^\"'`]+\\.js)[\"'`]")
	static   = regexp.MustCompile(`(?:from|import)\s*["']([^"']+\.js)["']`)
	preload  = regexp.MustCompile(`"(assets/[^"]+)"`)
	inURL    = regexp.MustCompile(`url\(([^)]*)\)`)
)

// references lists what a file asks the browser to load, as paths from the root.
func references(name, text string) []string {
	var out []string
	add := func(re *regexp.Regexp, from string) {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			ref := strings.Trim(m[1], `"'`)
			switch {
			case strings.HasPrefix(ref, "#"):
			case strings.HasPrefix(ref, "/"):
				out = append(out, strings.TrimPrefix(ref, "/"))
			default:
				out = append(out, path.Join(from, ref))
			}
		}
	}
	switch path.Ext(name) {
	case ".html":
		add(linked, "")
	case ".js":
		add(imported, path.Dir(name))
		add(preload, "")
	case ".css":
		add(inURL, path.Dir(name))
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
		todo = append(todo, references(name, text)...)
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

// firstLoad is how much a first visit may fetch before Home works, compressed.
const firstLoad = 90 << 10

// TestFirstLoad adds up what a first visit fetches: the document, what it names, what those import before they run, and the largest of the languages.
func TestFirstLoad(t *testing.T) {
	files := read(t)
	size := func(name string) int {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Len()
	}
	total, seen := 0, map[string]bool{}
	todo := []string{"index.html"}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		total += size(name)
		text := files[name]
		if path.Ext(name) == ".html" {
			todo = append(todo, references(name, text)...)
		}
		if path.Ext(name) == ".js" {
			for _, m := range static.FindAllStringSubmatch(text, -1) {
				todo = append(todo, path.Join(path.Dir(name), m[1]))
			}
		}
	}
	language := 0
	for name := range files {
		if base := path.Base(name); strings.HasPrefix(base, "en-") || strings.HasPrefix(base, "es-") || strings.HasPrefix(base, "zh-") {
			language = max(language, size(name))
		}
	}
	if language == 0 || len(seen) < 4 {
		t.Fatalf("followed %v and a language of %d bytes: the files are not found any more", seen, language)
	}
	total += language
	t.Logf("a first visit fetches %d bytes", total)
	if total > firstLoad {
		t.Errorf("a first visit fetches %d bytes, more than %d", total, firstLoad)
	}
}

// TestKeepsToThePolicy looks for what the server's content security policy would refuse, and for addresses elsewhere.
func TestKeepsToThePolicy(t *testing.T) {
	forbidden := []struct {
		ext, why string
		re       *regexp.Regexp
	}{
		{".html", "an inline script", regexp.MustCompile(`(?is)<script(?:\s[^>]*)?>\s*[^<\s]`)},
		{".html", "an inline style", regexp.MustCompile(`(?i)<style|\sstyle\s*=`)},
		{".html", "an inline handler", regexp.MustCompile(`(?i)\son\w+\s*=`)},
		{".svg", "an inline style or script", regexp.MustCompile(`(?i)<style|<script|\sstyle\s*=|\son\w+\s*=`)},
		{".js", "a style attribute in a template", regexp.MustCompile("<[a-z]+ [^>`]*\\sstyle=")},
		{".js", "text run as code", regexp.MustCompile(`\beval\(|new Function\(|setTimeout\(['"]|javascript:`)},
		{".css", "a style from elsewhere", regexp.MustCompile(`@import`)},
	}
	outside := regexp.MustCompile("(?i)\\b(?:https?|wss?):?//[^\\s\"'`<>)]*")
	// Names of XML vocabularies, and where a message of the framework sends its developers; nothing is loaded from there.
	names := []string{"http://www.w3.org/", "https://svelte.dev/e/"}
	for name, text := range read(t) {
		for _, f := range forbidden {
			if path.Ext(name) == f.ext {
				if hit := f.re.FindString(text); hit != "" {
					t.Errorf("%s has %s: %q", name, f.why, hit)
				}
			}
		}
		for _, url := range outside.FindAllString(text, -1) {
			if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(url, n) }) {
				t.Errorf("%s names an outside address: %s", name, url)
			}
		}
	}
}

// TestNoMarkupFromText looks at the sources: text of the network must never be read as markup.
func TestNoMarkupFromText(t *testing.T) {
	markup := regexp.MustCompile(`\{@html|innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc`)
	seen := 0
	err := fs.WalkDir(os.DirFS("src"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path.Join("src", name))
		seen++
		if hit := markup.Find(data); hit != nil {
			t.Errorf("%s makes markup of text: %s", name, hit)
		}
		return err
	})
	if err != nil || seen < 20 {
		t.Errorf("%d sources were read: %v", seen, err)
	}
}

// TestServed looks at the types: a browser runs a module only as JavaScript, and takes a style sheet only as CSS.
func TestServed(t *testing.T) {
	server := httptest.NewServer(http.FileServerFS(Files()))
	defer server.Close()
	wants := map[string]string{".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
	for name := range read(t) {
		at := "/" + name
		if name == "index.html" {
			at = "/"
		}
		resp, err := http.Get(server.URL + at)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(got, wants[path.Ext(name)]) {
			t.Errorf("%s: %s as %q, want %s", at, resp.Status, got, wants[path.Ext(name)])
		}
	}
}
