package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
)

// A trial is a policy that is in force for a while and goes away by itself: only the very login that began it can keep it. The
// database keeps the policy before it as the current one, so that a daemon that is started again goes back by that alone; the
// note of the trial is there to say so.

// trialKey is where the note of a trial is kept.
const trialKey = "policy/trial"

// Errors of trials.
var (
	ErrTrial      = errors.New("changed rules are being tried: keep them or go back first")
	ErrNoTrial    = errors.New("no rules are being tried: they went back already, or were kept")
	ErrOtherTrial = errors.New("only the browser that began the trial can keep it")
)

// Trial is a policy that is being tried.
type Trial struct {
	ID      string // of what is tried; the caller's
	Base    int64  // version that it goes back to
	By      string
	Voice   string // the login that may keep it
	Until   time.Time
	Changes []policy.Change
}

// trial is a Trial with what it needs to end.
type trial struct {
	Trial
	text     string
	before   *policy.Compiled
	compiled *policy.Compiled
	warnings []policy.Warning
}

// trialNote is what the database has of a trial.
type trialNote struct {
	By    string    `json:"by"`
	Until time.Time `json:"until"`
}

// forgetTrial finds the note of a trial that a daemon before this one did not end, and tells.
func (e *Engine) forgetTrial(ctx context.Context) error {
	data, err := e.store.Setting(ctx, trialKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading whether rules were being tried: %w", err)
	}
	var note trialNote
	by := ""
	if json.Unmarshal(data, &note) == nil {
		by = note.By
	}
	e.event(observe.Warn, "policy", by, "The router was started again while changed rules were being tried. They were not kept; the rules before them are in force.")
	return e.store.DeleteSetting(ctx, trialKey)
}

// Trial is the trial that runs, if one does.
func (e *Engine) Trial() (Trial, bool) {
	e.policy.mu.RLock()
	defer e.policy.mu.RUnlock()
	if e.policy.trial == nil {
		return Trial{}, false
	}
	return e.policy.trial.Trial, true
}

// Try puts a policy in force for a while. t needs ID, Base, By and Voice; version 0 as Base does not look.
func (e *Engine) Try(ctx context.Context, text string, t Trial, wait time.Duration) (Trial, error) {
	e.policyChange.Lock()
	defer e.policyChange.Unlock()
	if err := e.mayChange(t.Base); err != nil {
		return Trial{}, err
	}
	compiled, warnings, changes, err := e.CheckPolicy(ctx, text)
	if err != nil {
		return Trial{}, err
	}
	before := e.policy.current()
	t.Base, t.Changes, t.Until = e.policy.version(), changes, e.now().Add(wait)
	note, err := json.Marshal(trialNote{By: t.By, Until: t.Until})
	if err != nil {
		return Trial{}, err
	}
	if err := e.store.PutSetting(ctx, trialKey, note); err != nil {
		return Trial{}, fmt.Errorf("noting that rules are tried: %w", err)
	}
	if err := e.enforce(ctx, compiled); err != nil {
		return Trial{}, errors.Join(err, e.store.DeleteSetting(ctx, trialKey))
	}
	running := &trial{Trial: t, text: text, before: before, compiled: compiled, warnings: warnings}
	e.policy.mu.Lock()
	e.policy.trial = running
	e.policy.mu.Unlock()
	// The wall clock may jump; how long a person has does not follow it.
	time.AfterFunc(wait, func() { e.trialOver(running) })
	e.event(observe.Info, "policy", t.By, fmt.Sprintf("Changed rules are being tried by %s for %v.", t.By, wait))
	return t, nil
}

// trialOver goes back when nobody kept the trial in time.
func (e *Engine) trialOver(t *trial) {
	e.policyChange.Lock()
	defer e.policyChange.Unlock()
	if !e.tries(t) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.goBack(ctx, t, "Nobody kept the changed rules in time; the rules before them are in force again."); err != nil {
		e.log.Error("the rules before the trial could not be put in force again; trying again", "error", err)
		time.AfterFunc(retryPlan, func() { e.trialOver(t) })
	}
}

func (e *Engine) tries(t *trial) bool {
	e.policy.mu.RLock()
	defer e.policy.mu.RUnlock()
	return t != nil && e.policy.trial == t
}

// goBack puts the policy before a trial in force. The caller holds policyChange.
func (e *Engine) goBack(ctx context.Context, t *trial, why string) error {
	if err := e.enforce(ctx, t.before); err != nil {
		return err
	}
	e.endTrial(ctx)
	e.event(observe.Warn, "policy", t.By, why)
	return nil
}

// endTrial forgets a trial that was kept or taken back. The caller holds policyChange.
func (e *Engine) endTrial(ctx context.Context) {
	e.policy.mu.Lock()
	e.policy.trial = nil
	e.policy.mu.Unlock()
	if err := e.store.DeleteSetting(ctx, trialKey); err != nil {
		e.log.Warn("the note of a trial that is over could not be removed; the next start tells of it", "error", err)
	}
}

// KeepTrial makes the tried policy the stored one. Only the voice that began the trial can.
func (e *Engine) KeepTrial(ctx context.Context, id, voice string) (PolicyView, error) {
	e.policyChange.Lock()
	defer e.policyChange.Unlock()
	e.policy.mu.RLock()
	t := e.policy.trial
	e.policy.mu.RUnlock()
	switch {
	case t == nil || t.ID != id:
		return PolicyView{}, ErrNoTrial
	case t.Voice != voice:
		return PolicyView{}, ErrOtherTrial
	}
	e.endTrial(ctx)
	return e.keep(ctx, t.text, t.By, t.warnings, len(t.Changes)), nil
}

// DropTrial goes back at once.
func (e *Engine) DropTrial(ctx context.Context, id string) error {
	e.policyChange.Lock()
	defer e.policyChange.Unlock()
	e.policy.mu.RLock()
	t := e.policy.trial
	e.policy.mu.RUnlock()
	if t == nil || t.ID != id {
		return ErrNoTrial
	}
	return e.goBack(ctx, t, "The changed rules were taken back; the rules before them are in force again.")
}
