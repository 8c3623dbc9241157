package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/minisign"
	"github.com/trenza-router/trenza/router/release"
)

// published makes a release's folder with the given files.
func published(t *testing.T, version string, key minisign.PrivateKey, files map[string]string) string {
	t.Helper()
	dir, sums := t.TempDir(), map[string]string{}
	for name, text := range files {
		in(t, dir, name, text)
		sums[name] = release.Sum([]byte(text))
	}
	list := release.Format(sums)
	signature, err := release.Sign(list, version, key)
	if err != nil {
		t.Fatal(err)
	}
	in(t, dir, release.SumsFile, string(list))
	in(t, dir, release.SignatureFile, signature)
	return dir
}

func makeKey(t *testing.T) (key minisign.PrivateKey, file string) {
	t.Helper()
	key, err := minisign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key, in(t, t.TempDir(), "release.pub", key.Public().Format())
}

// TestUpgradeRefuses: whatever is not signed, not newer or not for this machine changes nothing.
func TestUpgradeRefuses(t *testing.T) {
	key, public := makeKey(t)
	other, _ := makeKey(t)
	good := published(t, "9.0.0", key, map[string]string{"trenza_9.0.0_none.deb": "x"})
	forged := published(t, "9.0.0", other, map[string]string{"trenza_9.0.0_none.deb": "x"})
	unsigned := published(t, "9.0.0", key, nil)
	if err := os.Remove(filepath.Join(unsigned, release.SignatureFile)); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(good)))
	defer server.Close()
	dir := filepath.Join(t.TempDir(), "releases")
	for _, tt := range []struct {
		from, key string
		code      int
		err       string
	}{
		{forged, public, exitNo, "nothing was changed"},
		{unsigned, public, exitUsage, "no such file"},
		{t.TempDir(), public, exitUsage, "no such file"},
		{filepath.Join(good, release.SumsFile), public, exitUsage, "no folder of a release"},
		{good, filepath.Join(good, release.SumsFile), exitUsage, "no minisign public key"},
		{good, filepath.Join(dir, "none"), exitUsage, "--key"},
		{server.URL + "/elsewhere", public, exitFailed, "404"},
		// The building machine has the router from no package.
		{good, public, exitNo, "by hand"},
		{server.URL, public, exitNo, "by hand"},
	} {
		var out, errOut bytes.Buffer
		code := run([]string{"upgrade", "--key", tt.key, "--dir", dir, tt.from}, &out, &errOut)
		if code != tt.code || !strings.Contains(errOut.String(), tt.err) {
			t.Errorf("upgrade %s: exit %d, want %d: %s", tt.from, code, tt.code, errOut.String())
		}
		if _, err := os.Stat(dir); err == nil {
			t.Fatal("something was downloaded")
		}
	}
}

// TestUpgradeFetches: a file that is not the one that was signed never gets the name of one that is.
func TestUpgradeFetches(t *testing.T) {
	key, public := makeKey(t)
	from := published(t, "9.0.0", key, map[string]string{"good.deb": "a package", "changed.deb": "a package"})
	in(t, from, "changed.deb", "another package")
	c := upgradeCommand{From: from, Key: public, Dir: filepath.Join(t.TempDir(), "releases")}
	f, err := openFolder(from)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := c.open(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	path, err := c.fetch(t.Context(), f, rel, "good.deb")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a package" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := c.fetch(t.Context(), f, rel, "changed.deb"); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a changed file: %v", err)
	}
	left, err := os.ReadDir(c.Dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
