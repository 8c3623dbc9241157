package engine_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/store"
)

// trialText is the house's policy with one rule less, and one that ana's bank rule is lost to.
func trialText(t *testing.T) string {
	t.Helper()
	text := strings.Replace(enginetest.Policy, "house:\n", "house:\n  - {id: bank-house, name: The bank over fiber, force: must, what: {domains: [bank.example]}, steer: {mode: fixed, use: [fiber]}}\n", 1)
	if text == enginetest.Policy {
		t.Fatal("the house's policy has another form now")
	}
	return text
}

func has(h *enginetest.House, id string) bool {
	for _, r := range h.PolicyInForce().Main {
		if r.ID == id {
			return true
		}
	}
	return false
}

func TestTrialIsKept(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	before := h.Policy()
	got, err := h.Try(t.Context(), trialText(t), engine.Trial{ID: "x", Base: before.Version, By: "ana", Voice: "session 1"}, time.Hour)
	if err != nil || len(got.Changes) != 1 || !has(h, "bank-house") {
		t.Fatalf("%+v %v", got, err)
	}
	if v := h.Policy(); v.Version != before.Version || v.Text != before.Text {
		t.Errorf("stored while it is tried: version %d", v.Version)
	}
	// Nobody changes anything meanwhile, and only the login that began it keeps it.
	if _, err := h.SetPolicy(t.Context(), enginetest.Policy, "leo", 0); !errors.Is(err, engine.ErrTrial) {
		t.Errorf("another change: %v", err)
	}
	if _, err := h.Try(t.Context(), enginetest.Policy, engine.Trial{ID: "y"}, time.Hour); !errors.Is(err, engine.ErrTrial) {
		t.Errorf("another trial: %v", err)
	}
	if _, err := h.KeepTrial(t.Context(), "x", "session 2"); !errors.Is(err, engine.ErrOtherTrial) {
		t.Errorf("kept by another session: %v", err)
	}
	if _, err := h.KeepTrial(t.Context(), "y", "session 1"); !errors.Is(err, engine.ErrNoTrial) {
		t.Errorf("kept another one: %v", err)
	}
	v, err := h.KeepTrial(t.Context(), "x", "session 1")
	if err != nil || v.Version != before.Version+1 || v.By != "ana" || !has(h, "bank-house") {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := h.KeepTrial(t.Context(), "x", "session 1"); !errors.Is(err, engine.ErrNoTrial) {
		t.Errorf("kept twice: %v", err)
	}
	if _, err := h.Store.Setting(t.Context(), "policy/trial"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the note is still there: %v", err)
	}
	// Who edited the version before it hears of it.
	if _, err := h.Try(t.Context(), enginetest.Policy, engine.Trial{ID: "z", Base: before.Version}, time.Hour); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("of an old version: %v", err)
	}
}

func TestTrialGoesBack(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	rules := h.Machine.String()
	if _, err := h.Try(t.Context(), trialText(t), engine.Trial{ID: "x", By: "ana", Voice: "v"}, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	enginetest.Eventually(t, "the way back", func() bool { _, running := h.Trial(); return !running })
	if has(h, "bank-house") || h.Policy().Version != 1 {
		t.Errorf("it stayed: version %d", h.Policy().Version)
	}
	if now := h.Machine.String(); strings.Count(now, "chain") != strings.Count(rules, "chain") {
		t.Error("the kernel has other chains than before")
	}
	if _, err := h.KeepTrial(t.Context(), "x", "v"); !errors.Is(err, engine.ErrNoTrial) {
		t.Errorf("kept too late: %v", err)
	}
	if _, err := h.Try(t.Context(), trialText(t), engine.Trial{ID: "y", By: "ana", Voice: "v"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := h.DropTrial(t.Context(), "x"); !errors.Is(err, engine.ErrNoTrial) {
		t.Errorf("took back another one: %v", err)
	}
	if err := h.DropTrial(t.Context(), "y"); err != nil || has(h, "bank-house") {
		t.Errorf("taken back: %v", err)
	}
	// What cannot be used is not tried.
	if _, err := h.Try(t.Context(), "house: [x", engine.Trial{ID: "z"}, time.Hour); err == nil {
		t.Error("no YAML is tried")
	}
	if _, running := h.Trial(); running {
		t.Error("a trial of nothing runs")
	}
}

// startedAgain is the daemon after a new start, on what the one before left. It does not run yet.
func startedAgain(t *testing.T, h *enginetest.House) *engine.Engine {
	t.Helper()
	cfg, err := config.Parse("house.yaml", []byte(enginetest.Config))
	if err != nil {
		t.Fatal(err)
	}
	again, err := engine.New(t.Context(), engine.Options{Config: cfg, Machine: h.Machine, Hardware: h.Hardware, Store: h.Store, Log: slog.New(slog.DiscardHandler),
		Version: "test", Metrics: prometheus.NewRegistry(), Now: time.Now, Zone: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestTrialAcrossRestart: a daemon that is started again has the rules before the trial, and says so.
func TestTrialAcrossRestart(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	if _, err := h.Try(t.Context(), trialText(t), engine.Trial{ID: "x", By: "ana", Voice: "v"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	again := startedAgain(t, h)
	for _, r := range again.PolicyInForce().Main {
		if r.ID == "bank-house" {
			t.Error("the trial outlived the daemon")
		}
	}
	if list := again.Events(10); len(list) != 1 || !strings.Contains(list[0].Text, "were not kept") {
		t.Errorf("events: %+v", list)
	}
	if _, err := h.Store.Setting(t.Context(), "policy/trial"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the note is still there: %v", err)
	}
	if err := h.DropTrial(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}
