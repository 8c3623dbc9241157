package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
)

// policyInForce is the policy that decides now, with the text that it was read from.
type policyInForce struct {
	mu       sync.RWMutex
	compiled *policy.Compiled
	warnings []policy.Warning
	saved    store.Policy
	trial    *trial // nil while none runs

	// Looking for findings in thousands of rules takes seconds: once for each policy, and never under mu, which plans wait for.
	search   sync.Mutex
	searched *policy.Compiled
	findings []policy.Finding
}

func (p *policyInForce) version() int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.saved.Version
}

// findingsOf is what a person should know of a policy.
func (p *policyInForce) findingsOf(c *policy.Compiled) []policy.Finding {
	p.search.Lock()
	defer p.search.Unlock()
	if p.searched != c {
		p.searched, p.findings = c, c.Findings()
	}
	return slices.Clone(p.findings)
}

func (p *policyInForce) current() *policy.Compiled {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.compiled
}

// ErrConflict: the policy was changed by someone else since it was read.
var ErrConflict = errors.New("the policy was changed meanwhile: read it again and repeat your change")

// ErrRefused: the kernel did not take what the policy asks of it; why is in the error. The policy before goes on.
var ErrRefused = errors.New("the policy cannot be put in force, the one before goes on")

// KnownTo is what a policy is checked against: the catalogue's applications and categories, and the names of the links.
// Without links every link's name is accepted.
func KnownTo(apps *catalog.Catalog, links []string) policy.Known {
	return policy.Known{
		Links: links,
		Categories: func(app string) (string, bool) {
			a, ok := apps.App(app)
			return a.Category, ok
		},
		Category: apps.HasCategory,
		Protocol: func(id string) bool { _, ok := dpi.ParseProtocol(id); return ok },
	}
}

func (e *Engine) known() policy.Known {
	var links []string
	for _, w := range e.wans {
		links = append(links, w.config.Name)
	}
	return KnownTo(e.catalog, links)
}

// loadPolicy puts the stored policy in force; in a new house that of the configured file, or an empty one.
func (e *Engine) loadPolicy(ctx context.Context) error {
	saved, err := e.store.CurrentPolicy(ctx)
	if errors.Is(err, store.ErrNotFound) {
		text := ""
		if e.config.Policy != "" {
			data, err := os.ReadFile(e.config.Policy)
			switch {
			case err == nil:
				text = string(data)
			case !errors.Is(err, os.ErrNotExist):
				return fmt.Errorf("reading the first policy: %w", err)
			}
		}
		p, err := policy.Parse(e.config.Policy, []byte(text))
		if err != nil {
			return fmt.Errorf("reading the first policy: %w", err)
		}
		compiled, warnings, err := policy.Compile(p, e.known())
		if err != nil {
			return fmt.Errorf("%s: %w", e.config.Policy, err)
		}
		e.policy.compiled, e.policy.warnings = compiled, warnings
		if text == "" {
			return e.adoptPolicy(compiled)
		}
		if e.policy.saved, err = e.store.SavePolicy(ctx, text, "setup", "first start"); err != nil {
			e.log.Error("the first policy is in force but could not be stored", "error", err)
		}
		return e.adoptPolicy(compiled)
	}
	if err != nil {
		return fmt.Errorf("reading the stored policy: %w", err)
	}
	p, err := policy.Parse("stored policy", []byte(saved.Text))
	if err != nil {
		return fmt.Errorf("reading the stored policy: %w", err)
	}
	compiled, warnings, err := policy.Compile(p, e.known())
	if err != nil {
		// It was checked when it was stored. If only the catalogue has changed since, its rules about what is gone match nothing,
		// and all others must go on.
		cause := err
		if compiled, warnings, err = policy.Compile(p, policy.Known{Links: e.known().Links}); err != nil {
			return fmt.Errorf("checking the stored policy: %w", err)
		}
		e.health.Set(observe.Warning{Code: "policy-catalog", Severity: observe.Serious,
			Text: fmt.Sprintf("Some rules name what the catalogue of applications no longer has, and match nothing: %v", cause),
			Fix:  "Change those rules, or bring the applications back."})
	}
	e.policy.compiled, e.policy.warnings, e.policy.saved = compiled, warnings, saved
	return e.adoptPolicy(compiled)
}

// adoptPolicy tells the parts that depend on what the policy names.
func (e *Engine) adoptPolicy(c *policy.Compiled) error {
	e.interner.SetSelectors(c.Domains())
	if err := e.hosts.SetNamed(c.Policy().Devices, e.now()); err != nil {
		return fmt.Errorf("naming the policy's devices: %w", err)
	}
	return nil
}

// Problems is an error that lists everything that is wrong with what a person wrote.
type Problems []string

func (p Problems) Error() string {
	if len(p) == 1 {
		return p[0]
	}
	return fmt.Sprintf("%s (and %d more)", p[0], len(p)-1)
}

// ProblemsOf takes an error of package policy apart.
func ProblemsOf(err error) Problems {
	var list policy.Problems
	if !errors.As(err, &list) {
		return Problems{err.Error()}
	}
	var out Problems
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

// CheckPolicy reads a policy and says what it would change. The error is of type Problems when the policy is at fault.
func (e *Engine) CheckPolicy(ctx context.Context, text string) (*policy.Compiled, []policy.Warning, []policy.Change, error) {
	p, err := policy.Parse("policy", []byte(text))
	if err != nil {
		return nil, nil, nil, ProblemsOf(err)
	}
	compiled, warnings, err := policy.Compile(p, e.known())
	if err != nil {
		return nil, nil, nil, ProblemsOf(err)
	}
	if err := e.trial(ctx, compiled); err != nil {
		return nil, nil, nil, fmt.Errorf("trying the policy: %w", err)
	}
	return compiled, warnings, policy.Diff(e.policy.current().Policy(), p), nil
}

// SetPolicy puts a policy in force, whole or not at all. version is the one that the writer read; 0 does not look.
func (e *Engine) SetPolicy(ctx context.Context, text, by string, version int64) (PolicyView, error) {
	e.policyChange.Lock()
	defer e.policyChange.Unlock()
	if err := e.mayChange(version); err != nil {
		return PolicyView{}, err
	}
	compiled, warnings, changes, err := e.CheckPolicy(ctx, text)
	if err != nil {
		return PolicyView{}, err
	}
	if err := e.enforce(ctx, compiled); err != nil {
		return PolicyView{}, err
	}
	return e.keep(ctx, text, by, warnings, len(changes)), nil
}

// mayChange refuses a change while another one is tried, or of another version than the one in force; 0 does not look. The caller
// holds policyChange.
func (e *Engine) mayChange(version int64) error {
	if t, running := e.Trial(); running {
		return fmt.Errorf("%w (%s, until %s)", ErrTrial, t.By, t.Until.In(e.zone).Format(time.TimeOnly))
	}
	if now := e.policy.version(); version != 0 && version != now {
		return fmt.Errorf("version %d was edited, version %d is in force: %w", version, now, ErrConflict)
	}
	return nil
}

// enforce puts a policy in force in the kernel, whole or not at all, and calls back what it does not allow. The caller holds policyChange.
func (e *Engine) enforce(ctx context.Context, compiled *policy.Compiled) error {
	old := e.policy.current()
	e.policy.mu.Lock()
	e.policy.compiled = compiled
	e.policy.mu.Unlock()
	back := func(cause error) error {
		e.policy.mu.Lock()
		e.policy.compiled = old
		e.policy.mu.Unlock()
		if err := e.adoptPolicy(old); err != nil {
			return errors.Join(cause, err)
		}
		return cause
	}
	if err := e.adoptPolicy(compiled); err != nil {
		return back(err)
	}
	in, conditions := e.planInput()
	if err := e.commit(ctx, in, conditions); err != nil {
		return back(fmt.Errorf("%w: %w", ErrRefused, err))
	}
	// The kernel's labels follow what the new policy selects by name.
	e.tell(ctx, e.names.Relabel(e.now()))
	e.judgeAgain(ctx)
	return nil
}

// keep stores the policy that is in force. The caller holds policyChange.
func (e *Engine) keep(ctx context.Context, text, by string, warnings []policy.Warning, changes int) PolicyView {
	saved, err := e.store.SavePolicy(ctx, text, by, fmt.Sprintf("%d changes", changes))
	if err != nil {
		e.log.Error("the policy is in force but could not be stored; it is lost at the next start", "error", err)
		e.health.Set(observe.Warning{Code: "policy-store", Severity: observe.Serious,
			Text: "The latest rules are in force but could not be stored.", Fix: "Free some space and save them again."})
		saved = store.Policy{Version: e.policy.saved.Version + 1, At: time.Now(), Author: by, Text: text}
	} else {
		e.health.Clear("policy-store", "")
	}
	e.health.Clear("policy-catalog", "")
	e.policy.mu.Lock()
	e.policy.warnings, e.policy.saved = warnings, saved
	e.policy.mu.Unlock()
	e.event(observe.Info, "policy", by, policyChanged(by, changes))
	return e.Policy()
}

func policyChanged(by string, changes int) string {
	text := "The rules were changed"
	if by != "" {
		text += " by " + by
	}
	switch changes {
	case 0:
		return text + ": nothing that matters."
	case 1:
		return text + ": 1 change."
	}
	return fmt.Sprintf("%s: %d changes.", text, changes)
}

// Policy is the policy in force.
func (e *Engine) Policy() PolicyView {
	e.policy.mu.RLock()
	v := PolicyView{Version: e.policy.saved.Version, Changed: e.policy.saved.At, By: e.policy.saved.Author, Text: e.policy.saved.Text}
	for _, w := range e.policy.warnings {
		v.Warnings = append(v.Warnings, w.String())
	}
	compiled := e.policy.compiled
	e.policy.mu.RUnlock()
	for _, f := range e.policy.findingsOf(compiled) {
		v.Findings = append(v.Findings, f.Text)
	}
	return v
}

// PolicyInForce is the policy that decides now, taken apart. It is shared: do not change it.
func (e *Engine) PolicyInForce() policy.Policy { return e.policy.current().Policy() }

// Applications is the catalogue that this router knows applications by. It is shared: do not change it.
func (e *Engine) Applications() *catalog.Catalog { return e.catalog }

// Rules is the policy in force with the version that it is stored as; while one is tried, the version that it goes back to.
func (e *Engine) Rules() (*policy.Compiled, int64) {
	e.policy.mu.RLock()
	defer e.policy.mu.RUnlock()
	return e.policy.compiled, e.policy.saved.Version
}

// RuleFindings is what a person should know of the policy in force, rule by rule.
func (e *Engine) RuleFindings() []policy.Finding { return e.policy.findingsOf(e.policy.current()) }
