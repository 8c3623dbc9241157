package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/webui/auth"
)

const (
	maxDrafts  = 64
	draftLives = 24 * time.Hour
	// How long a trial runs when the client does not say.
	trialSeconds = 60
)

// errNoDraft: it was thrown away, is too old, or is somebody else's.
var errNoDraft = errors.New("there is no such draft of yours: make it again")

// draft is a changed policy that is in force nowhere.
type draft struct {
	id      string
	user    int64 // 0: root
	made    time.Time
	version int64
	text    string
}

// drafts holds what people are editing. Its methods are safe for concurrent use.
type drafts struct {
	mu   sync.Mutex
	list []draft // the oldest first
}

func (d *drafts) add(v draft) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = slices.DeleteFunc(d.list, func(o draft) bool { return v.made.Sub(o.made) > draftLives })
	if len(d.list) >= maxDrafts {
		d.list = d.list[1:]
	}
	d.list = append(d.list, v)
}

func (d *drafts) get(id string, user int64) (draft, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.list {
		if v.id == id && v.user == user {
			return v, nil
		}
	}
	return draft{}, errNoDraft
}

func (d *drafts) remove(id string, user int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.list)
	d.list = slices.DeleteFunc(d.list, func(v draft) bool { return v.id == id && v.user == user })
	if len(d.list) == n {
		return errNoDraft
	}
	return nil
}

// CreateDraft makes a draft.
func (h *Handlers) CreateDraft(ctx context.Context, r CreateDraftRequestObject) (CreateDraftResponseObject, error) {
	p := auth.Of(ctx)
	if (r.Body.Text == nil) == (r.Body.Edits == nil) {
		return nil, invalid("send either text or edits")
	}
	compiled, version := h.engine.Rules()
	if r.Body.Version != version {
		return nil, fmt.Errorf("version %d was edited, version %d is in force: %w", r.Body.Version, version, engine.ErrConflict)
	}
	if t, running := h.engine.Trial(); running {
		// What would be compared with is not what stays.
		return nil, fmt.Errorf("%w (by %s)", engine.ErrTrial, t.By)
	}
	d := draft{id: rand.Text(), user: p.User, made: time.Now(), version: version, text: value(r.Body.Text)}
	switch {
	case r.Body.Text != nil && p.Role != auth.Admin:
		return nil, fmt.Errorf("only admins write the whole policy: %w", auth.ErrForbidden)
	case len(d.text) > policy.MaxDocument:
		return nil, errTooLarge
	case r.Body.Edits != nil:
		edited, err := h.edit(p, compiled.Policy(), *r.Body.Edits)
		if err != nil {
			return nil, err
		}
		text, err := policy.Format(edited)
		if err != nil {
			return nil, engine.ProblemsOf(err)
		}
		d.text = string(text)
	}
	out, err := h.draft(ctx, d)
	if err != nil {
		return nil, err
	}
	h.drafts.add(d)
	return CreateDraft200JSONResponse(out), nil
}

// draft tells what a draft would do.
func (h *Handlers) draft(ctx context.Context, d draft) (Draft, error) {
	see := h.sight(ctx)
	out := Draft{Id: d.id, Version: d.version, Problems: []string{}, Warnings: []string{}, Changes: []Change{}}
	if see.all {
		out.Text = &d.text
	}
	compiled, warnings, changes, err := h.engine.CheckPolicy(ctx, d.text)
	var problems engine.Problems
	if errors.As(err, &problems) {
		out.Problems = problems
		return out, nil
	}
	if err != nil {
		return Draft{}, err
	}
	out.Changes = Changes(changes)
	for _, w := range warnings {
		if see.all || slices.ContainsFunc(changes, func(c policy.Change) bool { return c.Entry == "rule" && c.ID == w.RuleID }) {
			out.Warnings = append(out.Warnings, w.String())
		}
	}
	e := see.effects(h.engine.EffectsOf(compiled), compiled)
	out.Effects = &Effects{Devices: append([]string{}, e.Devices...), Flows: e.Flows, Same: e.Same, Lost: each(e.Lost, finding), Found: each(e.Found, finding),
		Moves: each(e.Moves, func(m engine.FlowEffect) FlowEffect {
			return FlowEffect{Flow: flowOf(m.Flow), Before: m.Before, After: m.After}
		})}
	return out, nil
}

// GetDraft answers with a draft and what it would do now.
func (h *Handlers) GetDraft(ctx context.Context, r GetDraftRequestObject) (GetDraftResponseObject, error) {
	d, err := h.drafts.get(r.Id, auth.Of(ctx).User)
	if err != nil {
		return nil, err
	}
	out, err := h.draft(ctx, d)
	if err != nil {
		return nil, err
	}
	return GetDraft200JSONResponse(out), nil
}

// DeleteDraft throws a draft away.
func (h *Handlers) DeleteDraft(ctx context.Context, r DeleteDraftRequestObject) (DeleteDraftResponseObject, error) {
	if err := h.drafts.remove(r.Id, auth.Of(ctx).User); err != nil {
		return nil, err
	}
	return DeleteDraft204Response{}, nil
}

// ApplyDraft tries a draft.
func (h *Handlers) ApplyDraft(ctx context.Context, r ApplyDraftRequestObject) (ApplyDraftResponseObject, error) {
	p := auth.Of(ctx)
	d, err := h.drafts.get(r.Id, p.User)
	if err != nil {
		return nil, err
	}
	if err := h.mayChange(); err != nil {
		return nil, err
	}
	seconds := trialSeconds
	if r.Body.Seconds != nil {
		seconds = *r.Body.Seconds
	}
	before := h.engine.PolicyInForce()
	t := engine.Trial{ID: d.id, Base: d.version, By: p.Name, Voice: p.Voice()}
	if _, err := h.engine.Try(ctx, d.text, t, time.Duration(seconds)*time.Second); err != nil {
		return nil, err
	}
	h.recordPolicy(ctx, "policy.try", fmt.Sprintf("version %d", d.version), before)
	return ApplyDraft200JSONResponse(h.trial(ctx)), nil
}

// trial tells of the trial that runs.
func (h *Handlers) trial(ctx context.Context) Trial {
	_, version := h.engine.Rules()
	out := Trial{Version: version}
	t, running := h.engine.Trial()
	if !running {
		return out
	}
	out.Running = true
	left := max(time.Until(t.Until).Milliseconds(), 0)
	out.Until, out.LeftMs = &t.Until, &left
	mine := t.Voice == auth.Of(ctx).Voice()
	out.Mine = &mine
	if mine || h.sight(ctx).all {
		changes := Changes(t.Changes)
		out.Id, out.By, out.Changes = &t.ID, &t.By, &changes
	}
	return out
}

// GetTrial answers with the trial that runs.
func (h *Handlers) GetTrial(ctx context.Context, _ GetTrialRequestObject) (GetTrialResponseObject, error) {
	return GetTrial200JSONResponse(h.trial(ctx)), nil
}

// KeepTrial keeps what is tried.
func (h *Handlers) KeepTrial(ctx context.Context, r KeepTrialRequestObject) (KeepTrialResponseObject, error) {
	p := auth.Of(ctx)
	v, err := h.engine.KeepTrial(ctx, r.Body.Id, p.Voice())
	if err != nil {
		return nil, err
	}
	if err := h.drafts.remove(r.Body.Id, p.User); err != nil && !errors.Is(err, errNoDraft) {
		return nil, err
	}
	h.record(ctx, "policy.keep", fmt.Sprintf("version %d", v.Version), "", "")
	return KeepTrial200JSONResponse(h.trial(ctx)), nil
}

// DropTrial goes back at once.
func (h *Handlers) DropTrial(ctx context.Context, r DropTrialRequestObject) (DropTrialResponseObject, error) {
	p := auth.Of(ctx)
	if t, running := h.engine.Trial(); running && p.Role != auth.Admin && t.Voice != p.Voice() {
		return nil, engine.ErrNoTrial // of theirs
	}
	if err := h.engine.DropTrial(ctx, r.Body.Id); err != nil {
		return nil, err
	}
	h.record(ctx, "policy.back", r.Body.Id, "", "")
	return DropTrial200JSONResponse(h.trial(ctx)), nil
}
