package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// pageFile is a file of the page.
type pageFile struct {
	data []byte
	kind string // its media type
	tag  string // hash of what it holds, hexadecimal
	// packed is the file compressed with gzip (RFC 1952), or nil when that saves nothing. It is made when it is first asked for: a
	// router whose page nobody opens does not work for it.
	packed func() []byte
}

func newPageFile(name string, data []byte) *pageFile {
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = http.DetectContentType(data)
	}
	return &pageFile{data: data, kind: kind, tag: fmt.Sprintf("%x", sha256.Sum256(data)), packed: sync.OnceValue(func() []byte {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return nil
		}
		if _, err := w.Write(data); err != nil || w.Close() != nil || b.Len() >= len(data) {
			return nil
		}
		return b.Bytes()
	})}
}

// pageFiles serves the page. Browsers ask each time whether their copy is still good: after an update of the router nobody
// must look at an old page, and the files have no dates to tell them by.
func pageFiles(files fs.FS) (echo.HandlerFunc, error) {
	known := map[string]*pageFile{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		known[name] = newPageFile(name, data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the page's files: %w", err)
	}
	return func(c echo.Context) error {
		name := strings.TrimPrefix(c.Request().URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		file, ok := known[name]
		if !ok {
			return echo.ErrNotFound
		}
		h := c.Response().Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Type", file.kind)
		h.Set("Vary", "Accept-Encoding")
		data, tag := file.data, file.tag
		if takesGzip(c.Request()) {
			if packed := file.packed(); packed != nil {
				data, tag = packed, tag+"-gzip" // another form of the file is another entity (RFC 9110, section 8.8.3)
				h.Set("Content-Encoding", "gzip")
			}
		}
		h.Set("ETag", strconv.Quote(tag))
		http.ServeContent(c.Response(), c.Request(), name, time.Time{}, bytes.NewReader(data))
		return nil
	}, nil
}

// takesGzip tells whether a client takes gzip (RFC 9110, section 12.5.3).
func takesGzip(r *http.Request) bool {
	for _, coding := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, weighed := strings.Cut(coding, ";")
		name = strings.TrimSpace(name)
		if !strings.EqualFold(name, "gzip") && name != "*" {
			continue
		}
		if !weighed {
			return true
		}
		q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
		return err == nil && q > 0
	}
	return false
}
