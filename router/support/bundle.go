package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"time"
)

// Part is one text of a bundle.
type Part struct {
	Name string // of the file
	Text []byte
}

// Bundle packs parts into a gzipped tar, in a folder of its own.
func Bundle(folder string, at time.Time, parts []Part) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	var err error
	for _, p := range parts {
		err = errors.Join(err, t.WriteHeader(&tar.Header{Name: folder + "/" + p.Name, Mode: 0o600, Size: int64(len(p.Text)), ModTime: at}))
		_, werr := t.Write(p.Text)
		err = errors.Join(err, werr)
	}
	if err := errors.Join(err, t.Close(), z.Close()); err != nil {
		return nil, fmt.Errorf("packing the support bundle: %w", err)
	}
	return out.Bytes(), nil
}
