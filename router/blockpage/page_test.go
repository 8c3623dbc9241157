package blockpage_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/blockpage"
)

// The page has the reason in it, is kept by nobody, and shows a host as text whatever a stranger wrote there.
func TestPage(t *testing.T) {
	h := blockpage.Handler(func(_ context.Context, client netip.Addr, host string) string {
		if client == netip.MustParseAddr("192.0.2.5") && host == "game.example" {
			return "The house's rule \"No <games>\" blocks the flow."
		}
		return ""
	})
	for _, c := range []struct{ method, host, want, never string }{
		{"GET", "game.example", "No &lt;games&gt;", "<games>"},
		{"POST", "game.example:8080", "No &lt;games&gt;", "8080"},
		{"GET", "other.example", "Try again", ""},
		{"GET", "<script>alert(1)</script>", "&lt;script&gt;", "<script>"},
		{"HEAD", "game.example", "", "html"},
	} {
		r := httptest.NewRequest(c.method, "http://x/some/page", nil)
		r.Host, r.RemoteAddr = c.host, "[::ffff:192.0.2.5]:4711"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body, _ := io.ReadAll(w.Result().Body)
		if w.Code != http.StatusForbidden || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(string(body), c.want) || c.never != "" && strings.Contains(string(body), c.never) {
			t.Errorf("%s %s: %d %v\n%s", c.method, c.host, w.Code, w.Header(), body)
		}
	}
}

func TestServeEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := blockpage.Serve(ctx, "127.0.0.1:0", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := blockpage.Serve(t.Context(), "192.0.2.1:1", nil); err == nil {
		t.Error("an address that is not ours is listened at")
	}
}
