package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// feed runs the feed's Makefile with GNU make, and with stand-ins for OpenWrt's own: they install for real, without building, and print what the
// package depends on.
func feed(t *testing.T) (depends []string, root string) {
	t.Helper()
	top, root := t.TempDir(), t.TempDir()
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"rules.mk": "INCLUDE_DIR:=$(TOPDIR)/include\nPKG_BUILD_DIR:=" + source + "\nINSTALL_DIR:=install -d -m0755\nINSTALL_BIN:=install -m0755\n" +
			"INSTALL_DATA:=install -m0644\nINSTALL_CONF:=install -m0600\n",
		"include/package.mk":                           "define BuildPackage\ninstall:\n\t$$(call Package/$(1)/install,$(root))\ndepends:\n\t@echo '$$(DEPENDS)'\n$$(eval $$(call Package/$(1)))\nendef\n",
		"feeds/packages/lang/golang/golang-package.mk": "define GoPackage/Package/Install/Bin\ninstall -d $(1)/usr/bin && install -m0755 /bin/true $(1)/usr/bin/trenza\nendef\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(target string) string {
		out, err := exec.Command("make", "--no-print-directory", "-f", "feed/trenza/Makefile", "TOPDIR="+top, "root="+root, target).CombinedOutput()
		if err != nil {
			t.Fatalf("make %s: %v: %s", target, err, out)
		}
		return string(out)
	}
	run("install")
	for _, word := range strings.Fields(run("depends")) {
		if name, found := strings.CutPrefix(word, "+"); found {
			depends = append(depends, name)
		}
	}
	return depends, root
}

// TestFeed: who builds the package with OpenWrt's build system gets what "make packages" makes.
func TestFeed(t *testing.T) {
	depends, root := feed(t)
	if want := formats()["ipk"].depends; !slices.Equal(depends, want) {
		t.Errorf("the feed depends on %v, the package on %v", depends, want)
	}
	items, err := openwrt()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/usr/bin/trenza"}
	for _, it := range items {
		want = append(want, it.to)
		data, err := os.ReadFile(filepath.Join(root, it.to))
		if err != nil || string(data) != string(it.data) {
			t.Errorf("%s is another file: %v", it.to, err)
			continue
		}
		info, err := os.Stat(filepath.Join(root, it.to))
		if err != nil || info.Mode()&0o111 != it.mode&0o111 {
			t.Errorf("%s has mode %v: %v", it.to, info.Mode(), err)
		}
	}
	var got []string
	err = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			got = append(got, strings.TrimPrefix(path, root))
		}
		return err
	})
	slices.Sort(want)
	if slices.Sort(got); err != nil || !slices.Equal(got, want) {
		t.Errorf("the feed installs %v, not %v: %v", got, want, err)
	}
}
