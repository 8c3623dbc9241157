package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/trenza-router/trenza/router/release"
)

// A sum is what is known of a file.
type sum struct {
	sha256 string
	size   int64
}

func sumFile(path string) (sum, error) {
	f, err := os.Open(path)
	if err != nil {
		return sum{}, fmt.Errorf("summing: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return sum{}, fmt.Errorf("summing %s: %w", path, err)
	}
	return sum{hex.EncodeToString(h.Sum(nil)), n}, nil
}

// writeSums lists files of a folder, and signs the list when there is a key.
func (b build) writeSums(dir string, names ...string) error {
	list, err := listOf(dir, names)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, release.SumsFile), list, 0o644); err != nil {
		return fmt.Errorf("writing the sums: %w", err)
	}
	if b.key == nil {
		return nil
	}
	signature, err := release.Sign(list, b.version, *b.key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, release.SignatureFile), []byte(signature), 0o644); err != nil {
		return fmt.Errorf("writing the signature: %w", err)
	}
	return nil
}

func listOf(dir string, names []string) ([]byte, error) {
	sums := map[string]string{}
	for _, name := range names {
		s, err := sumFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		sums[name] = s.sha256
	}
	return release.Format(sums), nil
}

// sumFolder lists all files of a folder but cmdline.txt, which each card changes for its slot.
func sumFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("summing: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name() != "cmdline.txt" && e.Name() != release.SumsFile {
			names = append(names, e.Name())
		}
	}
	list, err := listOf(dir, names)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, release.SumsFile), list, 0o644); err != nil {
		return fmt.Errorf("writing the sums of a slot: %w", err)
	}
	return nil
}

// An imageList is what Raspberry Pi Imager reads (https://github.com/raspberrypi/rpi-imager, doc/json-schema).
type imageList struct {
	OS []imageEntry `json:"os_list"`
}

type imageEntry struct {
	Name           string   `json:"name"`
	Description    string   `json:"description"`
	URL            string   `json:"url"`
	ExtractSize    int64    `json:"extract_size"`
	ExtractSHA256  string   `json:"extract_sha256"`
	DownloadSize   int64    `json:"image_download_size"`
	DownloadSHA256 string   `json:"image_download_sha256"`
	ReleaseDate    string   `json:"release_date,omitempty"`
	InitFormat     string   `json:"init_format"`
	Devices        []string `json:"devices"`
}

// osList describes an image. Imager cannot set it up: that is done on the router's page.
func osList(b build, whole, packed sum) imageList {
	return imageList{OS: []imageEntry{{
		Name:           "Trenza " + b.version,
		Description:    "Router that braids several internet links into one",
		URL:            strings.TrimRight(b.url, "/") + "/" + filepath.Base(b.name(".img.xz")),
		ExtractSize:    whole.size,
		ExtractSHA256:  whole.sha256,
		DownloadSize:   packed.size,
		DownloadSHA256: packed.sha256,
		ReleaseDate:    b.date,
		InitFormat:     "none",
		Devices:        []string{"pi3-64bit", "pi4-64bit", "pi5-64bit"},
	}}}
}
