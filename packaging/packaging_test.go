package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/minisign"
	published "github.com/trenza-router/trenza/router/release"
)

// program stands for the router where a test is about what is around it: any real program does.
func program(t *testing.T) []byte {
	t.Helper()
	path, err := exec.LookPath("dpkg")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func testRelease(version string) release {
	return release{source: "..", version: version, time: time.Unix(1_700_000_000, 0).UTC(), publicKey: "a public key\n"}
}

func pack(t *testing.T, r release, kind, arch string, binary []byte) (string, []byte) {
	t.Helper()
	file, data, err := r.pack(kind, arch, binary)
	if err != nil {
		t.Fatal(err)
	}
	return file, data
}

func TestReproducible(t *testing.T) {
	binary := program(t)
	for kind := range formats() {
		file, first := pack(t, testRelease("1.2.3"), kind, "amd64", binary)
		_, second := pack(t, testRelease("1.2.3"), kind, "amd64", binary)
		if !bytes.Equal(first, second) {
			t.Errorf("%s differs from one build to the next", file)
		}
	}
}

// entries reads a tar file inside gzip: names to contents, and the headers.
func entries(t *testing.T, r io.Reader) (map[string]string, []*tar.Header) {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	files, headers := map[string]string{}, []*tar.Header(nil)
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && len(headers) > 0 {
			// apk's control part has no end mark, so that the two parts make one archive.
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files["/"+strings.TrimPrefix(strings.TrimPrefix(h.Name, "./"), "/")] = string(data)
		headers = append(headers, h)
	}
	if _, err := io.Copy(io.Discard, z); err != nil {
		t.Fatal(err)
	}
	return files, headers
}

// TestIPK checks what opkg reads: a gzipped tar of three members, control fields, the administrator's files.
func TestIPK(t *testing.T) {
	file, data := pack(t, testRelease("1.2.3"), "ipk", "aarch64_cortex-a53", program(t))
	if file != "trenza_1.2.3-1_aarch64_cortex-a53.ipk" {
		t.Errorf("the file is called %s", file)
	}
	outer, order := entries(t, bytes.NewReader(data))
	if len(order) != 3 || outer["/debian-binary"] != "2.0\n" {
		t.Fatalf("members: %v", slices.Collect(maps.Keys(outer)))
	}
	control, _ := entries(t, strings.NewReader(outer["/control.tar.gz"]))
	for _, line := range []string{"Package: trenza\n", "Version: 1.2.3-1\n", "Architecture: aarch64_cortex-a53\n", "kmod-nft-queue", "kmod-tun", "kmod-sched-cake", "kmod-ifb"} {
		if !strings.Contains(control["/control"], line) {
			t.Errorf("the control file lacks %q:\n%s", line, control["/control"])
		}
	}
	if control["/conffiles"] != "/etc/config/trenza\n" {
		t.Errorf("conffiles: %q", control["/conffiles"])
	}
	root, headers := entries(t, strings.NewReader(outer["/data.tar.gz"]))
	checkRoot(t, root, headers)
}

// TestAPK checks version 2 of the form: two gzip streams that make one tar, the sum of the second in the first, a sum at each file.
func TestAPK(t *testing.T) {
	file, data := pack(t, testRelease("1.2.3"), "apk", "x86_64", program(t))
	if file != "x86_64/trenza-1.2.3-r1.apk" {
		t.Errorf("the file is called %s", file)
	}
	rest := bytes.NewReader(data)
	control, _ := entries(t, rest)
	for _, line := range []string{"pkgname = trenza\n", "pkgver = 1.2.3-r1\n", "arch = x86_64\n", "depend = kmod-tun\n",
		"datahash = " + published.Sum(data[len(data)-rest.Len():]) + "\n"} {
		if !strings.Contains(control["/.PKGINFO"], line) {
			t.Errorf(".PKGINFO lacks %q:\n%s", line, control["/.PKGINFO"])
		}
	}
	for _, script := range []string{"/.post-install", "/.post-upgrade", "/.pre-deinstall"} {
		if !strings.HasPrefix(control[script], "#!/bin/sh\n") {
			t.Errorf("%s is %q", script, control[script])
		}
	}
	root, headers := entries(t, rest)
	checkRoot(t, root, headers)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg && len(h.PAXRecords["APK-TOOLS.checksum.SHA1"]) != 40 {
			t.Errorf("%s has no sum", h.Name)
		}
	}
	if got := root["/lib/apk/packages/trenza.conffiles"]; got != "/etc/config/trenza\n" {
		t.Errorf("conffiles: %q", got)
	}
	if want := "/etc/config/trenza " + published.Sum([]byte(root["/etc/config/trenza"])) + "\n"; root["/lib/apk/packages/trenza.conffiles_static"] != want {
		t.Errorf("conffiles_static: %q", root["/lib/apk/packages/trenza.conffiles_static"])
	}
	for _, path := range strings.Fields(root["/lib/apk/packages/trenza.list"]) {
		if _, there := root[path]; !there {
			t.Errorf("the list has %s, which the package has not", path)
		}
	}
}

func checkRoot(t *testing.T, root map[string]string, headers []*tar.Header) {
	t.Helper()
	for _, path := range []string{"/usr/bin/trenza", "/etc/init.d/trenza", "/etc/uci-defaults/95-trenza", "/etc/hotplug.d/iface/95-trenza", "/lib/upgrade/keep.d/trenza"} {
		if len(root[path]) == 0 {
			t.Errorf("%s is missing", path)
		}
	}
	for _, h := range headers {
		program := strings.HasPrefix(root["/"+strings.TrimPrefix(h.Name, "./")], "#!") || strings.HasSuffix(h.Name, "usr/bin/trenza")
		if h.Typeflag == tar.TypeReg && (h.Mode&0o777 == 0o755) != program {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Mode&0o022 != 0 {
			t.Errorf("%s is owned by %d:%d with mode %o", h.Name, h.Uid, h.Gid, h.Mode)
		}
	}
}

// TestSeal checks a release's list as a stranger would: by sha256sum and minisign.
func TestSeal(t *testing.T) {
	key, err := minisign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	made := map[string][]byte{"b.deb": []byte("b"), "x/a.apk": []byte("a")}
	if err := seal(made, "1.2.3", &key); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	made["key.pub"] = []byte(key.Public().Format())
	for file, data := range made {
		if err := testRelease("").write(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range [][]string{{"sha256sum", "-c", "--strict", published.SumsFile}, {"minisign", "-Q", "-V", "-m", published.SumsFile, "-p", "key.pub"}} {
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", line, err, out)
		}
		if line[0] == "minisign" && strings.TrimSpace(string(out)) != "trenza 1.2.3" {
			t.Errorf("the signature is for %q", out)
		}
	}
}

func TestBadArguments(t *testing.T) {
	out := t.TempDir()
	for _, args := range [][]string{
		{"-out", out}, {"-out", out, "-version", "v1"}, {"-version", "1.2.3"}, {"-out", out, "-version", "1.2.3", "-only", "vax"},
		{"-out", out, "-version", "1.2.3", "-key", filepath.Join(out, "none")},
	} {
		if err := run(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
