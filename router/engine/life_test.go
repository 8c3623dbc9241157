package engine_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/store"
)

func warned(h *enginetest.House, code string) bool {
	return slices.ContainsFunc(h.Status().Warnings, func(w engine.Warning) bool { return w.Code == code })
}

const silence = "house: [{id: silence, name: Silence, force: must, what: {domains: [loud.example]}, filter: {block: true}}]\n"

// TestRefusedPolicyKeepsTheOld: whatever fails on the way of a policy, the one before goes on, in the kernel and in words.
func TestRefusedPolicyKeepsTheOld(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	for _, method := range []string{"Check", "Load"} {
		mendLoad := h.Machine.Fail("Load", errors.New("the links have just come up, and their plan waits"))
		mend := h.Machine.Fail(method, &hal.RulesetError{Line: 7, Message: "no room"})
		before, ruleset := h.Policy(), h.Machine.RulesetText()
		_, err := h.SetPolicy(t.Context(), silence, "ana", before.Version)
		if !errors.Is(err, hal.ErrRefused) || !strings.Contains(err.Error(), "no room") {
			t.Fatalf("%s fails: %v", method, err)
		}
		if now := h.Policy(); now.Text != before.Text || now.Version != before.Version {
			t.Errorf("%s fails: the policy in force is version %d now", method, now.Version)
		}
		if now := h.Machine.RulesetText(); now != ruleset {
			t.Errorf("%s fails: the ruleset changed", method)
		}
		mend()
		mendLoad()
	}
	for text, want := range map[string]string{
		"nonsense: 1\n": "nonsense",
		"house: [{id: a, name: A, force: must, steer: {use: []}}]\n": "steer",
	} {
		_, err := h.SetPolicy(t.Context(), text, "ana", 0)
		var p engine.Problems
		if !errors.As(err, &p) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	version := h.Policy().Version
	got, err := h.SetPolicy(t.Context(), silence, "ana", version)
	if err != nil || got.Text != silence || got.By != "ana" || got.Version <= version {
		t.Fatalf("the same policy later: %+v, %v", got, err)
	}
	if _, err := h.SetPolicy(t.Context(), enginetest.Policy, "leo", version); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a policy that was edited from an old version: %v", err)
	}
	if saved, err := h.Store.CurrentPolicy(t.Context()); err != nil || saved.Text != silence {
		t.Errorf("stored is %q, %v", saved.Text, err)
	}
}

// TestHeals: what another program takes away comes back.
func TestHeals(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	rules := func() int { return strings.Count(h.Machine.RuleText(), "lookup 100") }
	// The order in table 1000 follows the links' states; what is in a link's own table does not.
	routes := func() int { return strings.Count(h.Machine.RouteText(), "table 1001") }
	allRules, allRoutes := rules(), routes()
	h.Machine.FlushRules()
	enginetest.Eventually(t, "the rules", func() bool { return rules() == allRules })
	h.Machine.FlushRoutes(1001)
	enginetest.Eventually(t, "the routes", func() bool { return routes() == allRoutes })
	if err := h.Machine.Nft("delete table inet trenza\n"); err != nil {
		t.Fatal(err)
	}
	enginetest.Eventually(t, "the table", func() bool { return strings.Contains(h.Machine.RulesetText(), "chain prerouting") })
}

func TestWarnings(t *testing.T) {
	h := enginetest.Start(t, "", nil)
	h.StoreChanged(store.Status{Problem: errors.New("disk full")})
	if !warned(h, "store") {
		t.Error("a full disk is not told")
	}
	h.StoreChanged(store.Status{})
	if warned(h, "store") {
		t.Error("the warning stays when the disk has room again")
	}
	h.Machine.RemoveInterface("lan0")
	enginetest.Eventually(t, "a warning of the LAN's device", func() bool { return warned(h, "lan-device") })
	h.Machine.SetInterface(hal.Interface{Name: "lan0", Kind: "bridge", Up: true, Carrier: true})
	enginetest.Eventually(t, "its end", func() bool { return !warned(h, "lan-device") })
}

// TestLinkDies: a plan without the link, in words and in the kernel.
func TestLinkDies(t *testing.T) {
	h := enginetest.Start(t, "", nil)
	if s := h.Status().Sentence; s != "All good. All 3 links work." {
		t.Errorf("at the start: %q", s)
	}
	h.Cut(t, "fiber", true)
	if s := h.Status().Sentence; s != "fiber is off. Everything else works." {
		t.Errorf("without fiber: %q", s)
	}
	h.Cut(t, "fiber", false)
}

// TestRefusesToStart where it could not work or would harm, before anything is touched.
func TestRefusesToStart(t *testing.T) {
	nft := hal.Capability{Name: "nft-inet", What: "rules for both families", Required: true, Fix: "install nftables"}
	denied := nft
	denied.Detail = "check the ruleset: " + hal.ErrPermission.Error()
	for _, tt := range []struct {
		name     string
		features []hal.Capability
		want     string
	}{
		{"one", []hal.Capability{nft}, "this machine cannot run the router. Required: rules for both families. Found: no nft-inet. To do: install nftables"},
		{"two", []hal.Capability{nft, {Name: "nflog", Required: true}}, `install nftables (and 1 more; "trenza doctor" lists all)`},
		{"rights", []hal.Capability{denied}, "examining this machine: not permitted: run as root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := haltest.New()
			m.Features = tt.features
			before := m.String()
			err := newEngine(t, m).Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if after := m.String(); after != before {
				t.Errorf("the machine was changed:\n%s", after)
			}
		})
	}
}

func newEngine(t *testing.T, m *haltest.Fake) *engine.Engine {
	t.Helper()
	cfg, err := config.Parse("house.yaml", []byte(enginetest.Config))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "trenza.db"), Log: log, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	e, err := engine.New(t.Context(), engine.Options{
		Config: cfg, Machine: m, Store: db, Log: log, Version: "test", Metrics: prometheus.NewRegistry(), Now: time.Now, Zone: time.UTC,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
