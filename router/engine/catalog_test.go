package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
)

// ownFiles writes a household's own application files and sets the configuration to them.
func ownFiles(t *testing.T, files map[string]string) func(*config.Config) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(c *config.Config) { c.Catalog, c.State = dir, filepath.Join(dir, "state") }
}

func warning(h *enginetest.House, code string) (engine.Warning, bool) {
	for _, w := range h.Status().Warnings {
		if w.Code == code {
			return w, true
		}
	}
	return engine.Warning{}, false
}

const photosRule = "house: [{id: photos, name: Photos, force: must, what: {apps: [photos]}, filter: {block: true}}]\n"

// TestOwnFilesAreUsed: an own application file makes a rule about it good, and the kernel gets its address range.
func TestOwnFilesAreUsed(t *testing.T) {
	h := enginetest.Start(t, photosRule, ownFiles(t, map[string]string{
		"apps/photos.yaml": "id: photos\nnames: {en: Photos, es: Fotos, zh: 照片}\ncategory: storage\ndomains: [photos.example]\nprefixes: [203.0.113.0/25]\n",
	}))
	for _, code := range []string{"catalog", "policy-catalog"} {
		if w, ok := warning(h, code); ok {
			t.Errorf("warned: %+v", w)
		}
	}
	enginetest.Eventually(t, "the address range", func() bool { return strings.Contains(h.Machine.RulesetText(), "203.0.113.0-203.0.113.127 :") })
}

// TestBadOwnFileDoesNotStopTheRouter: neither the mistake nor the rule that loses its application keeps the house offline, and both are told.
func TestBadOwnFileDoesNotStopTheRouter(t *testing.T) {
	h := enginetest.Start(t, photosRule, ownFiles(t, map[string]string{"apps/photos.yaml": "id: photos\nnonsense: 1\n"}))
	if w, ok := warning(h, "catalog"); !ok || !strings.Contains(w.Text, "photos.yaml:2: unknown field") {
		t.Errorf("the mistake is told as %+v", w)
	}
	if w, ok := warning(h, "policy-catalog"); !ok || !strings.Contains(w.Text, `no application "photos"`) {
		t.Errorf("the lost rule is told as %+v", w)
	}
	if _, err := h.SetPolicy(t.Context(), silence, "ana", 0); err != nil {
		t.Fatal(err)
	}
	if w, ok := warning(h, "policy-catalog"); ok {
		t.Errorf("still warned after the rule went: %+v", w)
	}
}

// TestBrokenEditionFallsBack: a state directory with a spoilt edition starts with the built-in catalogue, and says so.
func TestBrokenEditionFallsBack(t *testing.T) {
	h := enginetest.Start(t, "", ownFiles(t, map[string]string{"state/catalog/current.trzcat": "half an edi"}))
	if w, ok := warning(h, "catalog"); !ok || !strings.Contains(w.Text, "current.trzcat is not used") {
		t.Errorf("told as %+v", w)
	}
}
