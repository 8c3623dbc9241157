package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/catalog"
)

// trenza runs one command line.
func trenza(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(args, &o, &e)
	return code, o.String(), e.String()
}

// must runs a command line that must succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errOut := trenza(t, args...)
	if code != exitDone {
		t.Fatalf("%v: exit %d\n%s%s", args, code, out, errOut)
	}
	return out
}

// refused runs a command line that must say no, with a text.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	code, out, errOut := trenza(t, args...)
	if code != exitNo || !strings.Contains(errOut, want) {
		t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, code, exitNo, want, out, errOut)
	}
}

// edition writes the source of a small catalogue and compiles it.
func compileEdition(t *testing.T, dir, version string) string {
	t.Helper()
	source := filepath.Join(dir, version)
	if err := os.MkdirAll(filepath.Join(source, "apps"), 0o755); err != nil {
		t.Fatal(err)
	}
	in(t, source, "VERSION", version+"\n")
	in(t, source, "categories.yaml", "- id: video\n  names: {en: Video, es: Vídeo, zh: 视频}\n")
	in(t, source, "apps/film.yaml", "id: film\nnames: {en: Film, es: Cine, zh: 电影}\ncategory: video\ndomains: [v"+version+".example]\ntests: {match: [www.v"+version+".example]}\n")
	out := filepath.Join(dir, version+".bin")
	must(t, "catalog", "compile", source, out)
	return out
}

// TestCatalogUpdates goes the whole way of an edition: made, signed, served, verified, installed, looked into, and refused when it is not
// what it should be.
func TestCatalogUpdates(t *testing.T) {
	dir := t.TempDir()
	key, state := filepath.Join(dir, "key.pem"), filepath.Join(dir, "state")
	public := strings.TrimSpace(must(t, "catalog", "keygen", key))
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v, %v", info, err)
	}
	refused(t, "never written over", "catalog", "keygen", key)
	cfg := in(t, dir, "trenza.yaml", goodConfig+"state: "+state+"\ncatalog_keys: [\""+public+"\"]\n")
	sign := func(version string) string {
		signed := filepath.Join(dir, version+".trzcat")
		must(t, "catalog", "sign", compileEdition(t, dir, version), signed, "--key", key)
		return signed
	}
	first, second := sign("2999010101"), sign("2999010102")

	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	if out := must(t, "catalog", "update", server.URL+"/2999010102.trzcat", "--config", cfg); !strings.Contains(out, "Version 2999010102 takes the place of") {
		t.Error(out)
	}
	if out := must(t, "catalog", "lookup", "www.v2999010102.example", "--config", cfg); !strings.Contains(out, "film (Film), video, by v2999010102.example") {
		t.Error(out)
	}
	if out := must(t, "catalog", "update", second, "--config", cfg); !strings.Contains(out, "Nothing to do") {
		t.Error(out)
	}
	refused(t, "older than the catalogue in force", "catalog", "update", first, "--config", cfg)
	must(t, "catalog", "update", first, "--older", "--config", cfg)

	data, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "nothing has changed", "catalog", "update", in(t, dir, "cut", string(data[:len(data)-1])), "--config", cfg)
	refused(t, "not signed by a known key", "catalog", "update", second, "--state", filepath.Join(dir, "other"))
	refused(t, "not a catalogue", "catalog", "sign", in(t, dir, "nonsense", "nonsense"), filepath.Join(dir, "x"), "--key", key)
	if code, _, errOut := trenza(t, "catalog", "update", server.URL+"/none", "--config", cfg); code != exitFailed || !strings.Contains(errOut, "404") {
		t.Errorf("exit %d: %s", code, errOut)
	}
	if out := must(t, "catalog", "list", "--config", cfg); !strings.Contains(out, "version 2999010101") {
		t.Error(out)
	}
}

func TestCatalogLooksAndLists(t *testing.T) {
	dir := t.TempDir()
	cfg := in(t, dir, "trenza.yaml", goodConfig+"state: "+dir+"\n")
	var answers []found
	out := must(t, "catalog", "lookup", "--json", "--config", cfg, "WWW.Netflix.com.", "149.154.167.50", "udp/8801", "nobody.example", "tcp/443")
	if err := json.Unmarshal([]byte(out), &answers); err != nil {
		t.Fatal(err)
	}
	for i, want := range []found{
		{"WWW.Netflix.com.", "netflix", "Netflix", "video", "netflix.com"},
		{"149.154.167.50", "telegram", "Telegram", "messaging", "149.154.160.0/20"},
		{"udp/8801", "zoom", "Zoom", "calls", "udp/8801"},
		{Asked: "nobody.example"}, {Asked: "tcp/443"},
	} {
		if answers[i] != want {
			t.Errorf("got %+v, want %+v", answers[i], want)
		}
	}
	if code, _, errOut := trenza(t, "catalog", "lookup", "--config", cfg, "not a name"); code != exitUsage || !strings.Contains(errOut, "neither a host name") {
		t.Errorf("exit %d: %s", code, errOut)
	}
	if out := must(t, "catalog", "list", "--config", cfg, "--category", "maps", "--language", "es"); !strings.Contains(out, "Mapas de Apple") || strings.Contains(out, "netflix") {
		t.Error(out)
	}
	if out := must(t, "catalog", "list", "--config", cfg, "--categories"); !strings.Contains(out, "infrastructure") {
		t.Error(out)
	}
	if code, _, errOut := trenza(t, "catalog", "list", "--config", cfg, "--category", "none"); code != exitUsage || !strings.Contains(errOut, "no category") {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

// TestCatalogImports: a list becomes an application file that the router takes, whatever its form.
func TestCatalogImports(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	in(t, dir, "more", "b.example\nc.example @ads\n")
	for _, tt := range []struct{ format, text, note, host string }{
		{"community", "include:more @-ads\nfull:www.a.example\nkeyword:zz\n", "left out: 1 keywords", "x.b.example"},
		{"hosts", "0.0.0.0 h.example\nbad\n", `hosts:2: "bad" is not an address`, "h.example"},
		{"adblock", "||ad.example^\n@@||ok.ad.example^\n", "left out: 1 exceptions below a domain", "x.ad.example"},
	} {
		list := in(t, dir, tt.format, tt.text)
		args := []string{"catalog", "import", list, "--format", tt.format, "--id", "my-" + tt.format, "--name", `The "list": ` + tt.format, "--category", "advertising"}
		if out := must(t, append(args, "-o", own)...); !strings.Contains(out, tt.note) {
			t.Errorf("%s: no note %q:\n%s", tt.format, tt.note, out)
		}
		_, text, errOut := trenza(t, args...)
		written, err := os.ReadFile(filepath.Join(own, "apps", "my-"+tt.format+".yaml"))
		if err != nil || text != string(written) || !strings.Contains(errOut, tt.note) {
			t.Errorf("%s: standard output differs from the file: %v\n%s\n%s", tt.format, err, text, errOut)
		}
		c, err := catalog.Load(own)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.AppOf(tt.host); got != "my-"+tt.format {
			t.Errorf("%s: %s belongs to %q", tt.format, tt.host, got)
		}
	}
	must(t, "catalog", "check", own)
	cfg := in(t, dir, "trenza.yaml", goodConfig+"state: "+dir+"\ncatalog: "+own+"\n")
	rules := in(t, dir, "policy.yaml", "house: [{id: a, name: A, force: must, what: {apps: [my-hosts]}, filter: {block: true}}]\n")
	must(t, "policy", "check", rules, "--config", cfg)
	refused(t, "no application \"my-hosts\"", "policy", "check", rules, "--state", dir)

	in(t, filepath.Join(own, "apps"), "bad.yaml", "id: bad\nnonsense: 1\n")
	refused(t, "bad.yaml:2: unknown field", "catalog", "check", own)
	if code, out, errOut := trenza(t, "catalog", "lookup", "h.example", "--config", cfg); code != exitDone || !strings.Contains(out, "my-hosts") || !strings.Contains(errOut, "left out: ") {
		t.Errorf("a bad file beside good ones: exit %d\n%s%s", code, out, errOut)
	}
	refused(t, "has no domain", "catalog", "import", in(t, dir, "empty", "# nothing\n"), "--format", "hosts", "--id", "x", "--category", "video")
	refused(t, "lower-case letters", "catalog", "import", in(t, dir, "empty", "# nothing\n"), "--format", "hosts", "--id", "../x", "--category", "video")
}
