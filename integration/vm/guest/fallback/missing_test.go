//go:build vm

package fallback

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
)

// missing maps the features without their modules to what the doctor says that serves instead.
func missing() map[string]string {
	return map[string]string{
		"nft-queue":     "copies of packets",
		"nft-flowtable": "each packet passes the rules",
		"cake":          "fq_codel, or a short plain queue",
		"wireguard":     "no WireGuard links",
	}
}

// program is the trenza program under test.
func program(t *testing.T) string {
	t.Helper()
	p := os.Getenv("TRENZA_BINARY")
	if p == "" {
		t.Fatal("TRENZA_BINARY names no program: run this by `make test-vm`")
	}
	return p
}

// TestDoctor: the doctor names each missing feature, what serves instead and what to do, finds all others, and is content.
func TestDoctor(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), program(t), "doctor", "--json").Output()
	if err != nil {
		t.Fatalf("trenza doctor: %v: %s", err, out)
	}
	var found []hal.Capability
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	want := missing()
	for _, c := range found {
		instead, hidden := want[c.Name]
		switch {
		case c.Present == hidden:
			t.Errorf("%s: present %v, hidden %v: %s", c.Name, c.Present, hidden, c.Detail)
		case hidden && (!strings.Contains(c.Instead, instead) || c.Fix == ""):
			t.Errorf("%s: instead %q, fix %q; want %q and an advice", c.Name, c.Instead, c.Fix, instead)
		}
		delete(want, c.Name)
	}
	if len(want) > 0 {
		t.Errorf("the doctor does not know of %v", want)
	}
	text, err := exec.CommandContext(t.Context(), program(t), "doctor").CombinedOutput()
	if err != nil {
		t.Fatalf("trenza doctor: %v: %s", err, text)
	}
	for name, instead := range missing() {
		if !bytes.Contains(text, []byte(name)) || !bytes.Contains(text, []byte("instead: "+instead)) {
			t.Errorf("a person does not read of %s and %q:\n%s", name, instead, text)
		}
	}
}

// TestRouter: the daemon starts, says what it goes without, steers by its rules, and looks at copies of packets.
func TestRouter(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(home.Policy()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	h, err := home.Start(ctx, home.Options{Binary: program(t), Policy: policy, Lab: netlab.Options{Netem: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	log, err := os.ReadFile(filepath.Join(h.Lab.Dir(), "log", "router.log"))
	if err != nil {
		t.Fatal(err)
	}
	for name, instead := range missing() {
		if !bytes.Contains(log, []byte("feature="+name+" ")) || !bytes.Contains(log, []byte(instead)) {
			t.Errorf("the log does not say that %s is missing and %q serves:\n%s", name, instead, log)
		}
	}
	a, err := h.Agent("laptop").HTTP(ctx, client.HTTP{Target: client.Target{Host: "www.ing.de"}, Timeout: time.Minute}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if seen, _ := h.Lab.SeenAs("fiber"); !seen.V4.Contains(a.Seen.Remote.Addr().Unmap()) && !seen.V6.Contains(a.Seen.Remote.Addr()) {
		t.Errorf("the bank saw %v, want an address of the fiber", a.Seen.Remote)
	}
	rules, err := h.Lab.Router().Command(ctx, "nft", "list", "table", "inet", "trenza").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(rules, []byte("log group")) || bytes.Contains(rules, []byte("queue flags")) {
		t.Errorf("first packets are not looked at by copies alone:\n%s", rules)
	}
}
