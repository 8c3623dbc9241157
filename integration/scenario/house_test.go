package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/webui/api"
)

// binary is the trenza program that runs in the houses: $TRENZA_BINARY, or built from this checkout.
var binary string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "scenario:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	// A guest of package vm has no compiler.
	if binary = os.Getenv("TRENZA_BINARY"); binary != "" {
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "trenza-scenario-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "trenza")
	build := exec.Command("go", "build", "-o", binary, "github.com/trenza-router/trenza")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("building the program: %w", err)
	}
	return m.Run(), nil
}

// house is a house with helpers for tests.
type house struct {
	*home.House
	t   *testing.T
	api *api.ClientWithResponses
}

// newHouse builds a house with a policy, and with what the changes ask for, and waits until it works.
func newHouse(t *testing.T, policy string, changes ...func(*home.Options)) *house {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	// Building takes seconds; a machine that is busy with other things gets its time.
	ctx, cancel := context.WithTimeout(t.Context(), paced(3*time.Minute))
	defer cancel()
	options := home.Options{Binary: binary, Policy: path}
	options.Lab.Netem = os.Getenv("TRENZA_NETEM") != ""
	for _, change := range changes {
		change(&options)
	}
	h, err := home.Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			showLog(t, h)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := h.API()
	if err != nil {
		t.Fatal(err)
	}
	return &house{House: h, t: t, api: c}
}

// linkOf names the link that a server saw a source address of; "" for none of the house's.
func (h *house) linkOf(seen netip.Addr) string {
	seen = seen.Unmap()
	for _, l := range h.Lab.Links() {
		if s, ok := h.Lab.SeenAs(l.Name); ok && (s.V4.Contains(seen) || s.V6.Contains(seen)) {
			return l.Name
		}
	}
	return ""
}

// showLog prints the end of the daemon's log after a failure.
func showLog(t *testing.T, h *home.House) {
	if p := h.Router(); p != nil {
		select {
		case <-p.Done():
			t.Logf("the router's process has ended: %v", p.Err())
		default:
		}
	}
	t.Logf("the router's log ends with:\n%s", h.RouterLog())
}
