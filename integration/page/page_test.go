package page

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/home"
)

// app is the folder of the page's sources, where its tests stand.
const app = "../../webui/app"

// A run takes a minute on two cores; a busy machine gets its time.
const patience = 15 * time.Minute

// TestPage walks through the page as a family does.
func TestPage(t *testing.T) {
	drive(t, "e2e/run.mjs")
}

// TestScreenshots writes a picture of every screen to the folder that TRENZA_SCREENSHOTS names: `make screenshots`.
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("TRENZA_SCREENSHOTS")
	if folder == "" {
		return // pictures are for people; nothing is tested by them
	}
	drive(t, "e2e/screenshots.mjs", "SCREENSHOTS="+folder)
}

// drive builds a new house and runs a program of the page's against it.
func drive(t *testing.T, program string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "trenza")
	run(ctx, t, ".", nil, "go", "build", "-o", binary, "github.com/trenza-router/trenza")
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte(home.Policy()), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := home.Start(ctx, home.Options{Binary: binary, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	page, err := h.Lab.Expose(ctx, "127.0.0.1:0", h.Lab.Router(), netlab.RouterWeb)
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(ctx, t, h)
	server := &http.Server{Handler: b.handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // it ends with Close
	t.Cleanup(func() { _ = server.Close() })
	t.Cleanup(b.stop)
	run(ctx, t, app, append(env, "PAGE=http://"+page.String(), "LAB=http://"+l.Addr().String()), "node", "--test-reporter=spec", program)
}

// run runs a program and fails the test when it fails.
func run(ctx context.Context, t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatal(fmt.Errorf("%s %v: %w", name, args, err))
	}
}
