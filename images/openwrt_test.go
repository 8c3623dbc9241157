package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/release"
)

// put makes a file with its folders.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOpenWrtImage drives a stand-in for an ImageBuilder: the same files and targets, and an image that tells what it was asked for.
func TestOpenWrtImage(t *testing.T) {
	for _, form := range []struct{ config, file string }{
		{"CONFIG_TARGET_ARCH_PACKAGES=\"aarch64_generic\"\n", "trenza_1.2.3-1_aarch64_generic.ipk"},
		{"CONFIG_TARGET_ARCH_PACKAGES=\"aarch64_generic\"\nCONFIG_USE_APK=y\n", "aarch64_generic/trenza-1.2.3-r1.apk"},
	} {
		builder, packages, out := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "out")
		put(t, filepath.Join(builder, ".config"), form.config)
		put(t, filepath.Join(builder, "packages/README"), "")
		put(t, filepath.Join(builder, "Makefile"), "info:\n\t@echo 'Available Profiles:'; echo; echo 'box:'; echo '    A box'\nimage:\n\t@echo $(PROFILE) $(PACKAGES) $$(ls packages) >$(BIN_DIR)/image\n")
		put(t, filepath.Join(packages, form.file), "a package")
		put(t, filepath.Join(packages, release.SumsFile), string(release.Format(map[string]string{form.file: release.Sum([]byte("a package"))})))
		run := func(args ...string) (string, error) {
			text, err := exec.Command("sh", append([]string{"openwrt.sh"}, args...)...).CombinedOutput()
			return string(text), err
		}
		if text, err := run(builder, "box", packages, out); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		image, err := os.ReadFile(filepath.Join(out, "image"))
		if want := "box trenza README " + filepath.Base(form.file) + "\n"; err != nil || string(image) != want {
			t.Errorf("%q, not %q: %v", image, want, err)
		}
		for what, tt := range map[string]struct{ builder, profile, packages, says string }{
			"no builder":            {"", "", packages, "IMAGEBUILDER=DIR"},
			"another folder":        {packages, "box", packages, "is no ImageBuilder"},
			"an unknown device":     {builder, "bo", packages, "no profile"},
			"no package":            {builder, "box", builder, "no package for aarch64_generic"},
			"what is not the build": {builder, "box", packages, "make the packages again"},
		} {
			if what == "what is not the build" {
				put(t, filepath.Join(packages, form.file), "another")
			} else {
				put(t, filepath.Join(packages, form.file), "a package")
			}
			if text, err := run(tt.builder, tt.profile, tt.packages, out); err == nil || !strings.Contains(text, tt.says) {
				t.Errorf("%s: %v: %s", what, err, text)
			}
		}
	}
}
