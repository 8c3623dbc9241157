package app

import (
	"embed"
	"io/fs"
)

//go:embed index.html icon.svg trenza.css *.js
var files embed.FS

// Files is the page; index.html is at its root.
func Files() fs.FS { return files }
