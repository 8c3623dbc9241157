package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestBundle(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	file, err := Bundle("support", at, []Part{{"a.txt", []byte("one")}, {"b.json", []byte("{}")}})
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Name+" "+string(text))
	}
	if strings.Join(got, ", ") != "support/a.txt one, support/b.json {}" {
		t.Error(got)
	}
}

func TestRecentRemembersTheLatestWholeLines(t *testing.T) {
	r := NewRecent(400)
	for i := range 100 {
		fmt.Fprintf(r, "line %d\n", i)
	}
	text := string(r.Text())
	if len(text) > 400 || len(text) < 300 || !strings.HasPrefix(text, "line ") || !strings.HasSuffix(text, "line 98\nline 99\n") {
		t.Errorf("%q", text)
	}
	if _, err := r.Write(bytes.Repeat([]byte("x"), 1000)); err != nil || len(r.Text()) != 0 {
		t.Errorf("a line that is too long: %q, %v", r.Text(), err)
	}
	if (*Recent)(nil).Text() != nil {
		t.Error("nothing remembers something")
	}
}
