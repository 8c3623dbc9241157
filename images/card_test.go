package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/release"
)

func TestTable(t *testing.T) {
	text, size := table(partitions())
	want := `label: dos
unit: sectors
start=8192, size=98304, type=c, bootable
start=106496, size=1048576, type=c
start=1155072, size=1048576, type=c
start=2203648, size=262144, type=83
`
	if text != want {
		t.Errorf("the table is\n%s", text)
	}
	if size != 1204*mib {
		t.Errorf("the card has %d MiB", size/mib)
	}
}

func TestSums(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"vmlinuz": "abc", "cmdline.txt": "trenza.slot=2", release.SumsFile: "old"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := sumFolder(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, release.SumsFile))
	// The sum of "abc" is FIPS 180-4's own example.
	if want := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  vmlinuz\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestImageList(t *testing.T) {
	b := build{out: "/out", version: "1.2.3", url: "https://example.org/images/", date: "2026-11-30"}
	text, err := json.Marshal(osList(b, sum{"aa", 10}, sum{"bb", 5}))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"url":"https://example.org/images/trenza_1.2.3_rpi.img.xz"`, `"extract_size":10`, `"extract_sha256":"aa"`,
		`"image_download_size":5`, `"image_download_sha256":"bb"`, `"release_date":"2026-11-30"`, `"init_format":"none"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
}
