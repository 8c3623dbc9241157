package app

import (
	"embed"
	"io/fs"
)

//go:generate npm ci --ignore-scripts
//go:generate npm run --silent build

//go:embed all:dist
var files embed.FS

// Files is the built page; index.html is at its root. Files under assets/ are named by a hash of what they hold.
func Files() fs.FS {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path
	}
	return dist
}
