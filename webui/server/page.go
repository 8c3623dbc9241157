package server

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// pageFiles serves the page. Browsers ask each time whether their copy is still good: after an update of the router nobody
// must look at an old page, and the files have no dates to tell them by.
func pageFiles(files fs.FS) (echo.HandlerFunc, error) {
	tags := map[string]string{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		tags[path] = fmt.Sprintf("\"%x\"", sha256.Sum256(data))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the page's files: %w", err)
	}
	server := http.FileServerFS(files)
	return func(c echo.Context) error {
		name := strings.TrimPrefix(c.Request().URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		if _, ok := tags[name]; !ok {
			return echo.ErrNotFound
		}
		h := c.Response().Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tags[name])
		server.ServeHTTP(c.Response(), c.Request())
		return nil
	}, nil
}
