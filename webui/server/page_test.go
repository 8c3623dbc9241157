package server

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstack/echo/v4"
)

// TestPageFiles: who takes gzip gets it, who does not gets the file as it is, and each form is known again by its own tag.
func TestPageFiles(t *testing.T) {
	const script = "export const strands = 3\n"
	text := strings.Repeat(script, 200)
	serve, err := pageFiles(fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}, "assets/a.js": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	e.GET("/*", serve)
	ask := func(path, takes, has string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if takes != "" {
			r.Header.Set("Accept-Encoding", takes)
		}
		if has != "" {
			r.Header.Set("If-None-Match", has)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w.Result()
	}
	tags := map[string]bool{}
	for _, c := range []struct {
		takes  string
		packed bool
	}{{"", false}, {"gzip, deflate, br", true}, {"br;q=1.0, gzip;q=0.5", true}, {"gzip;q=0", false}, {"identity", false}, {"*", true}} {
		got := ask("/assets/a.js", c.takes, "")
		if packed := got.Header.Get("Content-Encoding") == "gzip"; packed != c.packed {
			t.Errorf("%q: packed %v, want %v", c.takes, packed, c.packed)
			continue
		}
		body := io.Reader(got.Body)
		if c.packed {
			if body, err = gzip.NewReader(got.Body); err != nil {
				t.Fatal(err)
			}
		}
		if data, err := io.ReadAll(body); err != nil || string(data) != text {
			t.Errorf("%q: got %d bytes (%v), want the file", c.takes, len(data), err)
		}
		if got.Header.Get("Vary") != "Accept-Encoding" || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/javascript") {
			t.Errorf("%q: headers %v", c.takes, got.Header)
		}
		tag := got.Header.Get("ETag")
		tags[tag] = true
		if again := ask("/assets/a.js", c.takes, tag); again.StatusCode != http.StatusNotModified {
			t.Errorf("%q: asked again with its tag it says %s", c.takes, again.Status)
		}
	}
	if len(tags) != 2 {
		t.Errorf("the two forms have %d tags", len(tags))
	}
	// A few bytes do not become fewer.
	if got := ask("/", "gzip", ""); got.Header.Get("Content-Encoding") != "" || got.StatusCode != http.StatusOK {
		t.Errorf("a tiny file: %s, %v", got.Status, got.Header)
	}
	if got := ask("/nothing.js", "gzip", ""); got.StatusCode != http.StatusNotFound {
		t.Errorf("a file that does not exist: %s", got.Status)
	}
}
