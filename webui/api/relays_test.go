package api_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/bond/seal"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine/enginetest"
)

// TestRelays: bad input changes nothing, a good code is kept for its owner's eyes alone and told to nobody, and what was added can be
// taken away.
func TestRelays(t *testing.T) {
	state := ""
	s := start(t, enginetest.Policy, func(c *config.Config) { state = c.State })
	i, err := tunnel.NewInvite(seal.Key{1, 2, 3}, []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:51900")}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	code := i.Code()
	for _, c := range []struct {
		path, body string
		code       int
		says       string
	}{
		{"/relays", `{"code": "nonsense"}`, 400, "begins with TRENZA1-"},
		{"/relays", `{"code": "` + code[:len(code)-1] + `"}`, 400, "not copied right"},
		{"/relays", `{"code": "` + code + `", "name": "fiber"}`, 400, "there twice"},
		{"/relays", `{"code": "` + code + `", "name": "a b"}`, 400, "a name has"},
		{"/relays", `{"code": "` + code + `", "name": "../x"}`, 400, "a name has"},
		{"/relays", `{"code": "` + code + `", "over": ["dsl"]}`, 400, `over \"dsl\"`},
		{"/relays", `{"code": "` + code + `", "role": "main"}`, 400, "role"},
		{"/relays", `{"name": "bond"}`, 400, "code"},
		{"/relays/remove", `{"name": "fiber"}`, 404, "not found"},
		{"/relays/remove", `{"name": "bond"}`, 404, "not found"},
	} {
		status, data := s.do(t, http.MethodPost, c.path, c.body)
		if status != c.code || !strings.Contains(string(data), c.says) {
			t.Errorf("%s %s: %d %s; want %d and %q", c.path, c.body, status, data, c.code, c.says)
		}
	}
	if left, err := filepath.Glob(filepath.Join(state, "*")); err != nil || len(left) > 0 {
		t.Fatalf("bad input left %v, %v", left, err)
	}
	if status, data := s.do(t, http.MethodPost, "/relays", `{"code": "`+code+`", "over": ["fiber", "lte"]}`); status != 202 || !strings.Contains(string(data), "bond") {
		t.Fatalf("%d %s", status, data)
	}
	file := filepath.Join(state, "relay", "bond", "bond.json")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v; want mode 0600", info, err)
	}
	links, err := os.ReadFile(filepath.Join(state, "links.yaml"))
	if err != nil || !strings.Contains(string(links), "bond") {
		t.Errorf("the added links: %v: %s", err, links)
	}
	_, audit := s.do(t, http.MethodGet, "/audit", "")
	if !bytes.Contains(audit, []byte("relay.add")) {
		t.Errorf("the audit has no word of it: %s", audit)
	}
	for what, text := range map[string][]byte{"the list of links": links, "the audit": audit} {
		if bytes.Contains(text, []byte(code[70:90])) {
			t.Errorf("%s tells the code: %s", what, text)
		}
	}
	if status, data := s.do(t, http.MethodPost, "/relays/remove", `{"name": "bond"}`); status != 202 {
		t.Errorf("%d %s", status, data)
	}
	if links, err := os.ReadFile(filepath.Join(state, "links.yaml")); err != nil || strings.Contains(string(links), "bond") {
		t.Errorf("the added links after the removal: %v: %s", err, links)
	}
}
